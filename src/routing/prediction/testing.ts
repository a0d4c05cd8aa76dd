import type { Observed, RatesOf, RequestShape } from './contract.ts'

/** Tests only: a chat of 200 prompt tokens. */
export function shapeLike(changes: Partial<RequestShape> = {}): RequestShape {
  const plain = { tools: false, format: false, thinking: false }
  return { model: 'llama', tenant: 'ann', kind: 'chat', promptTokens: 200, ...plain, ...changes }
}

/** An instance whose true speed is known. */
export interface TrueSpeed {
  prefillTokensPerS: number
  decodeBaseMs: number
  decodePerRequestMs: number
  /** Of every request, before its first token; prompts are slower for it. */
  overheadMs?: number
}

/** What such an instance would report of a request; `noise` multiplies its times. */
export function observed(
  of: RatesOf,
  speed: TrueSpeed,
  { computedTokens = 1000, outputTokens = 100, batch = 1, noise = 1 } = {},
): Observed {
  const stepMs = speed.decodeBaseMs + speed.decodePerRequestMs * batch
  const prefillMs = (speed.overheadMs ?? 0) + (1000 * computedTokens) / speed.prefillTokensPerS
  return {
    of,
    shape: shapeLike({ model: of.model }),
    computedTokens,
    prefillMs: prefillMs * noise,
    outputTokens,
    decodeMs: (outputTokens - 1) * stepMs * noise,
    batch,
  }
}

/** Numbers from 0 up to 1, the same for the same seed: a linear congruence with the factors of Numerical Recipes. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
