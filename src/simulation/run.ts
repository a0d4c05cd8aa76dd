import type { Cluster } from './cluster.ts'
import { createFleet, type Fleet } from './fleet.ts'
import type { Measured, Run } from './measured.ts'
import { createRandom, exponentialOf, type Random } from './random.ts'
import type { SimulatedRouter } from './router.ts'
import type { TraceRequest } from './traces/index.ts'

export interface RunOptions {
  cluster: Cluster
  requests: readonly TraceRequest[]
  /** 0 where the trace has no blocks. */
  blockTokens: number
  router: SimulatedRouter
  routerName: string
  seed: number
}

/** What is due at a time: an instance dies, or comes up again. */
interface Due {
  atMs: number
  place: number
  what: 'fail' | 'raise'
}

/**
 * Runs a workload through a router and a cluster of modelled instances on a virtual clock, from an idle cluster until
 * the last answer has ended. The same options give the same run to the last digit.
 */
export function simulate({ cluster, requests, blockTokens, router, routerName, seed }: RunOptions): Run {
  const fleet = createFleet({ cluster, router, blockTokens })
  const random = createRandom(seed ^ 0x5eed)
  const due = firstDue(cluster, random)
  const measured = requests.map(unmeasured)
  for (const place of fleet.places) fleet.raise(place, 0)
  let arrived = 0
  let nowMs = 0
  for (;;) {
    const [soonest, atMs] = nextInstance(fleet)
    const arrivalMs = requests[arrived]?.atMs ?? Number.POSITIVE_INFINITY
    const dueMs = due[0]?.atMs ?? Number.POSITIVE_INFINITY
    const wakeMs = fleet.wakeMs()
    nowMs = Math.min(atMs, arrivalMs, dueMs, wakeMs)
    // Instances that die for ever, and nobody left to serve, are no reason to go on.
    if (arrivalMs === Number.POSITIVE_INFINITY && atMs === Number.POSITIVE_INFINITY && allOver(measured))
      break
    if (nowMs === Number.POSITIVE_INFINITY) throw new Error('requests wait, and nothing will ever happen')
    if (soonest && atMs === nowMs) fleet.happen(soonest, nowMs)
    else if (dueMs === nowMs) act(due, fleet, cluster, random)
    else if (arrivalMs === nowMs) {
      fleet.arrive(arrived, requests[arrived] as TraceRequest, measured[arrived] as Measured, nowMs)
      arrived++
    } else fleet.serve(nowMs)
  }
  const lastMs = measured.reduce((latest, { doneMs }) => Math.max(latest, doneMs), 1)
  const busyMs = fleet.places.reduce((sum, place) => sum + fleet.busyMs(place), 0)
  const spanMs = (requests.at(-1)?.atMs ?? 0) - (requests[0]?.atMs ?? 0)
  return {
    router: routerName,
    seed,
    requests: measured,
    utilisation: busyMs / lastMs / Math.max(1, fleet.places.length),
    offeredPerS: spanMs > 0 ? ((requests.length - 1) / spanMs) * 1000 : 0,
  }
}

function nextInstance({ places }: Fleet) {
  let soonest: Fleet['places'][number] | undefined
  let atMs = Number.POSITIVE_INFINITY
  for (const place of places) {
    if (place.nextMs >= atMs) continue
    soonest = place
    atMs = place.nextMs
  }
  return [soonest, atMs] as const
}

function allOver(measured: readonly Measured[]): boolean {
  return measured.every(({ doneMs, refused }) => doneMs > 0 || refused !== undefined)
}

function firstDue({ instances, failures, meanMsBetweenFailures }: Cluster, random: Random): Due[] {
  const due: Due[] = failures.map(({ atMs, instance }) => ({ atMs, place: instance, what: 'fail' }))
  if (meanMsBetweenFailures > 0) {
    instances.forEach((_, place) => {
      due.push({ atMs: exponentialOf(random, meanMsBetweenFailures), place, what: 'fail' })
    })
  }
  return due.sort((a, b) => a.atMs - b.atMs)
}

function act(due: Due[], fleet: Fleet, cluster: Cluster, random: Random): void {
  const next = due.shift()
  const place = fleet.places[next?.place ?? -1]
  if (!next || !place) return
  const { atMs, what } = next
  const add = (one: Due) => {
    due.push(one)
    due.sort((a, b) => a.atMs - b.atMs)
  }
  if (what === 'raise') {
    fleet.raise(place, atMs)
    const mean = cluster.meanMsBetweenFailures
    if (mean > 0) add({ atMs: atMs + exponentialOf(random, mean), place: next.place, what: 'fail' })
  } else if (place.live) {
    fleet.fail(place, atMs)
    add({ atMs: atMs + place.info.engine.loadMs, place: next.place, what: 'raise' })
  }
}

function unmeasured({ tenant, promptTokens, outputTokens, atMs }: TraceRequest): Measured {
  return {
    tenant,
    promptTokens,
    outputTokens: Math.max(1, outputTokens),
    arrivedMs: atMs,
    instance: -1,
    cachedTokens: 0,
    firstTokenMs: 0,
    doneMs: 0,
    sentMs: 0,
    resumed: 0,
  }
}
