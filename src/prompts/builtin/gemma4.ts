import type { Message, ToolProperty } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import {
  gemmaCallEnd,
  gemmaDeclaration,
  gemmaValue,
  readGemmaCall,
  sortedEntries,
} from './gemma4-notation.ts'
import { typesOf } from './rendering.ts'
import { createSectionParser, isRecord } from './sections.ts'

/**
 * Gemma 4: `<|turn>role` to `<turn|>`, thinking in `<|channel>thought` to `<channel|>`, and tools in Gemma's own
 * notation. By the chat template published with the models (July 2026).
 */

const quote = '<|"|>'
const thinkingOpen = '<|channel>thought\n'
const callClose = '<tool_call|>'

/** The special tokens that the parser must see. */
export const gemma4PreservedTokens = [
  '<|channel>',
  '<channel|>',
  '<|tool_call>',
  callClose,
  '<|tool_response>',
  quote,
]

export interface Gemma4Options {
  /** The larger models expect an empty thought before an answer without thinking. */
  emptyThought?: boolean
}

/** Renders a conversation. A last assistant message is closed, as its template does. */
export function renderGemma4({ messages, tools, think }: PromptTurn, options: Gemma4Options = {}): string {
  const thinks = think !== undefined && think !== false
  const system = messages[0]?.role === 'system' ? messages[0] : undefined
  const turns = system === undefined ? messages : messages.slice(1)
  let prompt = '<bos>'
  if (system !== undefined || tools.length > 0 || thinks) {
    const declared = tools.map((tool) => `<|tool>${gemmaDeclaration(tool, quote, property)}<tool|>`)
    prompt += `<|turn>system\n${thinks ? '<|think|>\n' : ''}${system?.content.trim() ?? ''}${declared.join('')}<turn|>\n`
  }
  const lastUser = turns.findLastIndex(({ role }) => role === 'user')
  let last: ReturnType<typeof renderTurn> | undefined
  turns.forEach((message, index) => {
    if (message.role === 'tool') return
    last = renderTurn(turns, index, lastUser)
    prompt += last.text
  })
  // Behind a call, or a tool's reply, the model's turn is still open.
  if (last?.openTurn === 'reply' && thinks) return prompt + thinkingOpen
  if (last?.openTurn !== undefined) return prompt
  return `${prompt}<|turn>model\n${options.emptyThought && !thinks ? `${thinkingOpen}<channel|>` : ''}`
}

/** One message, with the tools' replies to its calls. `openTurn`: it leaves the model's turn open, at what. */
function renderTurn(
  turns: readonly Message[],
  index: number,
  lastUser: number,
): { text: string; openTurn?: 'call' | 'reply' } {
  const message = turns[index] as Message
  const calls = message.tool_calls ?? []
  const replies = calls.length > 0 ? repliesBehind(turns, index) : []
  const isModel = message.role === 'assistant'
  const previous = turns.slice(0, index).findLast(({ role }) => role !== 'tool')?.role
  const next = turns.slice(index + 1).find(({ role }) => role !== 'tool')?.role
  let text = isModel && previous === 'assistant' ? '' : `<|turn>${isModel ? 'model' : message.role}\n`
  if (isModel && message.thinking && index > lastUser)
    text += `${thinkingOpen}${message.thinking}\n<channel|>`
  for (const { function: called } of calls) {
    text += `<|tool_call>call:${called.name}${gemmaValue(called.arguments, quote)}${callClose}`
  }
  for (const reply of replies) {
    const value = gemmaValue(reply.content, quote)
    text += `<|tool_response>response:${replyName(reply, message)}{value:${value}}<tool_response|>`
  }
  const content = isModel ? withoutThoughts(message.content) : message.content.trim()
  text += content
  if (calls.length > 0 && replies.length === 0) return { text: `${text}<|tool_response>`, openTurn: 'call' }
  const goesOn = isModel && next === 'assistant'
  const waits = replies.length > 0 && content.trim() === '' && next === undefined
  const openTurn = replies.length > 0 ? { openTurn: 'reply' as const } : {}
  return { text: goesOn || waits ? text : `${text}<turn|>\n`, ...openTurn }
}

function repliesBehind(turns: readonly Message[], index: number): Message[] {
  const behind = turns.slice(index + 1)
  const end = behind.findIndex(({ role }) => role !== 'tool')
  return end < 0 ? behind : behind.slice(0, end)
}

