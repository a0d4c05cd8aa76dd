import { idBlocks } from './blocks.ts'
import type { PrefixBlocks, PrefixMatch } from './contract.ts'

/** A prompt of whole blocks with this content. */
export const promptOf = (ids: readonly number[], salt = 'tenant'): PrefixBlocks =>
  idBlocks(ids, salt, 16, ids.length * 16)

/** Blocks `from` up to and without `to`, as contents. */
export const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)

interface Use {
  hash: number
  depth: number
  parent: number
  usedMs: number
  /** Counts all uses: who was used last has the largest. */
  use: number
}

/**
 * What an index should know, in the plainest way: for each instance a map of blocks with their last use, exact to the
 * block, and no budget.
 */
export function createReference(maxAgeMs: number) {
  const held = new Map<number, Map<number, Use>>()
  const capacities = new Map<number, number>()
  let uses = 0
  let clockMs = 0

  const blocksOf = (instance: number) => held.get(instance) ?? new Map<number, Use>()

  function expire(nowMs: number): void {
    clockMs = nowMs
    for (const blocks of held.values())
      for (const { hash, usedMs } of blocks.values()) if (clockMs - usedMs > maxAgeMs) blocks.delete(hash)
  }

  function trim(instance: number): void {
    const blocks = blocksOf(instance)
    const leastFirst = [...blocks.values()].sort((a, b) => a.use - b.use || b.depth - a.depth)
    for (const { hash } of leastFirst.slice(
      0,
      Math.max(0, blocks.size - (capacities.get(instance) ?? Infinity)),
    ))
      blocks.delete(hash)
  }

  function hold(instance: number, hashes: readonly number[]): void {
    const blocks = blocksOf(instance)
    held.set(instance, blocks)
    uses++
    hashes.forEach((hash, depth) => {
      blocks.set(hash, { hash, depth, parent: hashes[depth - 1] ?? Number.NaN, usedMs: clockMs, use: uses })
    })
    trim(instance)
  }

  /** Forgets a block and all that continue it. */
  function dropTree(blocks: Map<number, Use>, hash: number): void {
    if (!blocks.delete(hash)) return
    for (const { hash: child, parent } of [...blocks.values()]) if (parent === hash) dropTree(blocks, child)
  }

  function heldBy(instance: number, { hashes }: PrefixBlocks): number {
    const blocks = blocksOf(instance)
    const missing = hashes.findIndex((hash) => !blocks.has(hash))
    return missing < 0 ? hashes.length : missing
  }

  return {
    expire,
    heldBy,
    insert: (instance: number, { hashes }: PrefixBlocks) => hold(instance, hashes),
    correct(instance: number, { hashes }: PrefixBlocks, there: number) {
      hold(instance, hashes.slice(0, there))
      const kept = Math.min(there, capacities.get(instance) ?? Infinity)
      const beyond = hashes[kept]
      if (beyond !== undefined) dropTree(blocksOf(instance), beyond)
    },
    evict(instance: number, prompt: PrefixBlocks, there: number) {
      const beyond = prompt.hashes[there]
      if (beyond !== undefined && heldBy(instance, prompt) >= there) dropTree(blocksOf(instance), beyond)
    },
    setCapacity(instance: number, capacity: number) {
      capacities.set(instance, capacity)
      trim(instance)
    },
    forget(instance: number) {
      held.delete(instance)
      capacities.delete(instance)
    },
    match: (prompt: PrefixBlocks): PrefixMatch[] =>
      [...held.keys()]
        .map((instance) => ({ instance, blocks: heldBy(instance, prompt) }))
        .filter(({ blocks }) => blocks > 0)
        .sort((a, b) => b.blocks - a.blocks || a.instance - b.instance),
    records: () => [...held.values()].reduce((sum, blocks) => sum + blocks.size, 0),
  }
}
