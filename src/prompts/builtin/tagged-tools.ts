import type { Message, Tool, ToolProperty } from '../../inference/index.ts'
import { orderedProperty, spacedJson, typesOf } from './rendering.ts'

/** Tools and calls in tags, as Qwen 3 Coder began it and Nemotron has it too. */

/** How a call is to be written. */
export const taggedCallInstructions = `

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell the user about function calls
</IMPORTANT>`

/** Calls of an earlier answer, as the models write them. */
export function taggedCalls({ tool_calls = [] }: Message): string {
  return tool_calls
    .map(({ function: { name, arguments: args } }) => {
      const parameters = Object.entries(args).map(
        ([key, value]) => `<parameter=${key}>\n${pythonText(value)}\n</parameter>\n`,
      )
      return `<tool_call>\n<function=${name}>\n${parameters.join('')}</function>\n</tool_call>\n`
    })
    .join('')
}

/** A value as Python's `str` shows it, lists and objects as JSON. */
function pythonText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  return spacedJson(value)
}

/** The tools that are offered, a tag for each part of their schemas, and how to call them. */
export function taggedOffer(tools: readonly Tool[]): string {
  const functions = tools.map(({ function: { name, description, parameters } }) => {
    const { properties = {}, required, $defs, items } = parameters ?? {}
    const described = description ? tag('description', description.trim()) : ''
    const extra = extraTags({ $defs, items })
    const needed = required?.length ? tag('required', spacedJson(required)) : ''
    const inner = Object.entries(properties).map(parameterTag).join('') + extra + needed
    return `\n<function>${tag('name', name)}${described}\n<parameters>${inner}\n</parameters>\n</function>`
  })
  return `# Tools\n\nYou have access to the following functions:\n\n<tools>${functions.join('')}\n</tools>${taggedCallInstructions}`
}

function parameterTag([name, property]: [string, ToolProperty]): string {
  const types = typesOf(property)
  const { anyOf, items, properties, required } = orderedProperty(property) as ToolProperty
  const type = types.length === 1 ? types[0] : `[${types.map((each) => `'${each}'`).join(', ')}]`
  return [
    `\n<parameter>${tag('name', name)}`,
    types.length > 0 ? tag('type', String(type)) : '',
    property.description ? tag('description', property.description.trim()) : '',
    property.enum?.length ? tag('enum', spacedJson(property.enum)) : '',
    `${extraTags({ anyOf, items, properties, required })}\n</parameter>`,
  ].join('')
}

function extraTags(values: Record<string, unknown>): string {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => tag(name, pythonText(value)))
    .join('')
}

function tag(name: string, text: string): string {
  return `\n<${name}>${text}</${name}>`
}
