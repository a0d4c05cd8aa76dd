import { ndjson } from './drover.ts'

/**
 * What an answer says, whatever its dialect and however it was cut into pieces: texts and calls joined, counts, reasons
 * and tokens as they are, without ids, times and probabilities, which differ from answer to answer.
 */
export function gistOf(path: string, streamed: boolean, text: string): object {
  if (!streamed) return withoutVolatile(JSON.parse(text)) as object
  if (path.startsWith('/api/')) return ollamaGist(ndjson<OllamaLine>(text))
  const events = text
    .split('\n')
    .filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map((line) => JSON.parse(line.slice(6)) as unknown)
  return path === '/v1/messages'
    ? anthropicGist(events as AnthropicEvent[])
    : openaiGist(events as OpenAiChunk[])
}

const volatile = /^(id|created|created_at|.*_duration|system_fingerprint)$/

function withoutVolatile(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutVolatile)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([key]) => !volatile.test(key))
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutVolatile(inner)]))
}

interface OllamaLine {
  response?: string
  thinking?: string
  message?: { content?: string; thinking?: string; tool_calls?: { function: object }[] }
  logprobs?: { token: string }[]
  error?: string
  done?: boolean
  done_reason?: string
  eval_count?: number
  prompt_eval_count?: number
  context?: number[]
}

function ollamaGist(lines: readonly OllamaLine[]): object {
  const join = (part: (line: OllamaLine) => string | undefined) =>
    lines.map((line) => part(line) ?? '').join('')
  const { done, done_reason, eval_count, prompt_eval_count, context } = lines.at(-1) ?? {}
  return {
    text: join(({ response, message }) => response ?? message?.content),
    thinking: join(({ thinking, message }) => thinking ?? message?.thinking),
    calls: lines.flatMap(({ message }) => (message?.tool_calls ?? []).map((call) => call.function)),
    probable: lines.flatMap(({ logprobs = [] }) => logprobs.map(({ token }) => token)),
    errors: lines.flatMap(({ error }) => error ?? []),
    ends: lines.filter((line) => line.done === true).length,
    ...{ done, done_reason, eval_count, prompt_eval_count, context },
  }
}

interface OpenAiChunk {
  error?: object
  usage?: object | null
  choices?: {
    finish_reason?: string | null
    delta: {
      content?: string | null
      reasoning?: string
      tool_calls?: { index: number; function: { name?: string; arguments?: string } }[]
    }
  }[]
}

function openaiGist(chunks: readonly OpenAiChunk[]): object {
  const choices = chunks.flatMap((chunk) => chunk.choices ?? [])
  const calls = choices.flatMap(({ delta }) => delta.tool_calls ?? [])
  return {
    text: choices.map(({ delta }) => delta.content ?? '').join(''),
    reasoning: choices.map(({ delta }) => delta.reasoning ?? '').join(''),
    calls: calls.map((call) => [call.index, call.function.name, call.function.arguments]),
    finish: choices.flatMap(({ finish_reason }) => finish_reason ?? []),
    usage: chunks.flatMap(({ usage }) => usage ?? []),
    errors: chunks.flatMap(({ error }) => error ?? []),
  }
}

interface AnthropicEvent {
  type: string
  index?: number
  content_block?: { type: string; name?: string }
  delta?: {
    text?: string
    thinking?: string
    partial_json?: string
    stop_reason?: string
    stop_sequence?: string
  }
  usage?: object
}

function anthropicGist(events: readonly AnthropicEvent[]): object {
  const blocks: { type: string; name: string; said: string }[] = []
  for (const { type, index = 0, content_block: block, delta } of events) {
    if (block) blocks[index] = { type: block.type, name: block.name ?? '', said: '' }
    const current = blocks[index]
    if (type !== 'content_block_delta' || !current) continue
    current.said += delta?.text ?? delta?.thinking ?? delta?.partial_json ?? ''
  }
  const kinds = events.map(({ type }) => type)
  const last = events.findLast(({ type }) => type === 'message_delta')
  return {
    blocks,
    reason: last?.delta?.stop_reason,
    sequence: last?.delta?.stop_sequence,
    usage: last?.usage,
    stops: kinds.filter((kind) => kind === 'message_stop').length,
    errors: kinds.filter((kind) => kind === 'error').length,
  }
}
