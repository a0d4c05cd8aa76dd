import { handOverS, ratesOf, readBytesOf } from '../speed/index.ts'
import type { Candidate, Search } from './candidate.ts'
import { devicesOf, type Layout, usesHost } from './layout.ts'
import { meritOf, worthMoreDevices } from './rank.ts'

/*
 * What need not be worked out, since something that is known already is taken before it whatever it would turn out to
 * be. Only where layouts are compared by one stream's speed without a draft model: else there is no bound so simple.
 */

/** What candidates are worth, as far as others are measured against them. */
export interface Reached {
  /** The most of all. */
  best: number
  /** The most of devices in a row on one node, by their number. */
  inRow: number[]
}

export const nothingReached = (): Reached => ({ best: 0, inRow: [] })

/** Takes note of a candidate. */
export function reach(search: Search, reached: Reached, candidate: Candidate): void {
  if (!comparesSpeed(search)) return
  const { layout } = candidate
  const merit = meritOf(search, candidate)
  reached.best = Math.max(reached.best, merit)
  if (layout.kind !== 'pipeline' || usesHost(layout)) return
  reached.inRow[layout.stages.length] = Math.max(reached.inRow[layout.stages.length] ?? 0, merit)
}

/**
 * Whether devices in a row, one a stage, cannot be worth more than fewer such that hold the model: then they are not
 * taken. With `bestOnly` also where they cannot be so good that they were taken as the fewer.
 */
export function outdone(search: Search, layout: Layout, reached: Reached, bestOnly: boolean): boolean {
  if (!comparesSpeed(search) || reached.best === 0) return false
  const most = mostMerit(search, layout)
  if (bestOnly && reached.best > most * worthMoreDevices) return true
  return reached.inRow.some((merit, count) => count < layout.stages.length && merit >= most)
}

function comparesSpeed({ model, wishes }: Search): boolean {
  const { algorithm = 'performance_aware', objective = 'latency' } = wishes
  return !model.draft && algorithm === 'performance_aware' && objective === 'latency'
}

/** Values between layers of the engine that hands over least. */
const leastActivationBytes = 2

/** The fastest devices read all that they have memory for, and each but the last hands on. */
function mostMerit({ model, runs, world }: Search, layout: Layout): number {
  const [longest] = runs.levels
  const devices = devicesOf(layout)
  if (!longest) return 0
  // Of a cache that does not grow with the context a longer one is counted for less.
  let leftBytes = readBytesOf(runs.costs(longest), longest.contextLength)
  const rated = devices.map((device) => ({ device, ...ratesOf(device) }))
  rated.sort((a, b) => b.memoryBytesPerS - a.memoryBytesPerS)
  let seconds = Math.min(...rated.map(({ layerOverheadS }) => layerOverheadS)) * model.shape.layerCount
  for (const { device, memoryBytesPerS } of rated) {
    const bytes = Math.min(leftBytes, device.usableBytes)
    seconds += bytes / memoryBytesPerS
    leftBytes -= bytes
  }
  const handedBytes = model.shape.embeddingLength * leastActivationBytes
  devices.forEach((device, at) => {
    const next = devices[at + 1]
    if (next) seconds += handOverS(world.fabric.between(device, next), handedBytes)
  })
  return Math.min(...devices.map(world.weightOf)) / seconds
}
