import type { ModelOptions } from '../inference/index.ts'

type Kind = 'integer' | 'number' | 'boolean' | 'strings'

/** Type of every option, so that one written as text, as older tools did, is still understood. */
export const optionKinds: Record<keyof ModelOptions, Kind> = {
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
  temperature: 'number',
  top_k: 'integer',
  top_p: 'number',
  min_p: 'number',
  typical_p: 'number',
  repeat_last_n: 'integer',
  repeat_penalty: 'number',
  presence_penalty: 'number',
  frequency_penalty: 'number',
  stop: 'strings',
}

/** Options that a params layer had, and the names of those that are unknown or of a wrong type. */
export interface ParsedParameters {
  options: ModelOptions
  dropped: string[]
}

/** Reads the parsed JSON of a params layer. Whatever it is, something comes out: a store is read with tolerance. */
export function parseParameters(json: unknown): ParsedParameters {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return { options: {}, dropped: [] }
  const options: Record<string, unknown> = {}
  const dropped: string[] = []
  for (const [name, value] of Object.entries(json)) {
    const kind = Object.hasOwn(optionKinds, name) ? optionKinds[name as keyof ModelOptions] : undefined
    const option = kind && read(kind, value)
    if (option === undefined) dropped.push(name)
    else options[name] = option
  }
  return { options, dropped }
}

function read(kind: Kind, value: unknown): number | boolean | string[] | undefined {
  switch (kind) {
    case 'strings':
      if (typeof value === 'string') return [value]
      return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
    case 'boolean':
      if (typeof value === 'boolean') return value
      return value === 'true' ? true : value === 'false' ? false : undefined
    default: {
      const written = typeof value === 'string' && value.trim() !== ''
      const number = typeof value === 'number' ? value : written ? Number(value) : Number.NaN
      if (!Number.isFinite(number)) return undefined
      return kind === 'integer' ? Math.trunc(number) : number
    }
  }
}
