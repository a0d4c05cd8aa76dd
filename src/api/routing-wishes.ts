import type { FastifyRequest } from 'fastify'
import { parseDurationMs } from '../config/index.ts'
import { DroverError, type InferenceRequest, type RoutingWishes } from '../inference/index.ts'
import type { ApiContext } from './context.ts'
import { deviceIdsOf } from './multigpu/devices.ts'
import { profileWishes, strategyNamed } from './multigpu/wishes.ts'
import { tenantOf } from './tenant.ts'

const priorities = ['interactive', 'default', 'bulk'] as const
const precisions = ['fp16', 'bf16', 'fp32'] as const
/** Longer names of sessions and labels are somebody's mistake. */
const longestValue = 256

/**
 * How a request wants to be routed, from its `X-Drover-` headers: they fit every dialect, and change none. Throws
 * `invalid_request` for a value that cannot be.
 */
export function routingOf(request: FastifyRequest): RoutingWishes {
  const header = (name: string) => headerOf(request, name)
  const priority = header('priority')
  const policy = header('policy')
  const deadline = header('deadline')
  const session = header('session')
  const pins = header('pin')
  const labels = header('label')
  const precision = header('precision')
  const maxWatts = header('max-watts')
  const maxCost = header('max-cost')
  const strategy = header('strategy')
  const profile = header('profile')
  return {
    tenant: tenantOf(request),
    ...(strategy !== undefined && { strategy: strategyNamed(strategy) }),
    ...(profile !== undefined && profileWishes(profile)),
    ...(priority !== undefined && { priority: oneOf('Priority', priority, priorities) }),
    ...(policy !== undefined && { policy }),
    ...(deadline !== undefined && { deadlineInMs: durationOf(deadline) }),
    ...(session !== undefined && { session }),
    ...(pins !== undefined && { pins: listOf(pins) }),
    ...(labels !== undefined && { labels: pairsOf(labels) }),
    ...(precision !== undefined && { precision: oneOf('Precision', precision, precisions) }),
    ...(maxWatts !== undefined && { maxWatts: numberOf('Max-Watts', maxWatts) }),
    ...(maxCost !== undefined && { maxCostPerMillionTokens: numberOf('Max-Cost', maxCost) }),
  }
}

/**
 * Headers and body together. The body counts where both speak, but for the policy: that of a body is only what goes
 * with its profile. Devices that the body names are found, or refused by name.
 */
export async function routingFor(
  context: Pick<ApiContext, 'devices'>,
  request: FastifyRequest,
  { routing: own = {} }: InferenceRequest,
): Promise<RoutingWishes> {
  const headers = routingOf(request)
  const { policy = own.policy } = headers
  const wishes = { ...headers, ...own, ...(policy !== undefined && { policy }) }
  if (!own.pins) return wishes
  const { devices } = await context.devices.report()
  return { ...wishes, pins: deviceIdsOf(own.pins, devices, 'multi_gpu.gpu_selection') }
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[`x-drover-${name}`]
  const text = Array.isArray(value) ? value[0] : value
  if (text === undefined || text.trim() === '') return undefined
  if (text.length > longestValue)
    throw bad(name, `${text.slice(0, 40)}…`, `at most ${longestValue} characters`)
  return text.trim()
}

function oneOf<const T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value.toLowerCase())
  if (found === undefined) throw bad(name, value, allowed.join(', '))
  return found
}

function durationOf(value: string): number {
  const ms = parseDurationMs(value)
  if (ms === undefined || ms <= 0) throw bad('Deadline', value, 'a duration such as 2s or 500ms')
  return ms
}

function numberOf(name: string, value: string): number {
  const number = Number(value)
  if (!(number >= 0)) throw bad(name, value, 'a number from 0')
  return number
}

function listOf(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function pairsOf(value: string): Record<string, string> {
  return Object.fromEntries(
    listOf(value).map((pair) => {
      const [name = '', wanted] = pair.split('=', 2)
      if (wanted === undefined) throw bad('Label', pair, 'name=value')
      return [name.trim(), wanted.trim()]
    }),
  )
}

function bad(name: string, value: string, allowed: string): DroverError {
  return new DroverError('invalid_request', `header X-Drover-${name}: "${value}" is not ${allowed}`)
}
