import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { orderedParameters, spacedJson } from './rendering.ts'
import { beginsWith, createSectionParser, type FoundCall, untilMarker } from './sections.ts'
import { readInvokeTags } from './tagged-calls.ts'

/** Glimmer: messages with a recipient, `self` for thinking, a tool for a call, `user` for the answer. */

const callsOpen = '<atem:function_calls>'
const callsClose = '</atem:function_calls>'

/** The special tokens that the parser must see. */
export const glimmerPreservedTokens = ['<|start|>', '<|message|>', '<|eom|>', '<|eot|>']

const offer = `In this environment you have access to a set of tools you can use to answer the user's question.

You can invoke a function by writing a "${callsOpen}" block like the following:
${callsOpen}
<atem:invoke name="$FUNCTION_NAME">
<atem:parameter name="$PARAMETER_NAME">$PARAMETER_VALUE</atem:parameter>
...
</atem:invoke>
${callsClose}

String and scalar parameters should be specified as is, while lists and objects should use JSON format. Note that spaces for string values are not stripped. The output is not expected to be valid XML and is parsed with regular expressions.
Here are the functions available in JSONSchema format:
// Tool metadata
`
const example = `

Here's an example of how to call a function in the tool set:
(If the tool namespace is not specified, invoke the function directly as \`example_function_name\` rather than \`example_tool_name.example_function_name\`)

to=example_tool_name.example_function_name

${callsOpen}
<atem:invoke name="example_tool_name.example_function_name">
<atem:parameter name="example_parameter_1">value_1</atem:parameter>
<atem:parameter name="example_parameter_2">This is the value for the second parameter
that can span
"multiple" lines
</atem:parameter>
</atem:invoke>
${callsClose}`

export interface GlimmerOptions {
  /** `YYYY-MM-DD`, as the prompt shows it. The machine's own where it is absent. */
  today?: string
}

/** Renders a conversation; thinking is hard unless told otherwise. */
export function renderGlimmer({ messages, tools, think }: PromptTurn, options: GlimmerOptions = {}): string {
  const strength = think === false ? 'none' : typeof think === 'string' ? think : 'high'
  const system = (content: string): string => {
    const offered = tools.length > 0 ? `${toolSection(tools)}\n\n` : ''
    const recipients = ['self', ...namespaces(tools).map((name) => `${name}.*`), 'user']
    const listed = `# Valid recipients: ${recipients.map((name) => `"${name}"`).join(', ')}.`
    return `${start('system')}${content}\n\nReasoning strength: ${strength}.\n\n${offered}${listed}<|eot|>`
  }
  const rendered = messages.map((message, index) => {
    const { content } = message
    if (message.role === 'system') return system(content)
    if (message.role === 'user') return `${start('user')}${content}<|eot|>`
    if (message.role === 'assistant')
      return renderAnswer(message, messages[index + 1]?.role === 'assistant', content)
    const name = replyName(message, messages)
    return `${start(`tool ${name}`)}<tool_output name="${name}">\n${content}\n</tool_output><|eot|>`
  })
  const first = messages.some(({ role }) => role === 'system') ? '' : system(ownSystem(options))
  return `<|begin_of_text|>${first}${rendered.join('')}<|start|>assistant`
}

function ownSystem({ today = localDate() }: GlimmerOptions): string {
  return `You are a helpful AI assistant.\nKnowledge cutoff: 2026-01-04.\nCurrent date: ${today}.`
}

/** `YYYY-MM-DD` in the machine's own time zone: Swedish dates are written so. */
function localDate(): string {
  return new Date().toLocaleDateString('sv')
}

function start(header: string): string {
  return `<|start|>${header}<|message|>`
}

function namespaceOf(name: string): string {
  return name.split('.')[0] ?? name
}

function namespaces(tools: readonly Tool[]): string[] {
  return [...new Set(tools.map(({ function: { name } }) => namespaceOf(name)))]
}

function toolSection(tools: readonly Tool[]): string {
  const metadata = namespaces(tools).map((name) => `${spacedJson({ name, description: '' })}\n`)
  const schemas = tools.map(
    ({ function: { name, description = '', parameters } }) =>
      `\n${spacedJson({ name, description, parameters: orderedParameters(parameters) })}`,
  )
  return `${offer}${metadata.join('')}// Function schemas${schemas.join('')}${example}`
}

