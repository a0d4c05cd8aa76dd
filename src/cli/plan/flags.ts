import type { PlanRequestBody } from '../../placement/index.ts'

/** What the command was given. */
export interface PlanFlags {
  gpus?: string
  inventory?: string
  strategy?: PlanRequestBody['strategy']
  ctx?: number
  slots?: number
  kvCacheType?: PlanRequestBody['kv_cache_type']
  replicas?: number
  tensorSize?: number
  pipelineSize?: number
  pin?: string[]
  avoid?: string[]
  objective?: PlanRequestBody['objective']
  maxWatts?: number
  reserve?: string
  engine?: NonNullable<PlanRequestBody['engines']>[number]
  offload: boolean
  json?: boolean
}
