/** Conversations for servers that take nothing else: messages out, told-apart pieces in. */
import { DroverError, type Message, type Think, type Tool, type ToolCall } from '../../inference/index.ts'
import type { ChatPrompt, CompletionRequest } from '../contract.ts'
import { finishOf, plainBody, responseFormat, usageOf } from './completions.ts'
import type { CallPiece, ChatTraits, Dialect, Piece, ServedModel } from './dialect.ts'
import type { ServerEvent } from './events.ts'
import { readLogprobs } from './logprobs.ts'

export const chatPath = '/v1/chat/completions'

/**
 * The body of `POST /v1/chat/completions`. `said` is what another instance has answered already, to be continued.
 * Throws `unsupported` for prompts that are no conversation, and where the server cannot go on with an answer.
 */
export function chatBody(
  request: CompletionRequest,
  model: ServedModel,
  { title, chat: traits }: Dialect,
  said: string,
): Record<string, unknown> {
  const { chat, topLogprobs } = request
  if (!chat) {
    throw new DroverError('unsupported', `${title} takes conversations only: raw prompts need another engine`)
  }
  if (said !== '' && !traits.continuation) {
    throw new DroverError('engine_failed', `${title} cannot go on with an answer that another instance began`)
  }
  const { prompt: _, logprobs: _count, max_tokens, ...plain } = plainBody(request, model)
  const messages = messagesFor(chat.messages, traits)
  return {
    ...plain,
    ...responseFormat(request),
    // No limit but the context is none that has to be said, and one beyond it some refuse.
    ...(request.maxTokens < model.contextLength && { max_tokens }),
    messages: said === '' ? messages : [...messages, { role: 'assistant', content: said }],
    ...(said !== '' && traits.continuation),
    ...(chat.tools.length > 0 && { tools: chat.tools.map(toolFor) }),
    ...(topLogprobs !== undefined && { logprobs: true, top_logprobs: topLogprobs }),
    ...thinkingFor(chat, traits),
  }
}

function thinkingFor({ think }: ChatPrompt, { thinkingBy }: ChatTraits): Record<string, unknown> {
  if (think === undefined) return {}
  const effort = effortOf(think)
  if (thinkingBy === 'effort') return effort === undefined ? {} : { reasoning_effort: effort }
  return {
    chat_template_kwargs: { enable_thinking: think !== false },
    ...(typeof think === 'string' && { reasoning_effort: effort }),
  }
}

/** `true` leaves how hard to the model. */
function effortOf(think: Think): string | undefined {
  if (think === true) return undefined
  if (think === false) return 'none'
  return think === 'max' ? 'high' : think
}

const toolFor = ({ function: { name, description, parameters } }: Tool) => ({
  type: 'function',
  function: { name, ...(description !== undefined && { description }), parameters },
})

function messagesFor(messages: readonly Message[], { thinkingField }: ChatTraits): Record<string, unknown>[] {
  const nameCall = createCallNames()
  return messages.map((message) => {
    const { role, content, images = [], thinking, tool_calls: calls } = message
    if (role === 'tool') return { role, content, tool_call_id: nameCall.of(message) }
    return {
      role,
      content: images.length > 0 ? partsOf(content, images) : content,
      ...(thinking && { [thinkingField]: thinking }),
      ...(calls &&
        calls.length > 0 && { tool_calls: calls.map((call) => callFor(call, nameCall.next(call))) }),
    }
  })
}

const callFor = ({ function: { name, arguments: given } }: ToolCall, id: string) => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.stringify(given) },
})

/** Ollama's calls and answers may do without ids, which OpenAI's need: an answer is the next call's of its name. */
function createCallNames() {
  let count = 0
  const open: { id: string; name: string }[] = []
  return {
    next({ id = `call_${count}`, function: { name } }: ToolCall): string {
      count++
      open.push({ id, name })
      return id
    },
    of({ tool_call_id: id, tool_name: name }: Message): string {
      if (id !== undefined) return id
      const index = name === undefined ? 0 : open.findIndex((call) => call.name === name)
      return open.splice(Math.max(0, index), 1)[0]?.id ?? `call_${count}`
    },
  }
}

