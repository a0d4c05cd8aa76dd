/** Equal requests whose answer is certain: computed once while they are under way together, or given again later. */
import type { InferenceEvent, InferenceRequest, ModelOptions, RouteReport } from '../inference/index.ts'
import { type Joiner, type ResponseCache, requestKey } from './batching/index.ts'
import type { RouteListener } from './contract.ts'
import type { RenderedPrompt } from './render.ts'
import type { ResolvedModel } from './resolve.ts'

export interface Repeats {
  joiner?: Joiner
  cache?: ResponseCache
}

/** What of a request decides its answer. */
export interface RepeatOf {
  request: InferenceRequest
  model: ResolvedModel
  options: ModelOptions
  rendered?: RenderedPrompt
}

type Open = (signal: AbortSignal, routed: RouteListener) => AsyncIterable<InferenceEvent>

/** Wraps what computes an answer, so that equal requests share it. */
export function createRepeater({ joiner, cache }: Repeats) {
  /** Where the run of each key went, for those who join it. */
  const reports = new Map<string, RouteReport>()

  return async function* answer(
    of: RepeatOf,
    open: Open,
    signal: AbortSignal,
    routed: RouteListener,
  ): AsyncGenerator<InferenceEvent> {
    const key = joiner || cache ? keyOf(of) : undefined
    if (key === undefined) return yield* open(signal, routed)
    const kept = cache?.find(key)
    if (kept) {
      routed(fromCache)
      return yield* kept
    }
    // Who has a deadline waits for nobody's turn but its own, and nobody is to be refused for it.
    if (!joiner || of.request.routing?.deadlineInMs !== undefined) {
      return yield* cache ? cache.record(key, open(signal, routed)) : open(signal, routed)
    }
    let told = !joiner.has(key)
    /** The run that it has joined may have to wait for its instance yet. */
    const tell = () => {
      const report = reports.get(key)
      if (told || !report) return
      told = true
      routed({ ...report, reason: `joined an equal request; ${report.reason}` })
    }
    tell()
    for await (const event of joiner.join(key, (shared) => openShared(key, open, shared, routed), signal)) {
      tell()
      yield event
    }
  }

  async function* openShared(
    key: string,
    open: Open,
    signal: AbortSignal,
    routed: RouteListener,
  ): AsyncGenerator<InferenceEvent> {
    try {
      const answer = open(signal, (report) => {
        reports.set(key, report)
        routed(report)
      })
      yield* cache ? cache.record(key, answer) : answer
    } finally {
      reports.delete(key)
    }
  }
}

const fromCache: RouteReport = {
  instance: 'none',
  policy: 'response_cache',
  reason: 'an equal request was answered before',
  queuedMs: 0,
  queuePosition: 0,
  moves: 0,
}

function keyOf({ request, model, options, rendered }: RepeatOf): string | undefined {
  // Without its text nobody knows what is asked; log-probabilities are asked for by those who study the engine.
  if (!rendered || request.logprobs) return undefined
  // A model's own defaults may be certain too; but only who asks for certainty reckons with one answer for all.
  const { temperature, seed = -1 } = request.options
  if (temperature !== 0 && seed < 0) return undefined
  const { tenant = '' } = request.routing ?? {}
  return requestKey({
    tenant,
    modelKey: model.key,
    modelDigest: model.description.stored.digest,
    prompt: rendered.text,
    ...(rendered.images.length > 0 && { images: rendered.images }),
    options,
    ...(request.format !== undefined && { format: request.format }),
    ...(request.kind === 'chat' && request.tools && { tools: request.tools }),
    ...(request.think !== undefined && { think: request.think }),
    // Who wants to be served otherwise is served alone.
    more: {
      kind: request.kind,
      raw: request.kind === 'generate' && request.raw,
      truncate: request.truncate,
      shift: request.shift,
      keepAliveMs: request.keepAliveMs,
      routing: JSON.stringify({ ...request.routing, session: undefined, deadlineInMs: undefined }),
    },
  })
}
