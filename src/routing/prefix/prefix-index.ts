import { createCells } from './cells.ts'
import type { PrefixBlocks, PrefixIndex, PrefixIndexOptions, PrefixMatch } from './contract.ts'
import { createHoldings, type Order, type Owner } from './holdings.ts'
import { createRuns } from './runs.ts'

/**
 * An index of prefixes in memory that is set aside once (`cells.ts`): a radix tree of blocks that all instances share
 * (`runs.ts`), and for each instance the trees of what it holds, in the order of use (`holdings.ts`).
 *
 * Forgetting for want of room takes the least recently used first and of a prompt its tail first, so an instance never
 * holds a block without all blocks before it: there are no holes, and what counts as held is the unbroken beginning.
 * An instance's capacity is kept to the block; for the budget whole runs go. What is too old goes at the next call,
 * whichever it is.
 *
 * `match` and `heldBy` cost O(runs of the prompt), `insert` that and O(1) for each new block, forgetting O(1) for each
 * run forgotten, amortised; nothing depends on how many instances or records there are. Where prompts part in the
 * middle of a run, cutting it costs O(its holders), once for a place at most.
 *
 * A prompt that does not fit into the whole budget is remembered as far as it fits. About 200 bytes for each instance
 * come on top of the budget.
 *
 * @throws RangeError for a budget that an index cannot keep to.
 */
