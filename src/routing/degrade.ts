import type { ErrorCode, InferenceRequest } from '../inference/index.ts'

/** What may be served in place of what was asked for. Empty: nothing. */
export interface DegradeOptions {
  /** In order of preference. */
  steps: readonly DegradeStep[]
  /** By model, the models that may stand in for it. */
  fallbackModels: Readonly<Record<string, readonly string[]>>
}

export type DegradeStep = 'model' | 'context' | 'cpu'

/** A lesser request, and in words what is less about it. */
export interface Degraded {
  request: InferenceRequest
  words: string
}

/** Refusals that say "not like this, or not now": something smaller may be served. */
const helped: readonly ErrorCode[] = [
  'model_not_found',
  'insufficient_memory',
  'load_failed',
  'load_stalled',
  'crash_loop',
  'engine_unavailable',
  'engine_crashed',
  'busy',
  'rate_limited',
  'deadline_exceeded',
]

/** No context is halved below this. */
const leastContext = 2048
/** Without a word about the context it is the one that the machine's memory gives; this is tried first then. */
const firstContext = 8192

export function mayDegrade(code: ErrorCode): boolean {
  return helped.includes(code)
}

/** Lesser and lesser requests, each step of its own; a refusal of one leads to the next. */
export function* degradations(
  request: InferenceRequest,
  { steps, fallbackModels }: DegradeOptions,
): Generator<Degraded> {
  for (const step of steps) {
    if (step === 'model') {
      for (const model of fallbackModels[request.model] ?? []) {
        yield { request: { ...request, model }, words: `model ${model} in place of ${request.model}` }
      }
    } else if (step === 'context') {
      yield* shorterContexts(request)
    } else {
      yield { request: withOptions(request, { num_gpu: 0 }), words: 'on the CPU' }
    }
  }
}

function* shorterContexts(request: InferenceRequest): Generator<Degraded> {
  const asked = request.options.num_ctx ?? 2 * firstContext
  for (let context = asked >> 1; context >= leastContext; context >>= 1) {
    yield { request: withOptions(request, { num_ctx: context }), words: `a context of ${context} tokens` }
  }
}

function withOptions(request: InferenceRequest, options: InferenceRequest['options']): InferenceRequest {
  return { ...request, options: { ...request.options, ...options } }
}
