import { type Cells, cellFloats, cellWords } from './cells.ts'

/** Words of a run's cell; its hashes follow. */
const length = 0
const holders = 1
const firstHolder = 2
const chain = 3
const firstHash = 2

/** Blocks that one run may have. */
const runBlocks = cellFloats - firstHash

/**
 * Blocks that follow one another and are held by the same instances: a run. It is found by the hash of its first block
 * (which stands for all before it too, so that runs need not point at each other), and prompts that part company in its
 * middle cut it in two. So the work for a prompt grows with its runs rather than its blocks.
 */
export interface Runs {
  /** The run that begins with this block, or 0. */
  find(hash: number): number
  /** A run of `hashes` from `from` up to and without `to`, that nobody holds yet. Takes a cell. */
  add(hashes: readonly number[], from: number, to: number): number
  remove(run: number): void
  length(run: number): number
  /** How many blocks from `from` on, and before `to`, are the run's. */
  shared(run: number, hashes: readonly number[], from: number, to: number): number
  /** Appends as many blocks as there is room for, and returns how many. */
  grow(run: number, hashes: readonly number[], from: number, to: number): number
  /** Forgets all but the first `keep` blocks. */
  shorten(run: number, keep: number): void
  /** Moves the first `keep` blocks to a new run, which is returned and which nobody holds yet. Takes a cell. */
  cut(run: number, keep: number): number
  /** How many instances hold it. */
  holders(run: number): number
  /** The first of its list of holdings, or 0. */
  firstHolder(run: number): number
  /** Puts another holding at the head of its list, and counts it (or not, with `change` 0 or -1). */
  setFirstHolder(run: number, holding: number, change: number): void
}

export function createRuns({ words, floats, take, give, tableLength }: Cells): Runs {
  const heads = new Int32Array(tableLength)
  const scale = tableLength / 2 ** 32
  const bucketOf = (hash: number) => ((Math.imul(hash | 0, 0x9e3779b1) >>> 0) * scale) | 0
  const hashAt = (run: number, at: number) => floats[run * cellFloats + firstHash + at] as number
  const get = (run: number, field: number) => words[run * cellWords + field] as number

  function link(run: number): void {
    const bucket = bucketOf(hashAt(run, 0))
    words[run * cellWords + chain] = heads[bucket] as number
    heads[bucket] = run
  }

  function unlink(run: number): void {
    const bucket = bucketOf(hashAt(run, 0))
    const next = get(run, chain)
    if (heads[bucket] === run) {
      heads[bucket] = next
      return
    }
    let before = heads[bucket] as number
    while (get(before, chain) !== run) before = get(before, chain)
    words[before * cellWords + chain] = next
  }

  function create(): number {
    const run = take()
    words[run * cellWords + length] = 0
    words[run * cellWords + holders] = 0
    words[run * cellWords + firstHolder] = 0
    return run
  }

  function grow(run: number, hashes: readonly number[], from: number, to: number): number {
    const before = get(run, length)
    const count = Math.min(runBlocks - before, to - from)
    const base = run * cellFloats + firstHash + before
    for (let at = 0; at < count; at++) floats[base + at] = hashes[from + at] as number
    words[run * cellWords + length] = before + count
    return count
  }

  return {
    find(hash) {
      let run = heads[bucketOf(hash)] as number
      while (run !== 0 && hashAt(run, 0) !== hash) run = get(run, chain)
      return run
    },
    add(hashes, from, to) {
      const run = create()
      grow(run, hashes, from, to)
      link(run)
      return run
    },
    remove(run) {
      unlink(run)
      give(run)
    },
    length: (run) => get(run, length),
    shared(run, hashes, from, to) {
      // Hashes are chained: where the last is the same, all are. Most runs are full; said as a condition, not as a
      // number read from memory, it lets a CPU look for the next run while this one is still on its way.
      const blocks = get(run, length)
      const last = runBlocks - 1
      if (blocks === runBlocks && from + last < to && hashAt(run, last) === hashes[from + last])
        return runBlocks
      const most = Math.min(blocks, to - from)
      if (hashAt(run, most - 1) === hashes[from + most - 1]) return most
      let same = 1
      while (hashAt(run, same) === hashes[from + same]) same++
      return same
    },
    grow,
    shorten(run, keep) {
      words[run * cellWords + length] = keep
    },
    cut(run, keep) {
      const head = create()
      unlink(run)
      const from = run * cellFloats + firstHash
      const rest = get(run, length) - keep
      floats.copyWithin(head * cellFloats + firstHash, from, from + keep)
      floats.copyWithin(from, from + keep, from + keep + rest)
      words[head * cellWords + length] = keep
      words[run * cellWords + length] = rest
      link(head)
      link(run)
      return head
    },
    holders: (run) => get(run, holders),
    firstHolder: (run) => get(run, firstHolder),
    setFirstHolder(run, holding, change) {
      words[run * cellWords + firstHolder] = holding
      words[run * cellWords + holders] = get(run, holders) + change
    },
  }
}
