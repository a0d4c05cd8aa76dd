/*
 * Contiguous ranges of layers for stages in a given order. Items are the layers and, as the last one, the head.
 * Everything about a stage is in running sums, so a range costs two look-ups.
 */

/** A stage as the division sees it. */
export interface StageRoom {
  /** For layers, of the device of the stage that has least; less where the head comes to lie there, with its buffers. */
  roomBytes: number
  roomWithHeadBytes: number
  /** Running sum of bytes over the items, on each device of the stage. */
  bytes: Float64Array
  /** Running sum of a decoding step's seconds over the items. */
  seconds: Float64Array
  /** To hand a step over to this stage. */
  entryS: number
  /** What a step waits for this stage besides, wherever it begins. */
  waitS: number
}

/** Where each stage's items end; the last is the number of items. */
export type Ends = readonly number[]

/** Rounding of sums must not refuse what fits. */
const roundingBytes = 1

function fits(stage: StageRoom, first: number, end: number, items: number): boolean {
  const room = end === items && first < end ? stage.roomWithHeadBytes : stage.roomBytes
  return sumOf(stage.bytes, first, end) <= room + roundingBytes
}

function sumOf(sums: Float64Array, first: number, end: number): number {
  return (sums[end] ?? 0) - (sums[first] ?? 0)
}

/**
 * The division with the shortest single step: `best[j][i]`, the least seconds of the first `i` items on the first `j`
 * stages, is the least over `k` of `best[j-1][k] + seconds(j, k..i) + wait + entry`, as far as `k..i` fits the stage. What fits
 * begins no earlier as `i` grows, so the least is kept in a sliding window: stages times items steps in all. Undefined
 * where nothing fits.
 */
export function divideFastest(
  stages: readonly StageRoom[],
  items: number,
  maySkip: boolean,
): Ends | undefined {
  let before: Float64Array = new Float64Array(items + 1).fill(Number.POSITIVE_INFINITY)
  let after: Float64Array = new Float64Array(items + 1)
  before[0] = 0
  const froms = new Int32Array(stages.length * (items + 1)).fill(-1)
  const window = new Int32Array(items + 1)
  stages.forEach((stage, at) => {
    const from = froms.subarray(at * (items + 1), (at + 1) * (items + 1))
    divideStep(stage, { before, after, from, window }, items, maySkip)
    ;[before, after] = [after, before]
  })
  if (!Number.isFinite(before[items] ?? Number.POSITIVE_INFINITY)) return undefined
  const ends = new Array<number>(stages.length)
  let end = items
  for (let at = stages.length - 1; at >= 0; at--) {
    ends[at] = end
    end = froms[at * (items + 1) + end] ?? 0
  }
  return ends
}

interface Step {
  /** The least seconds up to each item, without this stage and (written) with it. */
  before: Float64Array
  after: Float64Array
  /** Written: where this stage's items begin. */
  from: Int32Array
  /** Begins in order of position and value: the first is the best that still fits. */
  window: Int32Array
}

function divideStep(
  stage: StageRoom,
  { before, after, from, window }: Step,
  items: number,
  maySkip: boolean,
): void {
  after.fill(Number.POSITIVE_INFINITY)
  const { bytes, seconds, waitS, entryS } = stage
  const valueAt = (k: number) => (before[k] ?? 0) - (seconds[k] ?? 0) + waitS + (k === 0 ? 0 : entryS)
  let head = 0
  let tail = 0
  for (let end = 0; end <= items; end++) {
    if (maySkip && Number.isFinite(before[end] ?? Number.POSITIVE_INFINITY)) {
      after[end] = before[end] ?? 0
      from[end] = end
    }
    const room = (end === items ? stage.roomWithHeadBytes : stage.roomBytes) + roundingBytes
    while (head < tail && (bytes[end] ?? 0) - (bytes[window[head] ?? 0] ?? 0) > room) head++
    if (head < tail) {
      const k = window[head] ?? 0
      const value = valueAt(k) + (seconds[end] ?? 0)
      if (value < (after[end] ?? 0)) {
        after[end] = value
        from[end] = k
      }
    }
    if (Number.isFinite(before[end] ?? Number.POSITIVE_INFINITY)) {
      const value = valueAt(end)
      while (head < tail && valueAt(window[tail - 1] ?? 0) > value) tail--
      window[tail++] = end
    }
  }
}

/** Whether the stages hold the items at all: each filled to the brim in turn. */
export function canHold(stages: readonly StageRoom[], items: number): boolean {
  const bytes = stages.map((stage) => stage.bytes)
  return canFill(stages, bytes, items, 0, 0, Number.POSITIVE_INFINITY)
}

/**
 * The division in which the stage that takes longest takes least (with `measure` the bytes: the fullest stage), found by
 * bisection over what a stage may take; then each stage gets what is fair, so that the last one is not left over.
 */
export function divideEvenly(
  stages: readonly StageRoom[],
  items: number,
  measures: readonly Float64Array[],
): Ends | undefined {
  let high = measures.reduce((most, sums) => Math.max(most, sums[items] ?? 0), 0)
  if (!canFill(stages, measures, items, 0, 0, high)) return undefined
  let low = 0
  for (let round = 0; round < bisections && high - low > high * evenness; round++) {
    const middle = (low + high) / 2
    if (canFill(stages, measures, items, 0, 0, middle)) high = middle
    else low = middle
  }
  return fairEnds(stages, measures, items, high)
}

const bisections = 40
const evenness = 1e-4

/** Whether the items from `first` on fit the stages from `at` on, filling each to `limit` in turn. */
function canFill(
  stages: readonly StageRoom[],
  measures: readonly Float64Array[],
  items: number,
  at: number,
  first: number,
  limit: number,
): boolean {
  let begin = first
  for (let stage = at; stage < stages.length && begin < items; stage++) {
    begin = farthest(stages, measures, items, stage, begin, limit)
  }
  return begin >= items
}

/** How far a stage gets from `first` within its memory and the limit. */
function farthest(
  stages: readonly StageRoom[],
  measures: readonly Float64Array[],
  items: number,
  at: number,
  first: number,
  limit: number,
): number {
  const stage = stages[at]
  const sums = measures[at]
  if (!stage || !sums) return first
  const within = (end: number) => fits(stage, first, end, items) && sumOf(sums, first, end) <= limit
  let low = first
  let high = items + 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    // The head makes the last step narrower than the ones before it.
    if (within(middle)) low = middle
    else high = middle
  }
  return low
}

function fairEnds(
  stages: readonly StageRoom[],
  measures: readonly Float64Array[],
  items: number,
  limit: number,
): Ends | undefined {
  const ends: number[] = []
  let first = 0
  for (let at = 0; at < stages.length; at++) {
    const most = farthest(stages, measures, items, at, first, limit)
    const rest = measures
      .slice(at)
      .reduce((sum, sums) => sum + 1 / Math.max(sumOf(sums, first, items), 1e-12), 0)
    let end = Math.min(most, nearest(measures[at], first, items, 1 / rest))
    while (end < most && !canFill(stages, measures, items, at + 1, end, limit)) end++
    ends.push(end)
    first = end
  }
  return first === items ? ends : undefined
}

function nearest(sums: Float64Array | undefined, first: number, items: number, target: number): number {
  if (!sums) return first
  let end = first
  while (end < items && sumOf(sums, first, end + 1) <= target) end++
  if (end === items) return end
  return sumOf(sums, first, end + 1) - target < target - sumOf(sums, first, end) ? end + 1 : end
}
