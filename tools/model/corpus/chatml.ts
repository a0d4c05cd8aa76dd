import type { Tool } from './declaration.ts'

/** One message of a training conversation, in the shape of the chat APIs. */
export interface Message {
  readonly role: 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly thinking?: string
  readonly call?: { readonly name: string; readonly arguments: Readonly<Record<string, string | number>> }
}

/** A conversation that ends with the assistant message the model learns to write. */
export interface Conversation {
  readonly system?: string
  readonly tools?: readonly Tool[]
  /** The declared tools as the template prints them, one JSON text each. */
  readonly toolTexts?: readonly string[]
  readonly messages: readonly Message[]
  /** Whether the last answer is written with thinking on. */
  readonly thinks: boolean
  /** Whether the thinking since the last question is kept in earlier messages. */
  readonly keepsThinking?: boolean
}

/** 0: only read; 1: learnt; 2: learnt but for its first token, which the mode of thinking decides. */
export type Loss = 0 | 1 | 2

/** A piece of the training text and how it is learnt. */
export type Segment = readonly [text: string, loss: Loss]

/** JSON with a space after each comma and colon, the form that Jinja's `tojson` prints. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`)
    return `{${entries.join(', ')}}`
  }
  return JSON.stringify(value)
}

function systemBlock(conversation: Conversation): string {
  const { system, toolTexts } = conversation
  if (!system && !toolTexts) return ''
  const tools = toolTexts
    ? `# Tools\nCall a tool with <tool_call> when it fits the question.\n<tools>\n${toolTexts.join('\n')}\n</tools>`
    : ''
  return `<|im_start|>system\n${[system ?? '', tools].filter(Boolean).join('\n\n')}<|im_end|>\n`
}

function assistantText(message: Message): string {
  if (!message.call) return message.content
  return `<tool_call>\n${spacedJson({ name: message.call.name, arguments: message.call.arguments })}\n</tool_call>`
}

/**
 * Lays a conversation out exactly as the model's chat template does, cut where learning begins and ends.
 * The last message is written as after a generation prompt; the earlier ones as history.
 */
export function renderConversation(conversation: Conversation): Segment[] {
  const { messages } = conversation
  const lastQuestion = messages.findLastIndex((message) => message.role === 'user')
  const segments: Segment[] = [[systemBlock(conversation), 0]]
  messages.forEach((message, index) => {
    const isLast = index === messages.length - 1
    if (message.role === 'user') segments.push([`<|im_start|>user\n${message.content}<|im_end|>\n`, 0])
    if (message.role === 'tool') {
      segments.push([
        `<|im_start|>user\n<tool_response>\n${message.content}\n</tool_response><|im_end|>\n`,
        0,
      ])
    }
    if (message.role !== 'assistant') return
    segments.push(['<|im_start|>assistant\n', 0])
    const thought = message.thinking ? `<think>\n${message.thinking}\n</think>\n\n` : ''
    const answer = `${assistantText(message)}<|im_end|>`
    if (isLast && conversation.thinks) segments.push([`${thought}${answer}`, 1])
    else if (isLast) segments.push(['<think>\n\n</think>\n\n', 0], [answer, 1])
    else if (index > lastQuestion && conversation.keepsThinking) segments.push([thought, 0], [answer, 1])
    else segments.push([answer, 2])
    segments.push(['\n', 0])
  })
  return segments.filter(([text]) => text !== '')
}
