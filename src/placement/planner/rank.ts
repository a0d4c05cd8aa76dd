import type { PlanSpeed, Rejected } from '../contract.ts'
import { speedOf } from '../speed/index.ts'
import type { Candidate, Search } from './candidate.ts'
import { describeLayout } from './found.ts'
import { devicesOf } from './layout.ts'
import { countOf, percent, rate } from './texts.ts'

/** More devices are worth it for a gain above this: each one more can fail, and serves nobody else. */
export const worthMoreDevices = 1.05
/** A plan that saves power may be so much slower than the fastest. */
const slowestOfPowerAware = 0.5
/** Of devices that do not tell what they draw. */
const usualWatts = 250

interface Size {
  nodes: number
  devices: number
  /** 1 where the host computes as well. */
  host: number
}

/** Devices that a candidate really uses. */
export function sizeOf({ instance }: Candidate): Size {
  const nodes = new Set(instance.parts.map(({ node }) => node)).size
  const onHost = instance.parts.some(({ kind, hostExperts }) => kind === 'cpu' || hostExperts.length > 0)
  return {
    nodes,
    devices: instance.parts.filter(({ kind, remote }) => kind === 'gpu' || remote).length,
    host: onHost ? 1 : 0,
  }
}

/** What a candidate is worth to the wishes: the more the better. */
export function meritOf(search: Search, candidate: Candidate): number {
  const { wishes } = search
  const weight = weightOf(search, candidate)
  const tokensPerS = tokensPerSOf(search, candidate)
  switch (wishes.algorithm) {
    case 'memory_only':
      return weight / (1 + leftOver(candidate))
    case 'power_aware':
      return (
        (weight * tokensPerS) /
        (wholeSpeedOf(search, candidate).watts ?? usualWatts * Math.max(1, sizeOf(candidate).devices))
      )
    default: {
      // Where all streams count, what is left over serves others: what each device adds decides.
      const shared = wishes.objective === 'throughput' ? Math.max(1, sizeOf(candidate).devices) : 1
      return (weight * tokensPerS) / shared
    }
  }
}

/** What the objective counts: of all streams, or of one. */
function tokensPerSOf(search: Search, candidate: Candidate): number {
  if (search.wishes.objective !== 'throughput') return candidate.decodeTokensPerS
  return wholeSpeedOf(search, candidate).throughputTokensPerS
}

function wholeSpeedOf({ model, world, wishes }: Search, { instance, costs }: Candidate): PlanSpeed {
  return speedOf([instance], costs, world.inventory, model, wishes)
}

/** Preferences of the devices used: the least of them counts. */
function weightOf({ world }: Search, { layout, instance }: Candidate): number {
  const used = new Set(instance.parts.map(({ deviceId }) => deviceId))
  const weights = devicesOf(layout)
    .filter(({ id }) => used.has(id))
    .map(world.weightOf)
  return weights.length === 0 ? 1 : Math.min(...weights)
}

/** Gibibytes of the used devices that stay free. */
function leftOver({ layout, instance }: Candidate): number {
  const taken = new Map(instance.parts.map(({ deviceId, memory }) => [deviceId, memory.totalBytes]))
  return devicesOf(layout).reduce((sum, { id, usableBytes }) => {
    const bytes = taken.get(id)
    return bytes === undefined ? sum : sum + (usableBytes - bytes) / 2 ** 30
  }, 0)
}

/** A candidate with what it is compared by. */
export interface Sized {
  candidate: Candidate
  merit: number
  size: Size
  /** Each is one more driver that has to agree with the others. */
  backends: number
  /** To break ties always alike. */
  key: string
}

export function sized(search: Search, candidate: Candidate): Sized {
  return {
    candidate,
    merit: meritOf(search, candidate),
    size: sizeOf(candidate),
    backends: new Set(devicesOf({ stages: usedStages(candidate) }).map(({ backend }) => backend)).size,
    key: keyOf(candidate),
  }
}

/** Best first: the fewest nodes, devices and backends among those that are as good as the best, then the roomiest, and so on with the rest. */
export function ranked(search: Search, candidates: readonly Candidate[]): Candidate[] {
  const all = eligible(
    search,
    candidates.map((candidate) => sized(search, candidate)),
  )
  const byMerit = all.sort((a, b) => b.merit - a.merit)
  // As good as the best of those that are left, the one to be taken next at the end.
  const near: Sized[] = []
  const taken = new Set<Sized | undefined>()
  const order: Candidate[] = []
  let [best, next] = [0, 0]
  while (order.length < byMerit.length) {
    while (taken.has(byMerit[best])) best++
    for (let one = byMerit[next]; one && isNear(search, one, byMerit[best]); one = byMerit[++next]) {
      near.splice(placeOf(near, one), 0, one)
    }
    const first = near.pop()
    if (!first) break
    taken.add(first)
    order.push(first.candidate)
  }
  return order
}

