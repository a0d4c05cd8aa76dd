import type { Message } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import {
  type BlockEnd,
  createSectionParser,
  type FoundCall,
  isRecord,
  parseObject,
  untilJsonEnd,
} from './sections.ts'

/**
 * Mistral's models since 2025: `[INST]` to `[/INST]`, thinking in `[THINK]`, and calls as `[TOOL_CALLS]name[ARGS]`
 * with JSON behind. By the templates published with `mistral-common` (version 13); calls as versions 3 and 11 write
 * them are read too.
 */

/** The special tokens that the parser must see. */
export const ministralPreservedTokens = ['[TOOL_CALLS]', '[THINK]', '[/THINK]', '[ARGS]', '[CALL_ID]']

/** Renders a conversation. A last assistant message without calls stays open, to be continued. */
export function renderMinistral({ messages, tools }: PromptTurn): string {
  let available =
    tools.length > 0 ? `[AVAILABLE_TOOLS]${spacedJson(tools.map(orderedTool))}[/AVAILABLE_TOOLS]` : ''
  const turns = joined(messages)
  const rendered = turns.map((message, index) => {
    if (message.role === 'system') return `[SYSTEM_PROMPT]${message.content}[/SYSTEM_PROMPT]`
    if (message.role === 'tool') return `[TOOL_RESULTS]${message.content}[/TOOL_RESULTS]`
    if (message.role === 'assistant') return renderAnswer(message, index === turns.length - 1)
    const text = `${available}[INST]${message.content}[/INST]`
    available = ''
    return text
  })
  return rendered.join('')
}

function renderAnswer({ content, thinking, tool_calls = [] }: Message, isLast: boolean): string {
  const thought = thinking ? `[THINK]${thinking}[/THINK]` : ''
  const calls = tool_calls.map(
    ({ function: { name, arguments: args } }) => `[TOOL_CALLS]${name}[ARGS]${spacedJson(args)}`,
  )
  return `${thought}${content}${calls.join('')}${isLast && calls.length === 0 ? '' : '</s>'}`
}

/** Neighbours of one role become one message; the system's and the tools' stay apart. */
function joined(messages: readonly Message[]): Message[] {
  const turns: Message[] = []
  for (const message of messages) {
    const last = turns.at(-1)
    if (last?.role !== message.role || message.role === 'system' || message.role === 'tool') {
      turns.push(message)
      continue
    }
    const thinking = [last.thinking, message.thinking].filter(Boolean).join('\n\n')
    turns[turns.length - 1] = {
      role: message.role,
      content: [last.content, message.content].filter(Boolean).join('\n\n'),
      tool_calls: [...(last.tool_calls ?? []), ...(message.tool_calls ?? [])],
      ...(thinking && { thinking }),
    }
  }
  return turns
}

/** Parses the output. Thinking may be open at the prompt's end. */
export function createMinistralParser(prompt: string): OutputParser {
  const markers = [
    ['[TOOL_CALLS]', 'call'],
    ['[THINK]', 'thinking'],
  ] as const
  return createSectionParser(
    {
      content: { as: 'token', trim: 'end', markers },
      thinking: { as: 'thinking', markers: [['[/THINK]', 'answer']] },
      answer: { as: 'token', trim: 'both', markers },
      call: { as: 'calls', search: callEnd, read: readCall, next: 'answer', unread: 'content' },
    },
    prompt.trimEnd().endsWith('[THINK]') ? 'thinking' : 'content',
  )
}

/** No name is longer than this: what has no `{` by then is no call. */
const longestHead = 256

/** The end of the JSON object behind the name, or of the list that older models write in its place. */
function callEnd(): (text: string) => BlockEnd | undefined {
  const findEnd = untilJsonEnd()
  let start: number | undefined
  return (text) => {
    if (start === undefined) {
      const brace = text.slice(0, longestHead).indexOf('{')
      if (brace < 0) return text.length < longestHead ? undefined : { body: longestHead, rest: longestHead }
      start = text.slice(0, brace).trim() === '[' ? text.indexOf('[') : brace
    }
    const end = findEnd(text.slice(start))
    return end && { body: start + end.body, rest: start + end.rest }
  }
}

function readCall(body: string): FoundCall[] | undefined {
  const text = body.trim()
  if (text.startsWith('[{') || /^\[\s+\{/.test(text)) return readList(text)
  const brace = text.indexOf('{')
  const name = /^([^[\]{}]+?)\s*(?:\[CALL_ID\][^[\]]*)?(?:\[ARGS\]\s*)?$/.exec(text.slice(0, brace))?.[1]
  const args = brace < 0 ? undefined : parseObject(text.slice(brace))
  return name === undefined || args === undefined ? undefined : [{ name, args }]
}

function readList(text: string): FoundCall[] | undefined {
  const list = parseObject(`{"calls":${text}}`)?.calls
  if (!Array.isArray(list)) return undefined
  const calls = list.map((call): FoundCall | undefined =>
    isRecord(call) && typeof call.name === 'string' && isRecord(call.arguments)
      ? { name: call.name, args: call.arguments }
      : undefined,
  )
  return calls.every((call) => call !== undefined) ? calls : undefined
}
