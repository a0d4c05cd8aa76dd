import { DroverError, type RoutingWishes } from '../../inference/index.ts'
import { DecodeError, goArray, goCustom, goInt, goQuote, goString, goStruct } from '../go-json/index.ts'

/** Strategies under the names that requests may give them. */
const strategies: Readonly<Record<string, NonNullable<RoutingWishes['strategy']>>> = {
  single: 'single',
  data: 'data',
  tensor: 'tensor',
  pipeline: 'pipeline',
  hybrid: 'hybrid',
  single_gpu: 'single',
  data_parallel: 'data',
  tensor_parallel: 'tensor',
  pipeline_parallel: 'pipeline',
  hybrid_parallel: 'hybrid',
}

export const profiles = ['latency', 'throughput', 'power', 'balanced'] as const

/** Devices by their ids, their labels (`GPU0`) or their numbers. */
export const deviceNames = (field: string) => {
  const name = goCustom('string', { type: ['string', 'integer'] }, (value) => {
    if (typeof value === 'string' && value.trim() !== '') return value.trim()
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return String(value)
    throw new DecodeError(
      `invalid ${field}: ${JSON.stringify(value)} (must be device numbers from 0, or ids as GET /api/devices lists them)`,
    )
  })
  return goArray(name, '')
}

/** `multi_gpu` of a request: how the model is to lie on devices, and what its requests are to be best at. */
export const multiGpuWish = goStruct('api', 'MultiGPU', {
  strategy: {
    ...goString,
    jsonSchema: { type: 'string', enum: Object.keys(strategies) },
  },
  gpu_selection: deviceNames('multi_gpu.gpu_selection'),
  performance_profile: { ...goString, jsonSchema: { type: 'string', enum: profiles } },
  tensor_size: goInt,
  pipeline_size: goInt,
})

/** How a model is to be divided, as requests say it. */
export interface LayoutBody {
  strategy?: string
  tensor_size?: number
  pipeline_size?: number
}

export interface MultiGpuBody extends LayoutBody {
  gpu_selection?: string[]
  performance_profile?: string
}

/** What a profile means to routing; what it means to a load is the planner's. */
const policyOf: Readonly<Record<(typeof profiles)[number], string | undefined>> = {
  latency: 'predicted_finish',
  throughput: 'least_effective_load',
  power: 'power_aware',
  balanced: undefined,
}

/** The request's wishes. Throws `invalid_request` for a name that means nothing. */
export function multiGpuWishes(body: MultiGpuBody): RoutingWishes {
  const { gpu_selection: pins = [], performance_profile: profile } = body
  return {
    ...layoutWishes(body, 'multi_gpu.'),
    ...(pins.length > 0 && { pins }),
    ...(profile && profileWishes(profile)),
  }
}

/** How a model is to be divided; `prefix` is what its fields stand under. Throws `invalid_request`. */
export function layoutWishes(
  { strategy, tensor_size: tensorSize, pipeline_size: pipelineSize }: LayoutBody,
  prefix: string,
): Pick<RoutingWishes, 'strategy' | 'tensorSize' | 'pipelineSize'> {
  return {
    ...(tensorSize !== undefined && { tensorSize: sizeOf(`${prefix}tensor_size`, tensorSize) }),
    ...(pipelineSize !== undefined && { pipelineSize: sizeOf(`${prefix}pipeline_size`, pipelineSize) }),
    ...(strategy && { strategy: strategyNamed(strategy, `${prefix}strategy`) }),
  }
}

function sizeOf(name: string, value: number): number {
  if (value >= 1) return value
  throw new DroverError('invalid_request', `${name} must be a whole number from 1, not ${value}`)
}

/** Throws `invalid_request` where there is no such strategy. */
export function strategyNamed(
  name: string,
  field = 'multi_gpu.strategy',
): NonNullable<RoutingWishes['strategy']> {
  const known = strategies[name.toLowerCase().replaceAll('-', '_')]
  if (known) return known
  throw new DroverError(
    'invalid_request',
    `invalid ${field}: ${goQuote(name)} (must be "single", "data", "tensor", "pipeline", or "hybrid")`,
  )
}

/** The policy that goes with a profile. Throws `invalid_request` where there is no such profile. */
export function profileWishes(name: string): Pick<RoutingWishes, 'profile' | 'policy'> {
  const profile = profiles.find((one) => one === name.toLowerCase())
  if (!profile) {
    throw new DroverError(
      'invalid_request',
      `invalid multi_gpu.performance_profile: ${goQuote(name)} (must be "latency", "throughput", "power", or "balanced")`,
    )
  }
  const policy = policyOf[profile]
  return { profile, ...(policy !== undefined && { policy }) }
}
