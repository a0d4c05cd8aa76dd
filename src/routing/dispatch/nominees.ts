import type { PrefixMatch } from '../prefix/contract.ts'
import { type BacklogHeap, createBacklogHeap } from './backlog-heap.ts'
import { type BookedInstance, backlogEndMs } from './books.ts'

/** Of more instances of a model than `lookAtAll` only a few are looked at: so many of each kind, and of all. */
const idlestOfKind = { one: 3, several: 2 }
const atRandom = 1
/** Nodes of a heap that are looked at to find the idlest that may be taken. */
const mostHeapNodes = 64
/** An instance whose slots are taken comes after all that have one free. */
const fullMs = 1e9
/** Beyond this factor what a running request costs is learnt anew. */
const driftFactor = 2
/** As the policies' pressure: half a cache in use is worth so many milliseconds. */
const pressureMs = 150

/**
 * Instances of a model that are of one kind, so equally fast: which of them is best is a matter of their load. Those
 * that have prompts to compute stand in an order of their own, by the time at which they are through: so no order
 * changes by time alone.
 */
interface Kind {
  quiet: BacklogHeap<BookedInstance>
  computing: BacklogHeap<BookedInstance>
  /** What each running request makes an answer longer, roughly: keys are to be alike, not exact. */
  runningMs: number
}

/** Instances that serve the same key. */
export interface Group {
  booked: BookedInstance[]
  kinds: Map<string, Kind>
  /** Requests in all their slots, and of them those without a first token. */
  running: number
  prefilling: number
}

export function createGroup(): Group {
  return { booked: [], kinds: new Map(), running: 0, prefilling: 0 }
}

export function joinGroup(group: Group, booked: BookedInstance): void {
  group.booked.push(booked)
  const kind = group.kinds.get(booked.info.kind) ?? {
    quiet: createBacklogHeap(isBefore),
    computing: createBacklogHeap(isBefore),
    runningMs: 0,
  }
  group.kinds.set(booked.info.kind, kind)
  kind.quiet.add(booked)
}

export function leaveGroup(group: Group, booked: BookedInstance): void {
  const kind = group.kinds.get(booked.info.kind)
  if (!kind) return
  orderOf(kind, booked).remove(booked)
  if (kind.quiet.size() + kind.computing.size() === 0) group.kinds.delete(booked.info.kind)
  group.booked.splice(group.booked.indexOf(booked), 1)
  group.running -= booked.counted.running
  group.prefilling -= booked.counted.prefilling
}

/** What the instance does has changed. `requestMs`: what one more request in a batch makes an answer longer. */
export function reorder(group: Group, booked: BookedInstance, prefillTokensPerS: number, requestMs: number) {
  const kind = group.kinds.get(booked.info.kind)
  if (!kind) return
  const { runs, prefilling, counted, info } = booked
  group.running += runs.size - counted.running
  group.prefilling += prefilling.size - counted.prefilling
  const before = orderOf(kind, booked)
  counted.running = runs.size
  counted.prefilling = prefilling.size
  const drift = requestMs / kind.runningMs
  if (!(drift < driftFactor && drift > 1 / driftFactor)) kind.runningMs = requestMs
  const used = Math.min(0.98, booked.activeTokens / Math.max(1, info.kvTokens))
  booked.heapKey =
    (prefilling.size > 0 ? backlogEndMs(booked, prefillTokensPerS) : 0) +
    runs.size * kind.runningMs +
    (pressureMs * used) / (1 - used) +
    (runs.size >= info.slots ? fullMs : 0)
  const after = orderOf(kind, booked)
  if (before === after) return after.moved(booked)
  before.remove(booked)
  after.add(booked)
}

/**
 * Whom to look at, so that a decision costs no more with a thousand instances than with a hundred: those that hold the
 * prompt's beginning or had the session last, of each kind those with least to do, and one drawn by lot. Each once.
 */
export function nominees(
  { booked, kinds }: Group,
  holders: readonly PrefixMatch[],
  sessionAt: number | undefined,
  find: (id: number) => BookedInstance | undefined,
  accepts: (id: number) => boolean,
  random: () => number,
): BookedInstance[] {
  const looked: BookedInstance[] = []
  const consider = (one: BookedInstance | undefined) => {
    if (one && !looked.includes(one) && accepts(one.info.id)) looked.push(one)
  }
  for (const { instance } of holders) consider(find(instance))
  if (sessionAt !== undefined) consider(find(sessionAt))
  const isFree = ({ info }: BookedInstance) => accepts(info.id)
  const wanted = kinds.size === 1 ? idlestOfKind.one : idlestOfKind.several
  for (const { quiet, computing } of kinds.values()) {
    const idle = quiet.smallest(wanted - 1, mostHeapNodes, isFree)
    for (const one of idle) if (!looked.includes(one)) looked.push(one)
    for (const one of computing.smallest(wanted - idle.length, mostHeapNodes, isFree))
      if (!looked.includes(one)) looked.push(one)
  }
  for (let count = 0; count < atRandom; count++) consider(booked[Math.floor(random() * booked.length)])
  return looked
}

function orderOf({ quiet, computing }: Kind, { counted }: BookedInstance): BacklogHeap<BookedInstance> {
  return counted.prefilling > 0 ? computing : quiet
}

/** Among equals who was chosen longest ago, as policies have it. */
function isBefore(a: BookedInstance, b: BookedInstance): boolean {
  if (a.heapKey !== b.heapKey) return a.heapKey < b.heapKey
  return a.lastChosen === b.lastChosen ? a.info.id < b.info.id : a.lastChosen < b.lastChosen
}
