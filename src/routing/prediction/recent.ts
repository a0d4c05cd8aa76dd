/** A map of bounded size: what was used longest ago makes room. */
export interface Recent<K, V> {
  /** Looks without using: the order stays. */
  peek(key: K): V | undefined
  /** Uses the entry, making it where there is none. */
  use(key: K, make: () => V): V
  delete(key: K): void
  entries(): IterableIterator<[K, V]>
  readonly size: number
}

/** A `Map` keeps the order of insertion, so an entry that is used is taken out and put back at the end. */
export function createRecent<K, V>(limit: number): Recent<K, V> {
  const map = new Map<K, V>()
  return {
    peek: (key) => map.get(key),
    use(key, make) {
      const value = map.get(key) ?? make()
      map.delete(key)
      map.set(key, value)
      if (map.size > limit) {
        const [oldest] = map.keys()
        if (oldest !== undefined) map.delete(oldest)
      }
      return value
    },
    delete(key) {
      map.delete(key)
    },
    entries: () => map.entries(),
    get size() {
      return map.size
    },
  }
}
