import { type Cells, cellFloats, cellWords } from './cells.ts'
import type { Runs } from './runs.ts'

/** Words of a holding's cell. */
const runOf = 0
const ownerOf = 1
const chain = 2
const holderBefore = 3
const holderAfter = 4
const parent = 5
const firstChild = 6
const siblingBefore = 7
const siblingAfter = 8
/** Two words for each order: the neighbour used longer ago, the neighbour used since. */
const ownOrder = 9
const wholeOrder = 11
const listed = 13
const fields = 14
/** A float, after those words. */
const usedMs = fields / 2

/** Both ends of a list of holdings by their last use; 0 where it is empty. */
export interface Order {
  oldest: number
  newest: number
}

/** An instance that holds something. Its place in the table of owners is its number in holdings. */
export interface Owner extends Order {
  readonly instance: number
  readonly place: number
  /** Blocks that it holds, and that it may hold at most. */
  blocks: number
  capacity: number
  /** The last match that has named it. */
  named: number
}

/**
 * Holdings: that an instance holds a run, all of it. Those of one instance are trees, since who holds a run holds what
 * comes before it. Whatever is used is used from the root, so an inner holding was used whenever one below it was:
 * only ends (of prompts) stand in the orders of use, and one use costs one move, however long the prompt. When a last
 * leaf goes, the holding above it takes its place in the order, for it was last used together with it.
 */
export interface Holdings {
  /** By last use, over all instances. */
  readonly order: Order
  /** The holding of this run by this owner, or 0. */
  find(run: number, owner: Owner): number
  /** Below `above` (0: a root), not in the orders yet. Takes a cell. */
  add(run: number, owner: Owner, above: number): number
  /** A holding of `head`, between `holding` and what is above it. Takes a cell. */
  addAbove(holding: number, head: number, owner: Owner): number
  /** Removes a leaf; its run too, when nobody holds it any more. */
  remove(leaf: number): void
  /** Used now, and used last. */
  touch(holding: number, nowMs: number): void
  /** Puts `to` in the place of `from` in the orders. */
  pass(from: number, to: number): void
  /** Takes out of the orders what is no leaf: what lies below it was used since. */
  unlist(holding: number): void
  isLeaf(holding: number): boolean
  /** A leaf at or below it. */
  leafBelow(holding: number): number
  usedMs(holding: number): number
  runOf(holding: number): number
  ownerOf(holding: number): Owner
  nextHolder(holding: number): number
}

