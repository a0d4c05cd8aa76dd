import type { Logprob } from '../../inference/index.ts'
import type { CompletionRequest, EngineDoneEvent, EngineEvent } from '../contract.ts'
import { createTextStream } from '../embedded/text.ts'
import { createCallCollector } from './chat.ts'
import type { Piece, PieceUsage } from './dialect.ts'
import type { ServerEvent } from './events.ts'

export interface AnswerContext {
  read(event: ServerEvent): Piece
  /** Tokens go with their text; else they come with the last of it. */
  tellsTokens: boolean
  /** See `CompletionRoute.stopsItself`. */
  stopsItself: boolean
  /** Tokens of a whole answer, of a server that tells none. */
  tokensOf(text: string): Promise<number[]>
}

/** After a stop string the server has so many events to end by itself, with its usage; then it is left. */
const eventsAfterStop = 8

/** The server's events as the engine's. Stop strings are looked for here too: not every server hides all of one. */
export async function* translate(
  batches: AsyncIterable<ServerEvent[]>,
  request: CompletionRequest,
  { read, tellsTokens, stopsItself, tokensOf }: AnswerContext,
): AsyncGenerator<EngineEvent> {
  const clock = createAnswerClock()
  const text = createStopGuard(request.stop)
  const calls = createCallCollector()
  let tokens: number[] = []
  let logprobs: Logprob[] = []
  let said = ''
  let pieces = 0
  let usage: PieceUsage = {}
  let end: { reason: EngineDoneEvent['reason']; stopSequence?: string } | undefined
  let eventsLeft = stopsItself ? eventsAfterStop : 0

  function* show(shown: string): Generator<EngineEvent> {
    if (shown === '' && logprobs.length === 0) return
    said += shown
    const own = tellsTokens ? tokens : []
    yield { type: 'token', text: shown, tokens: own, ...(logprobs.length > 0 && { logprobs }) }
    logprobs = []
    if (tellsTokens) tokens = []
  }

  function* take(piece: Piece): Generator<EngineEvent> {
    clock.saw(piece)
    pieces += piece.text === '' ? 0 : 1
    if (piece.thinking) yield { type: 'thinking', text: piece.thinking }
    for (const call of piece.calls ? calls.push(piece.calls) : []) yield { type: 'toolCall', call }
    if (piece.tokens) for (const token of piece.tokens) tokens.push(token)
    if (piece.logprobs) logprobs.push(...piece.logprobs)
    const { shown, stop } = text.push(piece.text)
    // Text that is held back keeps its tokens with it.
    if (shown !== '' || stop !== undefined) yield* show(shown)
    if (stop !== undefined) end = { reason: 'stop', stopSequence: stop }
    else if (piece.finish) {
      end = {
        reason: piece.finish,
        ...(piece.stopSequence !== undefined && { stopSequence: piece.stopSequence }),
      }
      yield* show(text.end())
    }
  }

  reading: for await (const events of batches) {
    for (const event of events) {
      const piece = read(event)
      usage = { ...usage, ...piece.usage }
      if (end) eventsLeft--
      else yield* take(piece)
      // What a server still says behind a stop string nobody wants.
      if (end?.stopSequence !== undefined && eventsLeft <= 0) break reading
    }
  }
  if (!end) throw new Error('the server ended the answer before its last event')
  for (const call of calls.finish()) yield { type: 'toolCall', call }
  // The token that ended the turn is not of the text.
  if (end.reason === 'stop' && end.stopSequence === undefined) tokens.pop()
  const last = tellsTokens || tokens.length > 0 ? tokens : await tokensOf(said)
  if (last.length > 0 || logprobs.length > 0) {
    yield { type: 'token', text: '', tokens: last, ...(logprobs.length > 0 && { logprobs }) }
  }
  yield { type: 'done', ...end, usage: clock.usage(usage, pieces) }
}

function createStopGuard(stops: readonly string[]) {
  if (stops.every((stop) => stop === '')) {
    return { push: (text: string) => ({ shown: text, stop: undefined }), end: () => '' }
  }
  const stream = createTextStream(stops)
  return {
    push(text: string): { shown: string; stop: string | undefined } {
      const pushed = stream.push(Buffer.from(text))
      return { shown: pushed.text, stop: pushed.stop }
    },
    end: stream.end,
  }
}

/** Prompt and answer by the clock on the wall, where the server tells no times. */
function createAnswerClock() {
  const startedMs = performance.now()
  let firstMs: number | undefined
  return {
    saw({ text, thinking, tokens, calls }: Piece): void {
      if (text !== '' || thinking || calls || (tokens?.length ?? 0) > 0) firstMs ??= performance.now()
    },
    usage(told: PieceUsage, pieces: number) {
      const endMs = performance.now()
      const begunMs = firstMs ?? endMs
      return {
        promptTokens: 0,
        cachedTokens: 0,
        outputTokens: pieces,
        promptMs: begunMs - startedMs,
        outputMs: endMs - begunMs,
        ...told,
      }
    },
  }
}
