import type { PlanWishes } from '../contract.ts'
import type { PlanRequest } from './request.ts'
import { contextsOf } from './runs.ts'

/** What models that share machines may have at most where it is open; undefined: as much as each would have alone. */
export type Squeeze = PlanWishes['beside']

const fewerSlots = [3, 2, 1]
const fewerStreams = [32, 16, 8, 4, ...fewerSlots]

/**
 * Ways to make room for each other, the least first: fewer slots, as a short context hurts every long request, then a
 * shorter context. Only the first where nothing is open.
 */
export function squeezesOf(requests: readonly PlanRequest[]): readonly [Squeeze, ...Squeeze[]] {
  const wishes = requests.map((request) => request.wishes)
  const openSlots = wishes.some(
    ({ slots, microBatchSize }) => slots === undefined && microBatchSize === undefined,
  )
  const many = wishes.some(({ objective }) => objective === 'throughput')
  const slots = openSlots ? (many ? fewerStreams : fewerSlots) : []
  const contexts = new Set(requests.flatMap(({ model, wishes: own }) => contextsOf(model, own).slice(1)))
  const fewest = slots.at(-1)
  return [
    undefined,
    ...slots.map((count) => ({ slots: count })),
    ...[...contexts]
      .toSorted((a, b) => b - a)
      .map((contextLength) => ({ ...(fewest !== undefined && { slots: fewest }), contextLength })),
  ]
}
