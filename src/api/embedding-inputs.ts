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