function replyName(reply: Message, { tool_calls = [] }: Message): string {
  const call = reply.tool_call_id ? tool_calls.find(({ id }) => id === reply.tool_call_id) : undefined
  return call?.function.name ?? (reply.tool_name || 'unknown')
}

/** Earlier answers without thoughts left in their text. */
function withoutThoughts(content: string): string {
  return content
    .split('<channel|>')
    .map((part) => part.split('<|channel>')[0])
    .join('')
    .trim()
}

/** A parameter's schema: the type last, each kind of type with its own members. */
function property(schema: ToolProperty): string {
  const types = schemaTypes(schema)
  const type = types[0]
  const members: string[] = []
  if (schema.description) members.push(`description:${gemmaValue(schema.description, quote)}`)
  if (type === 'STRING' && schema.enum?.length) members.push(`enum:${gemmaValue(schema.enum, quote, true)}`)
  if (type === 'ARRAY' && isRecord(schema.items) && Object.keys(schema.items).length > 0) {
    members.push(`items:{${itemsSchema(schema.items)}}`)
  }
  if (type === 'OBJECT') {
    members.push(`properties:{${properties(schema.properties ?? {})}}`)
    if (schema.required?.length) members.push(`required:${gemmaValue(schema.required, quote)}`)
  }
  if (types.length === 1) members.push(`type:${gemmaValue(type, quote)}`)
  // The published template prints a list of types as Python does.
  else if (types.length > 1)
    members.push(`type:${quote}[${types.map((name) => `'${name}'`).join(', ')}]${quote}`)
  return `{${members.join(',')}}`
}

function properties(schemas: Record<string, ToolProperty>): string {
  return sortedEntries(schemas)
    .map(([name, schema]) => `${name}:${property(schema)}`)
    .join(',')
}

/** A list's items, whose schema comes as the client wrote it. */
function itemsSchema(items: Record<string, unknown>): string {
  const member = ([key, value]: [string, unknown]): string => {
    if (key === 'properties') {
      return `properties:{${isRecord(value) ? properties(value as Record<string, ToolProperty>) : ''}}`
    }
    if (key === 'type' && typeof value === 'string') return `type:${gemmaValue(value.toUpperCase(), quote)}`
    if (key === 'type' && Array.isArray(value)) {
      return `type:${gemmaValue(
        value.map((name) => String(name).toUpperCase()),
        quote,
      )}`
    }
    return `${key}:${gemmaValue(value, quote, true)}`
  }
  return sortedEntries(items)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(member)
    .join(',')
}

/** The types in capitals. Without any, those of a plain union: the notation has none of its own for it. */
function schemaTypes(schema: ToolProperty): string[] {
  const own = typesOf(schema)
  const union = (schema.anyOf ?? []).map((branch) =>
    Object.keys(branch).every((key) => key === 'type') ? typesOf(branch) : [],
  )
  const types = own.length > 0 ? own : union.every((branch) => branch.length > 0) ? union.flat() : []
  return [...new Set(types)].map((name) => name.toUpperCase())
}

/**
 * Parses the output. Thinking may be open at the prompt's end; where it was not asked for (`thinks` false) it is
 * dropped, since the model thinks at times all the same.
 */
export function createGemma4Parser(prompt: string, thinks: boolean): OutputParser {
  const start = prompt.endsWith(thinkingOpen) ? 'thinking' : 'content'
  return createSectionParser(
    {
      content: {
        as: 'token',
        trim: 'end',
        markers: [
          ['<|channel>', 'thinking'],
          ['<|tool_call>', 'call'],
        ],
      },
      thinking: {
        as: thinks ? 'thinking' : 'none',
        leading: ['thought\n'],
        trim: 'end',
        markers: [['<channel|>', 'answer']],
      },
      answer: {
        as: 'token',
        trim: 'both',
        markers: [
          ['<|channel>', 'thinking'],
          ['<|tool_call>', 'call'],
        ],
      },
      call: {
        as: 'calls',
        search: gemmaCallEnd(quote, callClose),
        read: (body) => {
          const call = readGemmaCall(body, quote)
          return call && [call]
        },
        next: 'behindCall',
        unread: 'content',
      },
      behindCall: {
        as: 'token',
        trim: 'both',
        leading: [callClose, '<|tool_response>'],
        markers: [
          ['<|channel>', 'thinking'],
          ['<|tool_call>', 'call'],
        ],
      },
    },
    start,
  )
}
