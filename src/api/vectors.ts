import { setImmediate } from 'node:timers/promises'
import { DroverError } from '../inference/index.ts'

/** Texts to embed: nothing, one, or an array of them. Throws `invalid input type` for anything else. */
export function toInputs(input: unknown): string[] {
  if (input === undefined || input === null || input === '') return []
  if (typeof input === 'string') return [input.toWellFormed()]
  if (Array.isArray(input) && input.every((text) => typeof text === 'string')) {
    return input.map((text) => text.toWellFormed())
  }
  throw new DroverError('invalid_request', 'invalid input type')
}

/** Half a millisecond each at 768 dimensions: after so many, other requests have their turn. */
const vectorsAtOnce = 8

/** Vectors as JSON, joined by commas; `write` makes one. Long lists do not hold up other requests. */
export async function joinVectors(
  vectors: Float32Array[],
  write: (vector: Float32Array, index: number) => string,
): Promise<string> {
  const parts: string[] = []
  for (const [index, vector] of vectors.entries()) {
    if (index % vectorsAtOnce === vectorsAtOnce - 1) await setImmediate()
    parts.push(write(vector, index))
  }
  return parts.join(',')
}