function partsOf(content: string, images: readonly Uint8Array[]): Record<string, unknown>[] {
  const pictures = images.map((image) => ({
    type: 'image_url',
    image_url: { url: `data:${mediaTypeOf(image)};base64,${Buffer.from(image).toString('base64')}` },
  }))
  return [...pictures, { type: 'text', text: content }]
}

/** By the first bytes; servers look for themselves, but some refuse an address without a type. */
function mediaTypeOf(image: Uint8Array): string {
  const start = Buffer.from(image.subarray(0, 12)).toString('latin1')
  if (start.startsWith('\x89PNG')) return 'image/png'
  if (start.startsWith('GIF8')) return 'image/gif'
  return start.startsWith('RIFF') && start.endsWith('WEBP') ? 'image/webp' : 'image/jpeg'
}

interface Delta {
  content?: string | null
  /** One or the other, by the server and its age. */
  reasoning_content?: string | null
  reasoning?: string | null
  tool_calls?: DeltaCall[] | null
}

interface DeltaCall {
  index?: number
  id?: string | null
  function?: { name?: string | null; arguments?: string | null }
}

/** Reads the events of `/v1/chat/completions`. */
export function chatReader({ topLogprobs }: CompletionRequest): (event: ServerEvent) => Piece {
  return (event) => {
    const [choice = {}] = (event['choices'] ?? []) as {
      delta?: Delta
      finish_reason?: string | null
      logprobs?: unknown
    }[]
    const { content, reasoning_content, reasoning, tool_calls } = choice.delta ?? {}
    const logprobs = topLogprobs === undefined ? undefined : readLogprobs(choice.logprobs, topLogprobs)
    const thinking = reasoning_content || reasoning
    const usage = usageOf(event)
    return {
      text: content ?? '',
      ...(thinking && { thinking }),
      ...(tool_calls && tool_calls.length > 0 && { calls: tool_calls.map(callPieceOf) }),
      ...(logprobs && { logprobs }),
      ...finishOf(choice.finish_reason),
      ...(usage && { usage }),
    }
  }
}

function callPieceOf({ index, id, function: called }: DeltaCall, place: number): CallPiece {
  return {
    index: index ?? place,
    ...(id && { id }),
    ...(called?.name && { name: called.name }),
    ...(called?.arguments && { arguments: called.arguments }),
  }
}

/** Puts the parts of calls together; a call is whole when the next begins, or the answer ends. */
export function createCallCollector() {
  let current: { index: number; id: string | undefined; name: string; written: string } | undefined
  let made = 0

  function finish(): ToolCall[] {
    if (!current) return []
    const { id, name, written } = current
    current = undefined
    const call = { function: { index: made++, name, arguments: argumentsOf(name, written) } }
    return [id === undefined ? call : { id, ...call }]
  }

  return {
    /** Gives the calls that are whole by now. */
    push(pieces: readonly CallPiece[]): ToolCall[] {
      return pieces.flatMap((piece) => {
        const whole = current && current.index !== piece.index ? finish() : []
        current ??= { index: piece.index, id: piece.id, name: '', written: '' }
        current.name += piece.name ?? ''
        current.written += piece.arguments ?? ''
        return whole
      })
    },
    finish,
  }
}

function argumentsOf(name: string, written: string): Record<string, unknown> {
  if (written.trim() === '') return {}
  try {
    const given: unknown = JSON.parse(written)
    if (typeof given === 'object' && given !== null && !Array.isArray(given)) return { ...given }
  } catch {
    // What is no JSON is refused below with its words.
  }
  throw new DroverError(
    'engine_failed',
    `the model called ${name} with arguments that are no JSON object: ${written.slice(0, 200)}`,
  )
}
