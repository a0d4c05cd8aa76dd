import { hash } from 'node:crypto'
import type { BlocksStored, KvEvent } from './batch.ts'

/** The blocks that an engine's KV cache holds, as its events tell, and the prompts whose beginnings are watched there. */
export interface Ledger {
  apply(events: readonly KvEvent[]): void
  /**
   * Watches a prompt. `onShrunk` is told how many of its leading tokens are left, each time that there are fewer than
   * before some batch of events; once none is left, never again. Stored blocks may come before or after this.
   */
  follow(promptTokens: readonly number[], onShrunk: (keptTokens: number) => void): void
  /** What is there is not known any more: blocks and prompts are forgotten, and nobody is told. */
  forget(): void
}

export interface LedgerLimits {
  /** Of all prompts that are watched together; beyond, the oldest are let go. */
  followedTokens: number
  /** More blocks than any cache has: all is forgotten then. */
  blocks: number
}

const usualLimits: LedgerLimits = { followedTokens: 2 ** 22, blocks: 2 ** 20 }

/** A block of tokens behind all those before it. Blocks of the same tokens are one, whatever else is in their hashes. */
interface Block {
  /** Of its tokens, among the children of its parent. */
  key: string
  parent: Block | undefined
  children?: Map<string, Block>
  /** Tokens up to its end, those of the blocks before it counted. */
  tokens: number
  copies: number
  /** It is there, and so are all before it. */
  held: boolean
  /** Whose prompts are held up to its end, and no further. */
  followers?: Set<Follower>
}

interface Follower {
  tokens: Int32Array
  at: Block
  /** The key of the next block of the prompt; empty where no whole block is left. */
  next: string
  onShrunk(keptTokens: number): void
}

/**
 * A tree of blocks, in which each follower stands where its prompt's held beginning ends: what is stored or removed
 * moves those that stand there, or below. Engines remove tails first, so that costs as much as there are such followers.
 */
export function createLedger(limits: LedgerLimits = usualLimits): Ledger {
  let root = createRoot()
  /** The engine's names of blocks, each with the copies that go by it. */
  let named = new Map<string, { block: Block; copies: number }>()
  let blockTokens = 0
  let followedTokens = 0
  /** Oldest first. */
  const followers = new Set<Follower>()
  /** Those that moved during this batch, and what they had before it. */
  const moved = new Map<Follower, number>()

  function stand(follower: Follower, at: Block): void {
    if (!moved.has(follower)) moved.set(follower, follower.at.tokens)
    follower.at.followers?.delete(follower)
    follower.at = at
    follower.next = keyOf(follower.tokens, at.tokens, blockTokens)
    at.followers ??= new Set()
    at.followers.add(follower)
  }

  /** Held from now on, and so is what lies below it without a gap. */
  function connect(top: Block): void {
    const waiting = [top]
    for (let block = waiting.pop(); block; block = waiting.pop()) {
      block.held = true
      for (const follower of block.parent?.followers ?? [])
        if (follower.next === block.key) stand(follower, block)
      for (const child of block.children?.values() ?? []) if (child.copies > 0) waiting.push(child)
    }
  }

  /** Held no longer, nor is what lies below it. */
  function disconnect(top: Block): void {
    const waiting = [top]
    for (let block = waiting.pop(); block; block = waiting.pop()) {
      block.held = false
      for (const follower of block.followers ?? []) stand(follower, top.parent ?? root)
      for (const child of block.children?.values() ?? []) if (child.held) waiting.push(child)
    }
  }

  function store({ ids, parent, tokens, blockTokens: size }: BlocksStored): void {
    if (blockTokens === 0 && tokens.length > 0) learnSize(size)
    let above = parent === undefined ? root : named.get(parent)?.block
    const told = size === blockTokens ? Int32Array.from(tokens) : new Int32Array(0)
    for (const [at, id] of ids.entries()) {
      const known = named.get(id)
      const key = keyOf(told, at * size, size)
      // What hangs on nothing that is known, and of what nobody knows the tokens, is nobody's beginning.
      const block = known?.block ?? (above && key !== '' ? childOf(above, key) : undefined)
      if (!block) return
      if (known) known.copies++
      else named.set(id, { block, copies: 1 })
      block.copies++
      if (!block.held && block.parent?.held) connect(block)
      above = block
    }
  }

  /** The first that is stored says how large blocks are; until then nobody's next one was known. */
  function learnSize(size: number): void {
    blockTokens = size
    for (const follower of followers) stand(follower, follower.at)
  }

  function childOf(above: Block, key: string): Block {
    const known = above.children?.get(key)
    if (known) return known
    const child: Block = { key, parent: above, tokens: above.tokens + blockTokens, copies: 0, held: false }
    above.children ??= new Map()
    above.children.set(key, child)
    return child
  }

  function remove(id: string): void {
    const known = named.get(id)
    if (!known) return
    if (--known.copies === 0) named.delete(id)
    const { block } = known
    if (--block.copies > 0) return
    if (block.held) disconnect(block)
    // One that others hang on stays as their place until they are gone.
    for (let gone = block; gone.parent && gone.copies === 0 && !gone.children?.size; gone = gone.parent)
      gone.parent.children?.delete(gone.key)
  }

  function clear(): void {
    root = createRoot()
    named = new Map()
    for (const follower of followers) stand(follower, root)
  }

  function letGo(follower: Follower): void {
    followers.delete(follower)
    follower.at.followers?.delete(follower)
    followedTokens -= follower.tokens.length
  }

  function tell(): void {
    for (const [follower, before] of moved) {
      const { tokens } = follower.at
      if (tokens >= before) continue
      if (tokens === 0) letGo(follower)
      follower.onShrunk(tokens)
    }
    moved.clear()
  }

  function forget(): void {
    for (const follower of followers) letGo(follower)
    root = createRoot()
    named = new Map()
    blockTokens = 0
  }

  return {
    apply(events) {
      for (const event of events) {
        if (event.type === 'stored') store(event)
        else if (event.type === 'removed') event.ids.forEach(remove)
        else clear()
      }
      tell()
      if (named.size > limits.blocks) forget()
    },

    follow(promptTokens, onShrunk) {
      const follower: Follower = { tokens: Int32Array.from(promptTokens), at: root, next: '', onShrunk }
      followers.add(follower)
      followedTokens += follower.tokens.length
      stand(follower, root)
      for (;;) {
        const next = follower.at.children?.get(follower.next)
        if (!next?.held) break
        stand(follower, next)
      }
      moved.delete(follower)
      for (const oldest of followers) {
        if (followedTokens <= limits.followedTokens) break
        letGo(oldest)
      }
    },

    forget,
  }
}

const createRoot = (): Block => ({ key: '', parent: undefined, tokens: 0, copies: 1, held: true })

/** Of the block of a prompt that begins at `from`; empty where that is not whole. */
function keyOf(tokens: Int32Array, from: number, size: number): string {
  if (size === 0 || from + size > tokens.length) return ''
  return hash('sha1', tokens.subarray(from, from + size), 'base64')
}
