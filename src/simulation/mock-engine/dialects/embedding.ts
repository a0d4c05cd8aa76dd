import type { MockCore } from '../core.ts'
import type { Call } from '../http/call.ts'
import type { MockModel } from '../model.ts'
import { contextExceeded } from '../refusal.ts'

/** An L2-normalised vector that is a function of the tokens alone: xorshift32 over their hash. */
export function vectorOf(tokens: readonly number[], dimensions: number): Float32Array {
  let state = 0x811c9dc5
  for (const token of tokens) state = Math.imul(state ^ token, 0x01000193)
  // Zero would stay zero.
  state = state | 0 || 1
  const vector = Float32Array.from({ length: dimensions }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 31
  })
  const norm = Math.hypot(...vector)
  return vector.map((value) => value / norm)
}

export interface Embedded {
  vectors: Float32Array[]
  promptTokens: number
}

/** Embeds texts at the speed of prefill, all at once as far as the slots go. */
export async function embedAll(
  core: MockCore,
  call: Call,
  model: MockModel,
  inputs: readonly (readonly number[])[],
  dimensions = core.settings.embeddingDimensions,
): Promise<Embedded> {
  const { contextTokens } = core.settings
  for (const input of inputs) {
    if (input.length >= contextTokens) throw contextExceeded(input.length, contextTokens)
  }
  await Promise.all(
    inputs.map(async (prompt) => {
      const run = model.run({ prompt, maxTokens: 0, cachePrompt: false }, call.signal)
      for await (const progress of run) if (progress.done) return
    }),
  )
  return {
    vectors: inputs.map((input) => vectorOf(input, dimensions)),
    promptTokens: inputs.reduce((total, input) => total + input.length, 0),
  }
}

export function base64Of(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}