function renderAnswer({ thinking, tool_calls = [] }: Message, goesOn: boolean, content: string): string {
  const thought = thinking ? `${start('assistant to=self')}${thinking}<|eom|>` : ''
  const calls = tool_calls.map(({ function: { name, arguments: args } }, index) => {
    const end = index < tool_calls.length - 1 || goesOn ? '<|eom|>' : '<|eot|>'
    return `${start(`assistant to=${name}`)}${invoke(name, args)}${end}`
  })
  if (calls.length > 0) return thought + calls.join('')
  return content === '' && thinking ? thought : `${thought}${start('assistant to=user')}${content}<|eot|>`
}

function invoke(name: string, args: Record<string, unknown>): string {
  const parameters = Object.entries(args).map(([key, value]) => {
    const text = typeof value === 'string' ? value : spacedJson(value)
    return `<atem:parameter name="${key}">${text}</atem:parameter>\n`
  })
  return `${callsOpen}\n<atem:invoke name="${name}">\n${parameters.join('')}</atem:invoke>\n${callsClose}`
}

/** The tool that replied, by its name, else by the call's id. */
function replyName({ tool_name, tool_call_id = '' }: Message, messages: readonly Message[]): string {
  if (tool_name) return tool_name
  const calls = messages.flatMap(({ tool_calls = [] }) => tool_calls)
  const call = tool_call_id === '' ? undefined : calls.findLast(({ id }) => id === tool_call_id)
  return call?.function.name ?? tool_call_id
}

/**
 * Parses the output, which begins within the header that the prompt has opened. Thoughts nobody asked for (`thinks`
 * false) are dropped. A block of calls counts whatever the header says: models get the recipient wrong.
 */
export function createGlimmerParser(tools: readonly Tool[], thinks: boolean): OutputParser {
  const names = new Set(tools.map(({ function: { name } }) => name))
  const ends = [
    ['<|eom|>', 'header'],
    ['<|eot|>', 'header'],
    ['<|start|>assistant', 'header'],
  ] as const
  const calls = tools.length > 0 ? [{ begins: beginsWith(callsOpen), next: 'calls' } as const] : []
  return createSectionParser(
    {
      header: {
        as: 'token',
        leading: ['<|start|>assistant', '<|eom|>', '<|eot|>'],
        unless: [
          {
            begins: (text: string) => beginsHeader(text, (recipient) => recipient === 'self'),
            next: 'thinking',
          },
          { begins: (text: string) => beginsHeader(text, (recipient) => recipient !== 'self'), next: 'text' },
        ],
        markers: ends,
      },
      thinking: { as: thinks ? 'thinking' : 'none', markers: ends },
      text: { as: 'token', unless: calls, markers: ends },
      shown: { as: 'token', markers: ends },
      calls: {
        as: 'calls',
        search: untilMarker(callsClose),
        read: readKnown,
        next: 'behindCalls',
        unread: 'shown',
      },
      behindCalls: { as: 'token', trim: 'start', markers: ends },
    },
    'header',
  )

  /** A boundary token in a function's name is a slip. One unknown tool makes the whole block text. */
  function readKnown(body: string): FoundCall[] | undefined {
    const found = readInvokeTags(body.replaceAll('<|message|>">', '">'), tools, (name) =>
      names.has(name) ? name : withoutNamespace(name),
    )
    return found?.every(({ name }) => names.has(name)) ? found : undefined
  }
}

/** Prompts offer a tool `read` as `read.*` too, and models call it `read.read`. */
function withoutNamespace(name: string): string {
  const own = name.slice(name.indexOf('.') + 1)
  return namespaceOf(name) === namespaceOf(own) ? own : name
}

const header = /^\s*(?:to=([\w.-]*))?\s*<\|message\|>/

/** How long the header is that the text begins with, if its recipient is of a kind; undefined while it may be. */
function beginsHeader(text: string, isMeant: (recipient: string) => boolean): number | false | undefined {
  const found = header.exec(text)
  if (found !== null) return isMeant(found[1] ?? '') ? found[0].length : false
  const rest = text.replace(/^\s+/, '')
  if ('to='.startsWith(rest) || /^to=[\w.-]*\s*$/.test(rest)) return undefined
  return '<|message|>'.startsWith(rest.replace(/^to=[\w.-]*\s*/, '')) ? undefined : false
}
