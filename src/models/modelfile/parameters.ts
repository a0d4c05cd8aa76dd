import type { ModelOptions } from '../../inference/index.ts'
import { optionKinds } from '../parameters.ts'
import { ModelfileError } from './commands.ts'

/** Parameters that engines once had; Ollama passes over them. */
const deprecatedNames = new Set([
  'penalize_newline',
  'low_vram',
  'f16_kv',
  'logits_all',
  'vocab_only',
  'use_mlock',
  'mirostat',
  'mirostat_tau',
  'mirostat_eta',
  'tfs_z',
  'numa',
])

/**
 * Parameters with the types that they have; `stop` adds up, of others the last counts. Throws `ModelfileError`
 * (`unknown parameter 'x'`, `invalid float value [x]`).
 */
export function readModelfileParameters(pairs: readonly (readonly [name: string, value: string])[]): {
  options: ModelOptions
  deprecated: string[]
} {
  const options: Record<string, unknown> = {}
  const deprecated: string[] = []
  for (const [name, value] of pairs) {
    if (deprecatedNames.has(name)) {
      deprecated.push(name)
      continue
    }
    if (!Object.hasOwn(optionKinds, name)) throw new ModelfileError(`unknown parameter '${name}'`)
    const kind = optionKinds[name as keyof ModelOptions]
    if (kind === 'strings') options[name] = [...((options[name] as string[] | undefined) ?? []), value]
    else options[name] = read(kind, value)
  }
  return { options, deprecated }
}

function read(kind: 'integer' | 'number' | 'boolean', value: string): number | boolean {
  switch (kind) {
    case 'integer':
      if (!/^[+-]?\d+$/.test(value)) throw new ModelfileError(`invalid int value [${value}]`)
      return Number(value)
    case 'number':
      if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) {
        throw new ModelfileError(`invalid float value [${value}]`)
      }
      return Number(value)
    default:
      if (/^(1|t|true)$/i.test(value)) return true
      if (/^(0|f|false)$/i.test(value)) return false
      throw new ModelfileError(`invalid bool value [${value}]`)
  }
}
