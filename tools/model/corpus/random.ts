/** A seeded source of randomness with the few draws that the generators need. */
export interface Random {
  /** A float in [0, 1). */
  next(): number
  /** An integer in [low, high], both included. */
  int(low: number, high: number): number
  /** True with the given probability. */
  chance(probability: number): boolean
  /** One element; throws RangeError on an empty list. */
  pick<T>(items: readonly T[]): T
  /** `count` different elements in random order (all of them when the list is shorter). */
  sample<T>(items: readonly T[], count: number): T[]
}

/**
 * Makes a generator whose whole stream follows from `seed` (an integer).
 * The algorithm is splitmix32: a Weyl sequence finalised with a multiply-xorshift hash.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let hash = state ^ (state >>> 16)
    hash = Math.imul(hash, 0x21f0aaad)
    hash ^= hash >>> 15
    hash = Math.imul(hash, 0x735a2d97)
    hash ^= hash >>> 15
    return (hash >>> 0) / 2 ** 32
  }
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1))
  const pick = <T>(items: readonly T[]): T => {
    const item = items[int(0, items.length - 1)]
    if (item === undefined) throw new RangeError('cannot pick from an empty list')
    return item
  }
  const sample = <T>(items: readonly T[], count: number): T[] => {
    const rest = [...items]
    const drawn: T[] = []
    while (drawn.length < count && rest.length > 0) drawn.push(...rest.splice(int(0, rest.length - 1), 1))
    return drawn
  }
  return { next, int, chance: (probability) => next() < probability, pick, sample }
}
