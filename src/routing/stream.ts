import type { CompletionRequest, EngineDoneEvent, EngineTokenEvent } from '../engines/index.ts'
import type { InferenceEvent, OutputFormat, Usage } from '../inference/index.ts'
import type { OutputParser, OutputPiece } from '../prompts/index.ts'
import type { Generate } from './run.ts'

/** What a finished stream leaves behind. */
export interface StreamEnd {
  reason: 'stop' | 'length'
  usage: Usage
  stopSequence?: string
  outputTokens: number[]
}

/** So many identical pieces in a row are a model that will not stop by itself: whitespace under a JSON grammar. */
const mostRepeats = 30

type Piece = Exclude<InferenceEvent, { type: 'done' }>

/** Runs a completion and tells thinking, calls and text apart. Returns what only the end knows. */
export async function* streamCompletion(
  generate: Generate,
  completion: CompletionRequest,
  parser: OutputParser | undefined,
  signal: AbortSignal,
): AsyncGenerator<Piece, StreamEnd> {
  const outputTokens: number[] = []
  let done: EngineDoneEvent | undefined
  const repeats = createRepeatGuard()
  const startedAtMs = performance.now()
  let firstTokenMs: number | undefined
  for await (const event of generate(completion, signal)) {
    if (event.type === 'progress') continue
    if (event.type === 'done') {
      done = event
      continue
    }
    firstTokenMs ??= performance.now()
    if (event.type !== 'token') {
      yield event
      continue
    }
    for (const token of event.tokens) outputTokens.push(token)
    yield* parser ? withLogprobs(parser.push(event.text), event) : plain(event)
    if (repeats(event.text)) break
  }
  if (parser) yield* parser.end()
  if (done) {
    const { reason, usage, stopSequence } = done
    return { reason, usage, outputTokens, ...(stopSequence !== undefined && { stopSequence }) }
  }
  const endedAtMs = performance.now()
  const promptMs = (firstTokenMs ?? endedAtMs) - startedAtMs
  const usage = {
    promptTokens: 0,
    cachedTokens: 0,
    outputTokens: outputTokens.length,
    promptMs,
    outputMs: endedAtMs - startedAtMs - promptMs,
  }
  return { reason: 'length', usage, outputTokens }
}

/**
 * A thinking model cannot think inside a grammar. So it runs free until its first word of content, and is then
 * asked again from there, with its thinking as the beginning of the answer, bound to the format.
 * `createParser` makes a parser for output that begins after `prompt`.
 */
export async function* streamFormattedThinking(
  generate: Generate,
  completion: CompletionRequest & { prompt: string },
  format: OutputFormat,
  createParser: (prompt: string) => OutputParser,
  { close, answer }: { close: string; answer: string },
  signal: AbortSignal,
): AsyncGenerator<Piece, StreamEnd> {
  const parser = createParser(completion.prompt)
  const thinkingTokens: number[] = []
  let raw = ''
  let thought = false
  const startedAtMs = performance.now()
  let promptMs = 0
  for await (const event of generate(completion, signal)) {
    if (event.type !== 'token') continue
    promptMs ||= performance.now() - startedAtMs
    raw += event.text
    const pieces = parser.push(event.text)
    const thinking = pieces.filter((piece) => piece.type === 'thinking')
    thought ||= thinking.length > 0
    yield* thinking
    if (pieces.some((piece) => piece.type !== 'thinking')) break
    for (const token of event.tokens) thinkingTokens.push(token)
  }
  const closedAt = raw.indexOf(close)
  const prefix = thought ? (closedAt < 0 ? raw : raw.slice(0, closedAt)) + close + answer : ''
  const thinkingMs = performance.now() - startedAtMs - promptMs
  const bound = { ...completion, format, prompt: completion.prompt + prefix }
  const end = yield* streamCompletion(generate, bound, undefined, signal)
  return {
    ...end,
    outputTokens: [...thinkingTokens, ...end.outputTokens],
    usage: {
      promptTokens: Math.max(0, end.usage.promptTokens - thinkingTokens.length),
      cachedTokens: Math.max(0, end.usage.cachedTokens - thinkingTokens.length),
      outputTokens: thinkingTokens.length + end.usage.outputTokens,
      promptMs,
      outputMs: thinkingMs + end.usage.promptMs + end.usage.outputMs,
    },
  }
}

function* plain(event: EngineTokenEvent): Iterable<Piece> {
  if (event.logprobs) yield { type: 'token', text: event.text, logprobs: event.logprobs }
  else if (event.text !== '') yield { type: 'token', text: event.text }
}

/** Probabilities go with the first piece of their token; a token that shows nothing still carries them. */
function* withLogprobs(pieces: OutputPiece[], event: EngineTokenEvent): Iterable<Piece> {
  if (!event.logprobs) {
    yield* pieces
    return
  }
  const [first, ...rest] = pieces
  yield { ...(first ?? { type: 'token', text: '' }), logprobs: event.logprobs }
  yield* rest
}

function createRepeatGuard(): (text: string) => boolean {
  let last = ''
  let count = 0
  return (text) => {
    const trimmed = text.trim()
    count = trimmed === last ? count + 1 : 0
    last = trimmed
    return count >= mostRepeats
  }
}
