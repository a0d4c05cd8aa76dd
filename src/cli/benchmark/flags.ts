import type { Load } from './contract.ts'
import { type Variant, variantsOf } from './variants.ts'

/** The flags of the command, as Commander has read them. */
export interface BenchmarkFlags {
  multiGpu?: boolean
  strategy: string[]
  gpus: string[]
  stages?: number
  tensorSize?: number
  pipelineSize?: number
  profile?: string
  latency?: boolean
  batchSizes?: number[]
  rate: number[]
  modelSizes: string[]
  memory?: boolean
  kvCacheDistribution?: string
  crossGpuSharing?: string
  requests?: number
  warmup: number
  promptTokens: number
  outputTokens: number
  seed: number
  sloTtft: number
  sloItl: number
  url?: string
  compare?: string
  compareModel?: string
  apiKey?: string
  baseline?: string
  save?: string
  svg?: string
  json?: boolean
}

/** The loads that the flags ask for. */
export function loadsOf({ latency, batchSizes, rate, memory }: BenchmarkFlags): Load[] {
  const usual = latency ? [1, 2, 4, 8, 16] : memory ? [1] : [1, 4]
  const closed = batchSizes ?? (rate.length > 0 && !latency ? [] : usual)
  return [
    ...closed.map((concurrency): Load => ({ kind: 'closed', concurrency })),
    ...rate.map((perSecond): Load => ({ kind: 'open', perSecond })),
  ]
}

/** Of each load: memory needs no figures of speed. */
export function requestsOf({ requests, memory }: BenchmarkFlags): number {
  return requests ?? (memory ? 4 : 32)
}

const kvCacheModes = ['by_layer', 'balanced']
const switches = ['on', 'off']

/**
 * Puts values to their flags that stand behind them without a `=`, where they have been read as models: no model is called
 * `by_layer,balanced`.
 */
export function withValues(
  models: readonly string[],
  flags: BenchmarkFlags,
): { models: string[]; flags: BenchmarkFlags } {
  const isOf = (values: readonly string[]) => (text: string) =>
    list(text).every((part) => values.includes(part))
  const modes = bare(flags.kvCacheDistribution) ? models.find(isOf(kvCacheModes)) : undefined
  const sharing = bare(flags.crossGpuSharing) ? models.find(isOf(switches)) : undefined
  return {
    models: models.filter((text) => text !== modes && text !== sharing),
    flags: {
      ...flags,
      ...(modes !== undefined && { kvCacheDistribution: modes }),
      ...(sharing !== undefined && { crossGpuSharing: sharing }),
    },
  }
}

/** Given without a value. */
const bare = (value: string | undefined) => value === 'true'

/** An option with a value that may be left out: `true` then. */
function modesOf(text: string | undefined): string[] {
  if (text === undefined) return []
  const modes = text === 'true' ? kvCacheModes : list(text)
  const unknown = modes.find((mode) => !kvCacheModes.includes(mode))
  if (unknown === undefined) return modes
  throw new Error(`--kv-cache-distribution: "${unknown}" is not ${kvCacheModes.join(' or ')}`)
}

function switchesOf(text: string | undefined): boolean[] {
  if (text === undefined) return []
  if (text === 'true') return [true, false]
  return list(text).map((value) => {
    if (value === 'on' || value === 'off') return value === 'on'
    throw new Error(`--cross-gpu-sharing: "${value}" is not on or off`)
  })
}

/** The ways of running a model that they ask for. Throws for a value that there is not. */
export function variantsAsked(flags: BenchmarkFlags): Variant[] {
  const { stages, pipelineSize = stages, kvCacheDistribution, crossGpuSharing, ...asked } = flags
  return variantsOf({
    ...asked,
    ...(pipelineSize !== undefined && { pipelineSize }),
    kvCacheDistribution: modesOf(kvCacheDistribution),
    crossGpuSharing: switchesOf(crossGpuSharing),
  })
}

function list(text: string): string[] {
  return text.split(',').map((part) => part.trim())
}
