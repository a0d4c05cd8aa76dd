import type { EngineName } from '../../engines/index.ts'
import type { PlanDevice } from '../contract.ts'
import { between, layerSumsOf } from '../speed/index.ts'
import type { Search } from './candidate.ts'
import { usableFor } from './engine-rules.ts'
import { gibibytes } from './texts.ts'

/** Whether devices together draw no more than is allowed; one that does not tell what it draws is too much. */
export function withinWatts({ wishes }: Pick<Search, 'wishes'>, devices: readonly PlanDevice[]): boolean {
  if (wishes.maxWatts === undefined) return true
  return devices.reduce((sum, { watts }) => sum + (watts ?? Number.POSITIVE_INFINITY), 0) <= wishes.maxWatts
}

export function oneVendor(devices: readonly PlanDevice[]): boolean {
  return new Set(devices.map(({ vendor }) => vendor)).size <= 1
}

/** Weights, cache and head under the least run, without buffers. */
export function leastBytes({ runs }: Pick<Search, 'runs'>): number {
  const run = runs.levels.at(-1)
  if (!run) return 0
  const costs = runs.costs(run)
  const sums = layerSumsOf(costs)
  const layers = costs.layers.length
  const layerBytes = between(sums.weightsBytes, 0, layers) + between(sums.kvCacheBytes, 0, layers)
  return layerBytes + costs.output.weightsBytes + costs.projectorBytes
}

export function usableBytes(engine: EngineName, devices: readonly PlanDevice[]): number {
  return devices.reduce((sum, device) => sum + usableFor(engine, device), 0)
}

/** What the least run needs, against what there is. */
export function tooSmall(search: Search, engine: EngineName, devices: readonly PlanDevice[]): string {
  if (!withinWatts(search, devices)) {
    return `draws more than ${search.wishes.maxWatts} W, or nobody knows what it draws`
  }
  const usable = gibibytes(usableBytes(engine, devices))
  return `needs ${gibibytes(leastBytes(search))} and buffers, and has ${usable} to give`
}
