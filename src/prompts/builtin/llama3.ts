import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { leadingSpace } from '../text.ts'
import { beginsJsonCall, readJsonCall } from './json-calls.ts'
import { beginsPythonCall, readPythonCalls, untilPythonEnd } from './python-calls.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import { createSectionParser, type FoundCall, parseObject, untilJsonEnd, untilMarker } from './sections.ts'

/**
 * Llama 3.1 to 3.3: headers and `<|eot_id|>`, tools in the first question, calls as bare JSON or behind
 * `<|python_tag|>`. By the chat template published with the models.
 */

/** The special tokens that the parser must see. */
export const llama3PreservedTokens = ['<|python_tag|>', '<|eom_id|>']

export interface Llama3Options {
  /** As the prompt shows it. The published template's own default without a clock. */
  today?: string
}

const toolInstructions =
  'Given the following functions, please respond with a JSON for a function call with its proper arguments that ' +
  'best answers the given prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of ' +
  'argument name and its value}.Do not use variables.\n\n'

/** Renders a conversation. A last assistant message without calls stays open, to be continued. */
export function renderLlama3(
  { messages, tools }: PromptTurn,
  { today = '26 Jul 2024' }: Llama3Options = {},
): string {
  const system = messages[0]?.role === 'system' ? messages[0].content.trim() : ''
  const turns = messages[0]?.role === 'system' ? messages.slice(1) : messages
  const preamble = `${tools.length > 0 ? 'Environment: ipython\n' : ''}Cutting Knowledge Date: December 2023\n`
  let offered = tools.length > 0 ? toolInstructions + tools.map(indentedTool).join('') : ''
  let prompt = `${header('system')}${preamble}Today Date: ${today}\n\n${system}<|eot_id|>`
  turns.forEach((message, index) => {
    const isLast = index === turns.length - 1
    if (message.role === 'tool') prompt += `${header('ipython')}${JSON.stringify(message.content)}<|eot_id|>`
    else if (message.tool_calls?.length) prompt += `${header('assistant')}${callsOf(message)}<|eot_id|>`
    else if (message.role === 'assistant' && isLast) prompt += `${header('assistant')}${message.content}`
    else {
      prompt += `${header(message.role)}${message.role === 'user' ? offered : ''}${message.content.trim()}<|eot_id|>`
      if (message.role === 'user') offered = ''
    }
  })
  const last = turns.at(-1)
  return last?.role === 'assistant' && !last.tool_calls?.length ? prompt : prompt + header('assistant')
}

function header(role: string): string {
  return `<|start_header_id|>${role}<|end_header_id|>\n\n`
}

function indentedTool(tool: Tool): string {
  return `${JSON.stringify(orderedTool(tool), null, 4)}\n\n`
}

/** The template knows one call a message; more go one behind the other, as the models write them. */
function callsOf({ tool_calls = [] }: Message): string {
  return tool_calls
    .map(
      ({ function: { name, arguments: args } }) => `{"name": "${name}", "parameters": ${spacedJson(args)}}`,
    )
    .join('; ')
}

/** Parses the output. Bare JSON counts as a call only where the answer, or the text behind a call, begins with it. */
export function createLlama3Parser(tools: readonly Tool[]): OutputParser {
  const names = new Set(tools.map(({ function: { name } }) => name))
  const markers = [
    ['<|python_tag|>', 'tagged'],
    ['<function=', 'xml'],
    ['<|eom_id|>', 'behind'],
  ] as const
  const known = (found: FoundCall[] | undefined) =>
    found?.every(({ name }) => names.has(name)) ? found : undefined
  const unless = [{ begins: (text: string) => beginsBare(text, names), next: 'bare' }] as const
  return createSectionParser(
    {
      start: { as: 'token', trim: 'end', unless, markers },
      content: { as: 'token', trim: 'end', markers },
      tagged: { as: 'calls', search: callEnd, read: readCall, next: 'behind', unread: 'content' },
      bare: {
        as: 'calls',
        search: callEnd,
        read: (body) => known(readCall(body)),
        next: 'behind',
        unread: 'content',
      },
      xml: {
        as: 'calls',
        search: untilMarker('</function>'),
        read: readXml,
        next: 'behind',
        unread: 'content',
      },
      behind: { as: 'token', trim: 'both', leading: [';', ',', '<|eom_id|>'], unless, markers },
    },
    'start',
  )
}

/** A call begins with a brace, or with a list of a known function's calls as Llama 3.2 writes them. */
function beginsBare(text: string, names: ReadonlySet<string>): boolean | undefined {
  const start = text.slice(leadingSpace(text))
  if (names.size === 0) return false
  if (start === '') return undefined
  if (start.startsWith('{')) return beginsJsonCall(start)
  if (!start.startsWith('[')) return false
  const inner = start.slice(1).trimStart()
  return inner.startsWith('{') ? beginsJsonCall(inner) : beginsPythonCall(start, names)
}

/** Where the JSON, or the function's call, ends. Anything else behind the tag is code, up to the output's end. */
function callEnd() {
  const json = untilJsonEnd()
  const python = untilPythonEnd()
  return (text: string) => {
    const first = text.charAt(leadingSpace(text))
    if (first === '') return undefined
    const isJson = first === '{' || /^\s*\[\s*(\{|$)/.test(text)
    return isJson ? json(text) : python(text)
  }
}

function readCall(body: string): FoundCall[] | undefined {
  const text = body.trim()
  if (!text.startsWith('{') && !/^\[\s*\{/.test(text)) return readPythonCalls(text)?.map(builtInCall)
  const value = parseObject(`{"calls":${text}}`)?.calls
  const found = (Array.isArray(value) ? value : [value]).map(readJsonCall)
  return found.length > 0 && found.every((call) => call !== undefined) ? found : undefined
}

/** `brave_search.call(query="...")` calls a built-in tool. */
function builtInCall({ name, args }: FoundCall): FoundCall {
  return { name: name.replace(/\.call$/, ''), args }
}

/** `name>{json}`, behind `<function=`. */
function readXml(body: string): FoundCall[] | undefined {
  const [, name, json = ''] = /^([\w.-]+)>([\s\S]*)$/.exec(body) ?? []
  const args = parseObject(json)
  return name === undefined || args === undefined ? undefined : [{ name, args }]
}
