import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { orderedParameters, spacedJson } from './rendering.ts'
import { createSectionParser, type FoundCall, parseObject, thoughtSection, untilMarker } from './sections.ts'

/** DeepSeek 3.1, and Cogito 2.1 which is built on it. */

const begin = '<｜begin▁of▁sentence｜>'
const end = '<｜end▁of▁sentence｜>'
const user = '<｜User｜>'
const assistant = '<｜Assistant｜>'
const callsBegin = '<｜tool▁calls▁begin｜>'
const callsEnd = '<｜tool▁calls▁end｜>'
const callBegin = '<｜tool▁call▁begin｜>'
const callEnd = '<｜tool▁call▁end｜>'
const separator = '<｜tool▁sep｜>'
const outputBegin = '<｜tool▁output▁begin｜>'
const outputEnd = '<｜tool▁output▁end｜>'

/** The special tokens that the parser must see. */
export const deepseek3PreservedTokens = [
  '<think>',
  '</think>',
  callsBegin,
  callsEnd,
  callBegin,
  callEnd,
  separator,
]

const cogitoSystem =
  'You are Cogito, an AI assistant created by Deep Cogito, which is an AI research lab based in San Francisco.'

/** Renders a conversation for DeepSeek 3.1; thinking is on unless told otherwise. */
export function renderDeepseek31({ messages, tools, think }: PromptTurn): string {
  const system = messages.filter(({ role }) => role === 'system').map(({ content }) => content)
  const preamble = system.join('\n\n') + (tools.length > 0 ? offerOf(tools) : '')
  return (
    begin +
    preamble +
    conversation(messages, '</think>') +
    opening(messages, think === false ? '</think>' : '<think>')
  )
}

/** Renders a conversation for Cogito 2.1, which thinks where its system prompt says so. */
export function renderCogito({ messages, tools, think }: PromptTurn): string {
  const own = messages.filter(({ role }) => role === 'system').map(({ content }) => content)
  const parts = [
    ...(think ? ['Enable deep thinking subroutine.'] : []),
    ...(own.length > 0 ? own : [cogitoSystem]),
    ...(tools.length > 0 ? [`You have the following functions available:\n${listOf(tools)}`] : []),
  ]
  return begin + parts.join('\n\n') + conversation(messages, '') + opening(messages, think ? '<think>\n' : '')
}

function offerOf(tools: readonly Tool[]): string {
  const described = tools.map(({ function: { name, description = '', parameters } }) => {
    return `\n### ${name}\nDescription: ${description}\n\nParameters: ${spacedJson(orderedParameters(parameters))}\n`
  })
  return `

## Tools
You have access to the following tools:
${described.join('')}
IMPORTANT: ALWAYS adhere to this exact format for tool use:
${callsBegin}${callBegin}tool_call_name${separator}tool_call_arguments${callEnd}{{additional_tool_calls}}${callsEnd}

Where:
- \`tool_call_name\` must be an exact match to one of the available tools
- \`tool_call_arguments\` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces
`
}

function listOf(tools: readonly Tool[]): string {
  return tools
    .map(({ type, function: { name, description = '', parameters } }) =>
      spacedJson({ type, function: { name, description, parameters: orderedParameters(parameters) } }),
    )
    .join('\n')
}

/** Every turn but the system's. An answer behind replies of tools goes on where they end. */
function conversation(messages: readonly Message[], thought: string): string {
  const turns = messages.filter(({ role }) => role !== 'system')
  return turns
    .map((message, index) => {
      if (message.role === 'user') return user + message.content
      if (message.role === 'tool') return outputBegin + message.content + outputEnd
      const opens = turns[index - 1]?.role === 'tool' ? '' : assistant + thought
      const isOpen = index === turns.length - 1 && !message.tool_calls?.length
      return opens + message.content + callsOf(message) + (isOpen ? '' : end)
    })
    .join('')
}

function callsOf({ tool_calls = [] }: Message): string {
  if (tool_calls.length === 0) return ''
  const calls = tool_calls.map(
    ({ function: { name, arguments: args } }) =>
      callBegin + name + separator + JSON.stringify(args) + callEnd,
  )
  return callsBegin + calls.join('') + callsEnd
}

function opening(messages: readonly Message[], thought: string): string {
  return messages.at(-1)?.role === 'user' ? assistant + thought : ''
}

/** Parses the output. With thinking, all of it up to the end of the thought is one. */
export function createDeepseek3Parser(prompt: string, thinks: boolean): OutputParser {
  const markers = [[callsBegin, 'calls']] as const
  const startsInThought = thinks && !prompt.trimEnd().endsWith('</think>')
  return createSectionParser(
    {
      thinking: thoughtSection('answer', [callsBegin, 'calls']),
      answer: { as: 'token', trim: 'both', markers },
      content: { as: 'token', trim: 'end', markers },
      calls: {
        as: 'calls',
        search: untilMarker(callsEnd),
        read: readCalls,
        next: 'answer',
        unread: 'content',
      },
    },
    startsInThought ? 'thinking' : 'content',
  )
}

/** `name<sep>{...}`, or the older `function<sep>name` with its JSON in a fence. */
function readCalls(body: string): FoundCall[] | undefined {
  const written = body
    .split(callBegin)
    .map((part) => part.split(callEnd)[0] ?? '')
    .filter((part) => part.includes(separator))
  const calls = written.map(readCall)
  const found = calls.filter((call) => call !== undefined)
  return found.length > 0 && found.length === calls.length ? found : undefined
}

function readCall(text: string): FoundCall | undefined {
  const [head = '', rest = ''] = text.split(separator)
  const fenced = /^\s*(\S+)\s*```(?:json)?\s*([\s\S]*?)\s*```\s*$/.exec(rest)
  const name = fenced?.[1] ?? head.trim()
  const args = parseObject((fenced?.[2] ?? rest).trim() || '{}')
  return name !== '' && args ? { name, args } : undefined
}
