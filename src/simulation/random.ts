/** The next number from 0 up to and without 1. */
export type Random = () => number

/** Numbers that look random and are the same for the same seed: Mulberry32 of Tommy Ettinger, period 2^32. */
export function createRandom(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Time until the next of events that come at random, `mean` apart on average. */
export function exponentialOf(random: Random, mean: number): number {
  return -mean * Math.log(1 - random())
}

export function weibullOf(random: Random, shape: number, scale: number): number {
  return scale * (-Math.log(1 - random())) ** (1 / shape)
}

/** Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). */
export function gammaOf(random: Random, shape: number, scale: number): number {
  if (shape < 1) return gammaOf(random, shape + 1, scale) * (1 - random()) ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normalOf(random)
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v * scale
  }
}

/** Box and Muller. */
function normalOf(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
