/** Whole numbers below this have a bucket each. */
const exactBelow = 16
const bucketsPerOctave = 4
/** Larger values count as this one. */
export const largestValue = 2 ** 20
/** The first value of each bucket: 0 to 15, then steps of 2^(1/4), which is 19 %. */
const edges = bucketEdges()
const buckets = edges.length

function bucketEdges(): number[] {
  const low = Array.from({ length: exactBelow }, (_, value) => value)
  const octaves = Math.log2(largestValue / exactBelow)
  const high = Array.from({ length: octaves * bucketsPerOctave + 1 }, (_, step) =>
    Math.ceil(exactBelow * 2 ** (step / bucketsPerOctave)),
  )
  return [...low, ...high]
}

function bucketOf(value: number): number {
  if (value < exactBelow) return value
  return exactBelow + Math.floor(Math.log2(value / exactBelow) * bucketsPerOctave)
}

/** Of the bucket's whole numbers, the share above `value`, which lies in it. */
function shareAbove(bucket: number, value: number): number {
  const from = edges[bucket] ?? 0
  const to = edges[bucket + 1] ?? from + 1
  return (to - 1 - value) / (to - from)
}

/** How often whole numbers came, the late ones counting more than the early ones. Values are rounded and kept in range. */
export interface Histogram {
  add(value: number): void
  /**
   * Something that would have been `value` or more, had it not been cut off there. It is spread over what is known to
   * reach so far, in proportion (Kaplan and Meier 1958, redistribution to the right).
   */
  addAtLeast(value: number): void
  /** Of all that was added, what still counts: one addition is 1, and all together never more than `memory`. */
  readonly weight: number
  /** Weight of the values above this one. */
  weightAbove(value: number): number
  /** The sum of the values above this one, each times its weight. */
  sumAbove(value: number): number
  /** Below it lies this share of the weight; undefined while nothing was added. */
  quantile(share: number): number | undefined
}

/**
 * A histogram of logarithmic buckets that forgets: each addition takes `1/memory` off all earlier ones. Adding costs
 * one pass over its 81 buckets, asking costs nothing that grows; 1.3 kB each.
 */
export function createHistogram(memory: number): Histogram {
  const keep = 1 - 1 / memory
  const weights = new Float32Array(buckets)
  const sums = new Float32Array(buckets)
  /** Of this bucket and all above it. */
  const weightsFrom = new Float32Array(buckets + 1)
  const sumsFrom = new Float32Array(buckets + 1)

  function settle(): void {
    for (let bucket = buckets - 1; bucket >= 0; bucket--) {
      weightsFrom[bucket] = (weightsFrom[bucket + 1] ?? 0) + (weights[bucket] ?? 0)
      sumsFrom[bucket] = (sumsFrom[bucket + 1] ?? 0) + (sums[bucket] ?? 0)
    }
  }

  /** Everything fades, and what lies in `from` and above grows by this factor besides. */
  function fade(from = buckets, factor = 1): void {
    for (let bucket = 0; bucket < buckets; bucket++) {
      const by = bucket < from ? keep : keep * factor
      weights[bucket] = (weights[bucket] ?? 0) * by
      sums[bucket] = (sums[bucket] ?? 0) * by
    }
  }

  function add(value: number): void {
    const whole = inRange(value)
    const bucket = bucketOf(whole)
    fade()
    weights[bucket] = (weights[bucket] ?? 0) + 1
    sums[bucket] = (sums[bucket] ?? 0) + whole
    settle()
  }

  return {
    add,
    addAtLeast(value) {
      const bucket = bucketOf(inRange(value))
      const reaching = (weightsFrom[bucket] ?? 0) * keep
      if (reaching < 0.01) return add(value)
      fade(bucket, 1 + 1 / reaching)
      settle()
    },
    get weight() {
      return weightsFrom[0] ?? 0
    },
    weightAbove(value) {
      const whole = inRange(value)
      const bucket = bucketOf(whole)
      return (weightsFrom[bucket + 1] ?? 0) + (weights[bucket] ?? 0) * shareAbove(bucket, whole)
    },
    sumAbove(value) {
      const whole = inRange(value)
      const bucket = bucketOf(whole)
      const middle = (whole + (edges[bucket + 1] ?? whole)) / 2
      return (sumsFrom[bucket + 1] ?? 0) + (weights[bucket] ?? 0) * shareAbove(bucket, whole) * middle
    },
    quantile(share) {
      const total = weightsFrom[0] ?? 0
      if (total === 0) return undefined
      const above = (1 - Math.min(1, Math.max(0, share))) * total
      let bucket = 0
      while (bucket < buckets - 1 && (weightsFrom[bucket + 1] ?? 0) > above) bucket++
      const from = edges[bucket] ?? 0
      const to = edges[bucket + 1] ?? from + 1
      const inside = (weightsFrom[bucket] ?? 0) - above
      return from + ((to - 1 - from) * Math.max(0, inside)) / (weights[bucket] || 1)
    },
  }
}

function inRange(value: number): number {
  return value > 0 ? Math.min(largestValue, Math.round(value)) : 0
}