export function createHoldings(cells: Cells, runs: Runs, owners: readonly (Owner | undefined)[]): Holdings {
  const { words, floats } = cells
  const heads = new Int32Array(cells.tableLength)
  const scale = cells.tableLength / 2 ** 32
  const order: Order = { oldest: 0, newest: 0 }
  const get = (holding: number, field: number) => words[holding * cellWords + field] as number
  const set = (holding: number, field: number, value: number) => {
    words[holding * cellWords + field] = value
  }
  const owner = (holding: number) => owners[get(holding, ownerOf)] as Owner

  function bucketOf(run: number, place: number): number {
    const mixed = Math.imul(run, 0x9e3779b1) ^ Math.imul(place + 1, 0x85ebca6b)
    return ((Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 0) * scale) | 0
  }

  function create(run: number, { place }: Owner): number {
    const holding = cells.take()
    words.fill(0, holding * cellWords, holding * cellWords + fields)
    set(holding, runOf, run)
    set(holding, ownerOf, place)
    const bucket = bucketOf(run, place)
    set(holding, chain, heads[bucket] as number)
    heads[bucket] = holding
    const next = runs.firstHolder(run)
    set(holding, holderAfter, next)
    if (next !== 0) set(next, holderBefore, holding)
    runs.setFirstHolder(run, holding, 1)
    return holding
  }

  /** Out of the hash table and of the run's list. */
  function leaveRun(holding: number): void {
    const run = get(holding, runOf)
    const bucket = bucketOf(run, get(holding, ownerOf))
    if (heads[bucket] === holding) heads[bucket] = get(holding, chain)
    else {
      let before = heads[bucket] as number
      while (get(before, chain) !== holding) before = get(before, chain)
      set(before, chain, get(holding, chain))
    }
    const before = get(holding, holderBefore)
    const after = get(holding, holderAfter)
    if (before !== 0) set(before, holderAfter, after)
    if (after !== 0) set(after, holderBefore, before)
    runs.setFirstHolder(run, before === 0 ? after : runs.firstHolder(run), -1)
    if (runs.holders(run) === 0) runs.remove(run)
  }

  /** Puts `to` where `holding` was among its siblings; with 0 it just leaves. */
  function leaveParent(holding: number, to: number): void {
    const before = get(holding, siblingBefore)
    const after = get(holding, siblingAfter)
    if (before !== 0) set(before, siblingAfter, to || after)
    else if (get(holding, parent) !== 0) set(get(holding, parent), firstChild, to || after)
    if (after !== 0) set(after, siblingBefore, to || before)
  }

  function append(list: Order, links: number, holding: number): void {
    set(holding, links, list.newest)
    set(holding, links + 1, 0)
    if (list.newest !== 0) set(list.newest, links + 1, holding)
    else list.oldest = holding
    list.newest = holding
  }

  /** Puts `to` where `holding` was in an order; with 0 it just leaves. */
  function leaveOrder(list: Order, links: number, holding: number, to: number): void {
    const before = get(holding, links)
    const after = get(holding, links + 1)
    if (before !== 0) set(before, links + 1, to || after)
    else list.oldest = to || after
    if (after !== 0) set(after, links, to || before)
    else list.newest = to || before
    if (to === 0) return
    set(to, links, before)
    set(to, links + 1, after)
  }

  function unlist(holding: number): void {
    if (get(holding, listed) === 0) return
    leaveOrder(owner(holding), ownOrder, holding, 0)
    leaveOrder(order, wholeOrder, holding, 0)
    set(holding, listed, 0)
  }

  function pass(from: number, to: number): void {
    leaveOrder(owner(from), ownOrder, from, to)
    leaveOrder(order, wholeOrder, from, to)
    set(from, listed, 0)
    set(to, listed, 1)
    floats[to * cellFloats + usedMs] = floats[from * cellFloats + usedMs] as number
  }

  return {
    order,
    find(run, { place }) {
      let holding = heads[bucketOf(run, place)] as number
      while (holding !== 0 && (get(holding, runOf) !== run || get(holding, ownerOf) !== place))
        holding = get(holding, chain)
      return holding
    },
    add(run, owner, above) {
      const holding = create(run, owner)
      if (above === 0) return holding
      const sibling = get(above, firstChild)
      set(holding, parent, above)
      set(holding, siblingAfter, sibling)
      if (sibling !== 0) set(sibling, siblingBefore, holding)
      set(above, firstChild, holding)
      return holding
    },
    addAbove(holding, head, owner) {
      const above = create(head, owner)
      leaveParent(holding, above)
      for (const field of [parent, siblingBefore, siblingAfter]) set(above, field, get(holding, field))
      set(above, firstChild, holding)
      set(holding, parent, above)
      set(holding, siblingBefore, 0)
      set(holding, siblingAfter, 0)
      return above
    },
    remove(leaf) {
      const above = get(leaf, parent)
      leaveParent(leaf, 0)
      if (above !== 0 && get(above, firstChild) === 0 && get(above, listed) === 0) pass(leaf, above)
      else unlist(leaf)
      leaveRun(leaf)
      cells.give(leaf)
    },
    touch(holding, nowMs) {
      unlist(holding)
      append(owner(holding), ownOrder, holding)
      append(order, wholeOrder, holding)
      set(holding, listed, 1)
      floats[holding * cellFloats + usedMs] = nowMs
    },
    pass,
    unlist,
    leafBelow(holding) {
      let leaf = holding
      for (let child = leaf; child !== 0; child = get(child, firstChild)) leaf = child
      return leaf
    },
    isLeaf: (holding) => get(holding, firstChild) === 0,
    usedMs: (holding) => floats[holding * cellFloats + usedMs] as number,
    runOf: (holding) => get(holding, runOf),
    ownerOf: owner,
    nextHolder: (holding) => get(holding, holderAfter),
  }
}
