import { DroverError, type ModelOptions } from '../inference/index.ts'
import { goQuote } from './go-json/index.ts'

type OptionType = 'integer' | 'float32' | 'boolean' | 'array'

/** Ollama's types, by which its errors name what an option must be. */
const optionTypes: Record<keyof ModelOptions, OptionType> = {
  num_ctx: 'integer',
  num_batch: 'integer',
  num_gpu: 'integer',
  main_gpu: 'integer',
  use_mmap: 'boolean',
  num_thread: 'integer',
  draft_num_predict: 'integer',
  num_keep: 'integer',
  seed: 'integer',
  num_predict: 'integer',
  temperature: 'float32',
  top_k: 'integer',
  top_p: 'float32',
  min_p: 'float32',
  typical_p: 'float32',
  repeat_last_n: 'integer',
  repeat_penalty: 'float32',
  presence_penalty: 'float32',
  frequency_penalty: 'float32',
  stop: 'array',
}

const isOption = (name: string): name is keyof ModelOptions => Object.hasOwn(optionTypes, name)

/**
 * A request's `options`: `null` leaves one unset, fractions of integers are cut, unknown and retired names are
 * ignored. Throws `invalid_option` in Ollama's words when a value has the wrong type.
 */
export function toModelOptions(options: Record<string, unknown> = {}): ModelOptions {
  const decoded: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (isOption(name) && value !== null) decoded[name] = toOption(name, value, optionTypes[name])
  }
  return decoded
}

function toOption(name: string, value: unknown, type: OptionType): unknown {
  const refuse = (wanted: string) =>
    new DroverError('invalid_option', `option ${goQuote(name)} must be of ${wanted}`)
  if (type === 'boolean') {
    if (typeof value !== 'boolean') throw refuse('type boolean')
    return value
  }
  if (type === 'array') {
    if (!Array.isArray(value)) throw refuse('type array')
    if (!value.every((item) => typeof item === 'string')) throw refuse('an array of strings')
    return value
  }
  if (typeof value !== 'number' || !Number.isFinite(value)) throw refuse(`type ${type}`)
  if (type === 'float32') return value
  return Math.trunc(Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER))
}
