import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { readJsonCall } from './json-calls.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import { createSectionParser, parseObject, thoughtSection, untilMarker } from './sections.ts'

/** Qwen 3 and Qwen 3 VL: ChatML, tools and calls in JSON between tags. */

/** The special tokens that the parser must see. */
export const qwen3PreservedTokens = ['<think>', '</think>', '<tool_call>', '</tool_call>']

const offer = `# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>`
const instructions = `
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>`

/** Renders a conversation. Thinking models begin with an open thought; a last assistant text stays open. */
export function renderQwen3Vl({ messages, tools }: PromptTurn, thinks: boolean): string {
  const hasSystem = messages[0]?.role === 'system'
  const system = hasSystem ? (messages[0]?.content ?? '') : ''
  const turns = hasSystem ? messages.slice(1) : messages
  const first = firstTurn(system, tools, hasSystem)
  const lastQuestion = turns.findLastIndex(({ role }) => role === 'user')
  const last = turns.at(-1)
  const isOpen = last?.role === 'assistant' && !last.tool_calls?.length
  const rendered = turns.map((message, index) => {
    if (message.role === 'tool') return toolTurn(message, turns[index - 1], turns[index + 1])
    if (message.role !== 'assistant') return `<|im_start|>${message.role}\n${message.content}<|im_end|>\n`
    const thought = thinks && index > lastQuestion ? thoughtOf(message) : ''
    const text = `<|im_start|>assistant\n${thought}${message.content}`
    return message === last && isOpen ? text : `${text}${callsOf(message)}<|im_end|>\n`
  })
  const opening = isOpen ? '' : `<|im_start|>assistant\n${thinks ? '<think>\n' : ''}`
  return first + rendered.join('') + opening
}

function firstTurn(system: string, tools: readonly Tool[], hasSystem: boolean): string {
  if (tools.length > 0) {
    const listed = tools.map((tool) => `\n${spacedJson(orderedTool(tool))}`).join('')
    return `<|im_start|>system\n${system && `${system}\n\n`}${offer}${listed}${instructions}<|im_end|>\n`
  }
  return hasSystem ? `<|im_start|>system\n${system}<|im_end|>\n` : ''
}

function thoughtOf({ thinking = '' }: Message): string {
  return thinking.trim() === '' ? '' : `<think>\n${thinking.trim()}\n</think>\n\n`
}

function callsOf({ content, tool_calls = [] }: Message): string {
  const calls = tool_calls.map(
    ({ function: { name, arguments: args } }) =>
      `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${spacedJson(args)}}\n</tool_call>`,
  )
  return calls.length > 0 ? `${content && '\n'}${calls.join('\n')}` : ''
}

/** Replies that follow each other share one turn of the user's. */
export function toolTurn(
  { content }: Message,
  before: Message | undefined,
  after: Message | undefined,
): string {
  const opening = before?.role === 'tool' ? '' : '<|im_start|>user'
  const closing = after?.role === 'tool' ? '' : '<|im_end|>\n'
  return `${opening}\n<tool_response>\n${content}\n</tool_response>${closing}`
}

/** Parses the output; a thought may be open at the prompt's end, or come first. */
export function createQwen3Parser(prompt: string, thinks: boolean): OutputParser {
  const markers = [['<tool_call>', 'call']] as const
  const isOpen = prompt.trimEnd().endsWith('<think>')
  return createSectionParser(
    {
      start: {
        as: 'token',
        trim: 'end',
        leading: [],
        unless: [{ begins: thoughtBegins, next: 'thinking' }],
        markers,
      },
      thinking: thoughtSection('answer', ['<tool_call>', 'call']),
      answer: { as: 'token', trim: 'both', markers },
      content: { as: 'token', trim: 'end', markers },
      call: {
        as: 'calls',
        search: untilMarker('</tool_call>'),
        read: (body) => {
          const call = readJsonCall(parseObject(body.trim()))
          return call && [call]
        },
        next: 'answer',
        unread: 'content',
      },
    },
    thinks ? (isOpen ? 'thinking' : 'start') : 'content',
  )
}

/** Whether a text begins with a thought; undefined while it may. */
function thoughtBegins(text: string): boolean | undefined {
  const trimmed = text.trimStart()
  return trimmed.startsWith('<think>') || ('<think>'.startsWith(trimmed) ? undefined : false)
}
