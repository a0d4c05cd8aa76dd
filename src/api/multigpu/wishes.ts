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

export interface MultiGpuBody {
  strategy?: string
  gpu_selection?: string[]
  performance_profile?: string
  tensor_size?: number
  pipeline_size?: number
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
  const { strategy, gpu_selection: pins = [], performance_profile: profile } = body
  const { tensor_size: tensorSize, pipeline_size: pipelineSize } = body
  return {
    ...(tensorSize !== undefined && { tensorSize: sizeOf('tensor_size', tensorSize) }),
    ...(pipelineSize !== undefined && { pipelineSize: sizeOf('pipeline_size', pipelineSize) }),
    ...(strategy && { strategy: strategyNamed(strategy) }),
    ...(pins.length > 0 && { pins }),
    ...(profile && profileWishes(profile)),
  }
}

function sizeOf(name: string, value: number): number {
  if (value >= 1) return value
  throw new DroverError('invalid_request', `multi_gpu.${name} must be a whole number from 1, not ${value}`)
}

/** Throws `invalid_request` where there is no such strategy. */
export function strategyNamed(name: string): NonNullable<RoutingWishes['strategy']> {
  const known = strategies[name.toLowerCase().replaceAll('-', '_')]
  if (known) return known
  throw new DroverError(
    'invalid_request',
    `invalid multi_gpu.strategy: ${goQuote(name)} (must be "single", "data", "tensor", "pipeline", or "hybrid")`,
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
