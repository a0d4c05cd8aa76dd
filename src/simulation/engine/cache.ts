/** A block of KV cache that has been computed. */
export interface Block {
  hash: number
  /** Running requests that use it; with none it may be evicted. */
  refs: number
  /** Neighbours in the list of unused blocks. */
  older: Block | undefined
  newer: Block | undefined
}

/**
 * The KV cache of one modelled instance: a fixed number of blocks, each free, reserved for a request (`private`), or
 * computed and known by the hash of its chain. Computed blocks that no request uses stay until room is wanted, least
 * recently used first. A request lets go of its blocks from the end to the beginning, and whoever uses a block uses
 * all before it: so of a chain the end is always evicted first.
 */
export interface BlockCache {
  readonly capacity: number
  /** Blocks with a hash. */
  computed(): number
  /** Blocks that running requests hold, computed or reserved. */
  inUse(): number
  /** Leading blocks of a chain that are here. */
  leading(hashes: readonly number[], limit: number): number
  /** Takes the first `hits` blocks of a chain and reserves `fresh` more; undefined where that many are not to be had. */
  acquire(hashes: readonly number[], hits: number, fresh: number): Block[] | undefined
  /** A reserved block has been computed; one that another request computed meanwhile takes its place. */
  commit(hash: number): Block
  /** Drops the leading blocks of a chain that nobody uses; how many. */
  forget(hashes: readonly number[]): number
  /** A request ends: it lets go of its blocks (the first ones of a chain, in order) and of what it had reserved. */
  release(blocks: readonly Block[], reserved: number): void
}

export function createBlockCache(capacity: number): BlockCache {
  const blocks = new Map<number, Block>()
  let reserved = 0
  let unused = 0
  let oldest: Block | undefined
  let newest: Block | undefined

  const unlink = (block: Block) => {
    if (block.older) block.older.newer = block.newer
    else oldest = block.newer
    if (block.newer) block.newer.older = block.older
    else newest = block.older
    block.older = undefined
    block.newer = undefined
    unused--
  }
  const retire = (block: Block) => {
    block.older = newest
    if (newest) newest.newer = block
    else oldest = block
    newest = block
    unused++
  }
  const use = (block: Block) => {
    if (block.refs++ === 0) unlink(block)
  }
  const leading = (hashes: readonly number[], limit: number) => {
    const most = Math.min(limit, hashes.length)
    let count = 0
    while (count < most && blocks.has(hashes[count] as number)) count++
    return count
  }

  return {
    capacity,
    computed: () => blocks.size,
    inUse: () => blocks.size - unused + reserved,
    leading,
    acquire: (hashes, hits, fresh) => {
      const found: Block[] = []
      let wakened = 0
      for (let index = 0; index < hits; index++) {
        const block = blocks.get(hashes[index] as number)
        if (!block) break
        if (block.refs === 0) wakened++
        found.push(block)
      }
      const free = capacity - blocks.size - reserved
      if (found.length < hits || fresh > free + unused - wakened) return undefined
      found.forEach(use)
      for (let missing = fresh - free; missing > 0 && oldest; missing--) {
        blocks.delete(oldest.hash)
        unlink(oldest)
      }
      reserved += fresh
      return found
    },
    commit: (hash) => {
      reserved--
      const known = blocks.get(hash)
      if (known) {
        use(known)
        return known
      }
      const block: Block = { hash, refs: 1, older: undefined, newer: undefined }
      blocks.set(hash, block)
      return block
    },
    forget: (hashes) => {
      let dropped = 0
      for (const hash of hashes) {
        const block = blocks.get(hash)
        if (!block || block.refs > 0) continue
        blocks.delete(hash)
        unlink(block)
        dropped++
      }
      return dropped
    },
    release: (held, unfilled) => {
      reserved -= unfilled
      for (let index = held.length - 1; index >= 0; index--) {
        const block = held[index] as Block
        if (--block.refs === 0) retire(block)
      }
    },
  }
}