function placeOf(near: readonly Sized[], one: Sized): number {
  let [low, high] = [0, near.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const other = near[middle]
    if (other && compare(one, other) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function isNear({ wishes }: Search, one: Sized, best: Sized | undefined): boolean {
  return wishes.algorithm === 'memory_only' || one.merit * worthMoreDevices >= (best?.merit ?? 0)
}

/** The first of them as `ranked` has it. */
export function bestOf<T extends Sized>(search: Search, all: readonly T[]): T | undefined {
  const [any] = all
  const best = any && all.reduce((a, b) => (b.merit > a.merit ? b : a), any)
  const near = all.filter((one) => isNear(search, one, best))
  const [first] = near
  return first && near.reduce((a, b) => (compare(b, a) < 0 ? b : a), first)
}

function compare(a: Sized, b: Sized): number {
  return (
    a.size.host - b.size.host ||
    a.size.nodes - b.size.nodes ||
    a.size.devices - b.size.devices ||
    a.backends - b.backends ||
    a.candidate.instance.pipelineSize - b.candidate.instance.pipelineSize ||
    a.candidate.level - b.candidate.level ||
    b.merit - a.merit ||
    (a.key < b.key ? -1 : 1)
  )
}

/** Those that are not too slow for what the wishes save. */
export function eligible<T extends Sized>({ wishes }: Search, all: readonly T[]): T[] {
  if (wishes.algorithm !== 'power_aware') return [...all]
  const rateOf = ({ candidate }: T) => candidate.decodeTokensPerS
  const fastest = Math.max(...all.map(rateOf))
  return all.filter((one) => rateOf(one) >= slowestOfPowerAware * fastest)
}

function keyOf({ layout, instance }: Candidate): string {
  return `${layout.kind} ${instance.parts.map(({ deviceId }) => deviceId).join(' ')}`
}

/** Candidates of another kind than those before them: what is worth showing beside the best. */
export function distinct(candidates: readonly Candidate[]): Candidate[] {
  const kinds = new Map<string, Candidate>()
  for (const candidate of candidates) {
    const { nodes, host } = sizeOf(candidate)
    const experts = candidate.instance.parts.some(({ hostExperts }) => hostExperts.length > 0)
    const key = [candidate.layout.kind, nodes > 1, host, experts, sizeOf(candidate).devices === 0].join(' ')
    if (!kinds.has(key)) kinds.set(key, candidate)
  }
  return [...kinds.values()]
}

/** Why another candidate was not taken, with the figures of both. */
export function whyNot(search: Search, best: Candidate, other: Candidate): Rejected {
  return {
    what: describeLayout({ ...other.layout, stages: usedStages(other) }),
    reason: reasonOf(search, best, other),
  }
}

export function usedStages({ layout, instance }: Candidate): Candidate['layout']['stages'] {
  const used = new Set(instance.parts.map(({ deviceId }) => deviceId))
  return layout.stages.filter((stage) =>
    stage.kind === 'gpu' ? stage.devices.some(({ id }) => used.has(id)) : used.has(stage.node.id),
  )
}

function reasonOf(search: Search, best: Candidate, other: Candidate): string {
  const { algorithm, objective } = search.wishes
  const mine = tokensPerSOf(search, best)
  const its = tokensPerSOf(search, other)
  const against = `${rate(its)} against ${rate(mine)}`
  const more = sizeOf(other).devices - sizeOf(best).devices
  if (algorithm === 'memory_only')
    return `${more > 0 ? `takes ${countOf(more, 'device')} more` : 'leaves more memory unused'} (${against})`
  if (algorithm === 'power_aware') {
    const watts = (one: Candidate) => Math.round(wholeSpeedOf(search, one).watts ?? 0)
    return `${rate(its)} at ${watts(other)} W against ${rate(mine)} at ${watts(best)} W`
  }
  if (its <= mine) return `slower: ${against}`
  if (weightOf(search, other) < weightOf(search, best))
    return `faster (${against}), but on devices that are to be taken last`
  const gain = percent(its / mine - 1)
  if (objective === 'throughput') return `${against}, but less for each device`
  return more > 0
    ? `only ${gain} faster (${against}): not worth ${countOf(more, 'device')} more`
    : `only ${gain} faster (${against}), and reaches farther`
}