export function createPrefixIndex({ budgetBytes, maxAgeMs }: PrefixIndexOptions): PrefixIndex {
  const instances = new Map<number, Owner>()
  const owners: (Owner | undefined)[] = []
  const freePlaces: number[] = []
  const cells = createCells(budgetBytes)
  const runs = createRuns(cells)
  const holdings = createHoldings(cells, runs, owners)
  /** Of the prompt that `walk` has followed: its runs, and how many of its blocks lie before each run's end. */
  const path: number[] = []
  const reach: number[] = []
  /** The prompt that was walked along to its end, and its runs, until anything changes: a decision asks several times. */
  let walked: readonly number[] | undefined
  let walkedDepth = 0
  const counts = { records: 0, evicted: 0, corrected: 0 }
  let matches = 0
  let clockMs = Number.NEGATIVE_INFINITY

  function ownerOf(instance: number): Owner {
    const known = instances.get(instance)
    if (known) return known
    const place = freePlaces.pop() ?? owners.length
    const owner = { instance, place, blocks: 0, capacity: Infinity, named: 0, oldest: 0, newest: 0 }
    owners[place] = owner
    instances.set(instance, owner)
    return owner
  }

  /** Follows the first `to` blocks along what anybody holds, and returns the number of runs. */
  function walk(hashes: readonly number[], to: number): number {
    walked = undefined
    let depth = 0
    for (let at = 0; at < to; depth++) {
      const run = runs.find(hashes[at] as number)
      if (run === 0) break
      at += runs.shared(run, hashes, at, to)
      path[depth] = run
      reach[depth] = at
    }
    return depth
  }

  /** The same for a whole prompt, which the last question may have been about too. */
  function walkWhole(hashes: readonly number[]): number {
    if (walked === hashes) return walkedDepth
    walkedDepth = walk(hashes, hashes.length)
    walked = hashes
    return walkedDepth
  }

  /** How many of the runs walked along this owner holds: who holds one holds those before it, so by halving. */
  function heldDepth(owner: Owner, depth: number): number {
    let held = 0
    let beyond = depth
    while (held < beyond) {
      const middle = (held + beyond) >> 1
      if (holdings.find(path[middle] as number, owner) === 0) beyond = middle
      else held = middle + 1
    }
    return held
  }

  function count(owner: Owner, blocks: number): void {
    walked = undefined
    owner.blocks += blocks
    counts.records += blocks
  }

  function drop(leaf: number): number {
    const blocks = runs.length(holdings.runOf(leaf))
    count(holdings.ownerOf(leaf), -blocks)
    holdings.remove(leaf)
    return blocks
  }

  /** Drops what was used longest ago; nothing, where something below it was used since. Returns the blocks. */
  function dropOldest({ oldest }: Order): number {
    if (holdings.isLeaf(oldest)) return drop(oldest)
    holdings.unlist(oldest)
    return 0
  }

  /** Drops a holding and all below it. */
  function dropTree(top: number): number {
    let dropped = 0
    for (let leaf = holdings.leafBelow(top); leaf !== top; leaf = holdings.leafBelow(top))
      dropped += drop(leaf)
    return dropped + drop(top)
  }

  function moveClock(nowMs: number): void {
    clockMs = Math.max(clockMs, nowMs)
    const { order } = holdings
    while (order.oldest !== 0 && clockMs - holdings.usedMs(order.oldest) > maxAgeMs) dropOldest(order)
  }

  /** Frees cells; false where that would cost `kept` (0: nothing is kept). */
  function makeRoom(wanted: number, kept: number): boolean {
    const { order } = holdings
    while (cells.free() < wanted) {
      if (order.oldest === kept) return false
      counts.evicted += dropOldest(order)
    }
    return true
  }

  /** Cuts a run after `keep` blocks, for all who hold it; takes a cell for itself and one for each of them. */
  function cut(run: number, keep: number): number {
    const head = runs.cut(run, keep)
    for (let holding = runs.firstHolder(run); holding !== 0; holding = holdings.nextHolder(holding))
      holdings.addAbove(holding, head, holdings.ownerOf(holding))
    return head
  }

  /** Forgets this instance's least recently used until it holds at most `blocks`. */
  function trim(owner: Owner, blocks: number): void {
    while (owner.blocks > blocks) {
      const { oldest } = owner
      const run = holdings.runOf(oldest)
      const keep = runs.length(run) - (owner.blocks - blocks)
      const alone = runs.holders(run) === 1
      if (keep > 0 && holdings.isLeaf(oldest) && (alone || cells.free() > runs.holders(run))) {
        if (!alone) cut(run, keep)
        else {
          counts.evicted += owner.blocks - blocks
          count(owner, blocks - owner.blocks)
          runs.shorten(run, keep)
          return
        }
      }
      counts.evicted += dropOldest(owner)
    }
  }

  /** How far the owner holds the first blocks, up to `to`, and what ends there, cut off from what goes on behind it. */
  function heldTo(owner: Owner, hashes: readonly number[], to: number) {
    for (;;) {
      const held = heldDepth(owner, walk(hashes, to))
      if (held === 0) return { at: 0, end: 0 }
      const at = reach[held - 1] as number
      let run = path[held - 1] as number
      const same = at - (reach[held - 2] ?? 0)
      if (same < runs.length(run)) {
        if (cells.free() <= runs.holders(run)) {
          // What makes room may be what has been walked along.
          makeRoom(runs.holders(run) + 1, 0)
          continue
        }
        run = cut(run, same)
      }
      return { at, end: holdings.find(run, owner) }
    }
  }

  /** Drops what the owner holds from this block on, with which a run begins. */
  function dropFrom(owner: Owner, hash: number | undefined): void {
    const run = hash === undefined ? 0 : runs.find(hash)
    const wrong = run && holdings.find(run, owner)
    if (wrong !== 0) counts.corrected += dropTree(wrong)
  }

  /** Appends blocks to the run of this holding, where nobody else holds or continues it; returns how many. */
  function grow(owner: Owner, holding: number, hashes: readonly number[], from: number, to: number): number {
    const run = holdings.runOf(holding)
    if (!holdings.isLeaf(holding) || runs.holders(run) > 1) return 0
    const grown = runs.grow(run, hashes, from, to)
    count(owner, grown)
    return grown
  }

  /** The instance holds one run more, below `above`, which stands in the orders for all that is above it. */
  function add(owner: Owner, run: number, above: number, nowMs: number): number {
    const holding = holdings.add(run, owner, above)
    if (above === 0) holdings.touch(holding, nowMs)
    else holdings.pass(above, holding)
    count(owner, runs.length(run))
    return holding
  }

  /** The instance holds the first `most` blocks and has used them now. Returns how many of them there was room for. */
  function hold(owner: Owner, hashes: readonly number[], most: number, nowMs: number): number {
    const to = Math.min(most, owner.capacity)
    let { at, end } = heldTo(owner, hashes, to)
    if (end !== 0) holdings.touch(end, nowMs)
    trim(owner, owner.capacity - (to - at))
    while (at < to) {
      const run = runs.find(hashes[at] as number)
      const same = run === 0 ? 0 : runs.shared(run, hashes, at, to)
      const whole = run === 0 || same === runs.length(run)
      const wanted = whole ? 2 : runs.holders(run) + 2
      if (cells.free() < wanted) {
        if (!makeRoom(wanted, end)) break
        // What made room may have been this run.
        continue
      }
      const grown = run === 0 && end !== 0 ? grow(owner, end, hashes, at, to) : 0
      if (grown === 0) {
        const next = run === 0 ? runs.add(hashes, at, to) : whole ? run : cut(run, same)
        end = add(owner, next, end, nowMs)
      }
      at += grown || runs.length(holdings.runOf(end))
    }
    return at
  }

  return {
    match({ hashes }, nowMs, limit = Infinity) {
      moveClock(nowMs)
      const found: PrefixMatch[] = []
      matches++
      for (let at = walkWhole(hashes) - 1; at >= 0 && found.length < limit; at--) {
        const run = path[at] as number
        const blocks = reach[at] as number
        // All found so far hold this run too: it comes before theirs.
        let more = Math.min(runs.holders(run), limit) - found.length
        for (let next = runs.firstHolder(run); next !== 0 && more > 0; next = holdings.nextHolder(next)) {
          const owner = holdings.ownerOf(next)
          if (owner.named === matches) continue
          owner.named = matches
          found.push({ instance: owner.instance, blocks })
          more--
        }
      }
      return found
    },
    heldBy(instance, { hashes }, nowMs) {
      moveClock(nowMs)
      const owner = instances.get(instance)
      if (!owner) return 0
      const held = heldDepth(owner, walkWhole(hashes))
      return held === 0 ? 0 : (reach[held - 1] as number)
    },
    insert(instance, { hashes }, nowMs) {
      moveClock(nowMs)
      hold(ownerOf(instance), hashes, hashes.length, clockMs)
    },
    correct(instance, { hashes }: PrefixBlocks, blocks, nowMs) {
      moveClock(nowMs)
      const most = Math.max(0, Math.min(Math.floor(blocks), hashes.length))
      const held = most === 0 ? 0 : hold(ownerOf(instance), hashes, most, clockMs)
      const owner = instances.get(instance)
      if (owner) dropFrom(owner, hashes[held])
    },
    evict(instance, { hashes }, blocks, nowMs) {
      moveClock(nowMs)
      const owner = instances.get(instance)
      const most = Math.max(0, Math.floor(blocks))
      if (owner && most < hashes.length && heldTo(owner, hashes, most).at === most)
        dropFrom(owner, hashes[most])
    },
    setCapacity(instance, blocks) {
      if (!(blocks >= 0)) throw new RangeError(`instance ${instance} cannot hold ${blocks} blocks`)
      const owner = ownerOf(instance)
      owner.capacity = Math.floor(blocks)
      trim(owner, owner.capacity)
    },
    forget(instance) {
      const owner = instances.get(instance)
      if (!owner) return
      while (owner.oldest !== 0) dropOldest(owner)
      instances.delete(instance)
      owners[owner.place] = undefined
      freePlaces.push(owner.place)
    },
    stats: () => ({ ...counts, bytes: cells.bytes(), budgetBytes }),
  }
}
