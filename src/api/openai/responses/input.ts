import { DroverError, type Message, type Role } from '../../../inference/index.ts'
import { goQuote } from '../../go-json/index.ts'
import { decodeImage, toArguments } from '../messages.ts'

const refuse = (message: string) => new DroverError('invalid_request', message)

type Item = Record<string, unknown>

/** The conversation that `input` and `instructions` make. Throws `invalid_request` with Ollama's words. */
export function toConversation(input: unknown, instructions = ''): Message[] {
  const messages: Message[] = instructions === '' ? [] : [{ role: 'system', content: instructions }]
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }]
  if (!Array.isArray(input)) throw refuse('input must be a string or an array of items')
  /** Thinking that belongs to the assistant's next turn. */
  let thinking = ''
  for (const [index, entry] of input.entries()) {
    const item = asItem(entry, index)
    const type = item['type'] ?? (item['role'] === undefined ? undefined : 'message')
    if (type === 'reasoning') thinking = thinkingOf(item)
    else if (type === 'message') messages.push(toMessage(item, index, thinking))
    else if (type === 'function_call') addCall(messages, item, thinking)
    else if (type === 'function_call_output') messages.push(toToolMessage(item, index, messages))
    else if (type !== 'web_search_call')
      throw refuse(`input[${index}]: unknown input item type: ${goQuote(String(type ?? ''))}`)
    if (type !== 'reasoning') thinking = ''
  }
  return messages
}

function asItem(value: unknown, index: number): Item {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Item
  throw refuse(`input[${index}]: an item must be an object`)
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** What the model thought: Ollama hands it out, and takes it back, as `encrypted_content` in plain text. */
function thinkingOf({ encrypted_content: content, summary }: Item): string {
  if (typeof content === 'string' && content !== '') return content
  const parts = Array.isArray(summary) ? (summary as Item[]) : []
  return parts.map((part) => textOf(part?.['text'])).join('')
}

function toMessage(item: Item, index: number, thinking: string): Message {
  const written = textOf(item['role']).toLowerCase()
  const role = (written === 'developer' ? 'system' : written) as Role
  const { text, images } = toContent(item['content'], index)
  return {
    role,
    content: text,
    ...(images.length > 0 && { images }),
    ...(role === 'assistant' && thinking !== '' && { thinking }),
  }
}

/** A text, or parts of texts and images. */
function toContent(content: unknown, index: number): { text: string; images: Uint8Array[] } {
  if (typeof content === 'string') return { text: content, images: [] }
  if (content === undefined || content === null) return { text: '', images: [] }
  if (!Array.isArray(content)) throw refuse(`input[${index}]: content must be a string or an array of parts`)
  let text = ''
  const images: Uint8Array[] = []
  for (const entry of content) {
    const part = asItem(entry, index)
    switch (part['type']) {
      case 'input_text':
      case 'output_text':
      case 'text':
        text += textOf(part['text'])
        break
      case 'refusal':
        text += textOf(part['refusal'])
        break
      case 'input_image':
        images.push(decodeImage(textOf(part['image_url'])))
        break
      case 'input_file':
        throw refuse('file inputs are not currently supported')
      default:
        throw refuse(`input[${index}]: unknown content type: ${goQuote(String(part['type'] ?? ''))}`)
    }
  }
  return { text, images }
}

/** Calls made in one turn stand in one message. */
function addCall(messages: Message[], item: Item, thinking: string): void {
  const last = messages.at(-1)
  const turn: Message =
    last?.role === 'assistant'
      ? last
      : { role: 'assistant', content: '', ...(thinking !== '' && { thinking }) }
  if (turn !== last) messages.push(turn)
  turn.tool_calls ??= []
  turn.tool_calls.push({
    id: textOf(item['call_id']),
    function: {
      index: turn.tool_calls.length,
      name: textOf(item['name']),
      arguments: toArguments(textOf(item['arguments']) || '{}'),
    },
  })
}

function toToolMessage(item: Item, index: number, messages: readonly Message[]): Message {
  const id = textOf(item['call_id'])
  const calls = messages.flatMap((message) => message.tool_calls ?? [])
  const name = calls.findLast((call) => call.id === id)?.function.name
  const { text, images } = toContent(item['output'], index)
  return {
    role: 'tool',
    content: text,
    ...(images.length > 0 && { images }),
    ...(name !== undefined && { tool_name: name }),
    ...(id !== '' && { tool_call_id: id }),
  }
}
