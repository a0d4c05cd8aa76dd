import { DroverError, type Message, type Role, type ToolCall } from '../../inference/index.ts'
import { DecodeError, decodeBase64 } from '../go-json/index.ts'
import { goTypeOf, type OpenAiMessage, type OpenAiToolCall } from './requests.ts'

const refuse = (message: string) => new DroverError('invalid_request', message)

/** The conversation in Ollama's form: every part of a message's content becomes a message of its own. */
export function toMessages(messages: OpenAiMessage[]): Message[] {
  const converted: Message[] = []
  for (const message of messages) {
    const role = (message.role ?? '').toLowerCase() as Role
    const answered = answeredCall(message, role, messages)
    const { content } = message
    if (typeof content === 'string') {
      converted.push({ role, content: content.toWellFormed(), ...turnOf(message), ...answered })
    } else if (Array.isArray(content)) {
      const parts = content.map((part) => ({ ...toPart(part, role), ...answered }))
      const last = parts.at(-1)
      if (last) Object.assign(last, turnOf(message))
      else if (message.tool_calls?.length) parts.push({ role, content: '', ...turnOf(message), ...answered })
      converted.push(...parts)
    } else {
      if (!message.tool_calls) throw refuse(`invalid message content type: ${goTypeOf(content)}`)
      converted.push({ role, content: '', ...turnOf(message), ...answered })
    }
  }
  return converted
}

/** What belongs to the turn and not to one part of its content. */
function turnOf({ reasoning, tool_calls: calls }: OpenAiMessage): Partial<Message> {
  return {
    ...(reasoning && { thinking: reasoning }),
    ...(calls?.length && { tool_calls: calls.map(toToolCall) }),
  }
}

/** Which call a tool's message answers; its tool is found by the call's id when the message does not name it. */
function answeredCall(message: OpenAiMessage, role: string, messages: OpenAiMessage[]): Partial<Message> {
  const { tool_call_id: id, name } = message
  const toolName = role === 'tool' ? name || (id ? nameOfCall(id, messages) : '') : ''
  return { ...(toolName && { tool_name: toolName }), ...(id && { tool_call_id: id }) }
}

function nameOfCall(id: string, messages: OpenAiMessage[]): string {
  const calls = messages.flatMap((message) => message.tool_calls ?? [])
  return calls.findLast((call) => call.id === id)?.function?.name ?? ''
}

function toToolCall({ id, index = 0, function: called = {} }: OpenAiToolCall): ToolCall {
  const { name = '', arguments: text = '' } = called
  return { ...(id && { id }), function: { index, name, arguments: toArguments(text) } }
}

/** A call's arguments from their JSON. Throws `invalid_request`. */
export function toArguments(text: string): Record<string, unknown> {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
    if (value === null) return {}
  } catch (thrown) {
    throw new DroverError('invalid_request', 'invalid tool call arguments', { cause: thrown })
  }
  throw refuse('invalid tool call arguments')
}

function toPart(part: unknown, role: Role): Message {
  const { type, text, image_url: imageUrl, input_audio: audio } = members(part, 'invalid message format')
  if (type === 'text' && typeof text === 'string') return { role, content: text.toWellFormed() }
  if (type === 'image_url') {
    const url = typeof imageUrl === 'string' ? imageUrl : members(imageUrl, 'invalid message format').url
    if (typeof url === 'string') return { role, content: '', images: [decodeImage(url)] }
  }
  if (type === 'input_audio') {
    const { data } = members(audio, 'invalid input_audio format')
    if (typeof data !== 'string') throw refuse('invalid input_audio format: missing data')
    return {
      role,
      content: '',
      images: [decode(data, (reason) => `invalid input_audio base64 data: ${reason}`)],
    }
  }
  throw refuse('invalid message format')
}

function members(value: unknown, otherwise: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse(otherwise)
  return value as Record<string, unknown>
}

const imagePrefix = /^data:(?:image\/(?:jpeg|jpg|png|webp))?;base64,/

/** The bytes of an image's data URI. Throws `invalid_request`. */
export function decodeImage(url: string): Uint8Array {
  if (/^https?:\/\//.test(url)) {
    throw refuse('image URLs are not currently supported, please use base64 encoded data instead')
  }
  const prefix = imagePrefix.exec(url)?.[0]
  if (prefix === undefined) throw refuse('invalid image input')
  return decode(url.slice(prefix.length), () => 'invalid image input')
}

function decode(base64: string, describe: (reason: string) => string): Uint8Array {
  try {
    return decodeBase64(base64)
  } catch (thrown) {
    if (thrown instanceof DecodeError) throw refuse(describe(thrown.message))
    throw thrown
  }
}
