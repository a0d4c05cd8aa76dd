import type { ModelCosts, PlanInstance, PlanWishes, RunShape } from '../contract.ts'
import { decodeTokensPerSOf } from '../speed/index.ts'
import { canHold, divideEvenly, divideFastest, type Ends, type StageRoom } from './assign.ts'
import { buildInstance } from './build.ts'
import type { Candidate, Search } from './candidate.ts'
import { fitOnce } from './fits.ts'
import { divisionAsked } from './found.ts'
import { devicesOf, hasHostStage, type Layout, tensorSizeOf, usesHost } from './layout.ts'
import { leastBytes, usableBytes } from './limits.ts'
import { type Load, roomsOf } from './rooms.ts'
import { contextStep } from './runs.ts'

/** A division that is a little slower but leaves all devices room is the better one. */
const worthUneven = 1.02
/** More slots and a longer context, which push layers to slower places, are worth so much of the speed. */
const worthRoom = 0.95

/**
 * The layout under the best run that it holds; undefined where it holds none. A draft model was asked for: it comes
 * before more slots or a longer context, and is left out where no run has room for it.
 */
export function fitLayout(search: Search, layout: Layout): Candidate | undefined {
  if (!mayHold(search, layout)) return undefined
  return fitOnce(search, layout, () => fitAnew(search, layout))
}

/** Weights and cache without buffers are counted before anything is worked out. */
function mayHold(search: Search, layout: Layout): boolean {
  if (layout.hostExperts || layout.stages.some(({ kind }) => kind === 'cpu')) return true
  return usableBytes(layout.engine, devicesOf(layout)) >= leastBytes(search)
}

function fitAnew(search: Search, layout: Layout): Candidate | undefined {
  const drafts = search.model.draft && devicesOf(layout).length > 0
  return (drafts ? fitLevels(search, layout, true) : undefined) ?? fitLevels(search, layout, false)
}

function fitLevels(search: Search, layout: Layout, draft: boolean): Candidate | undefined {
  const levels = search.runs.levels
  const last = levels.length - 1
  const fitAt = (level: number): Candidate | undefined => {
    const run = levels[level]
    return run && fitRun(search, layout, { run, level, draft })
  }
  const least = fitAt(last)
  if (!least || last === 0) return least
  const good = (candidate: Candidate) => candidate.decodeTokensPerS >= worthRoom * least.decodeTokensPerS
  let found = least
  let before = -1
  if (!usesHost(layout)) {
    // The first level that the devices have room for is as good as the least as a rule, and cheap to find.
    before = firstWith(-1, last, (level) => hasRoom(search, layout, levels[level], draft))
    const roomiest = fitAt(before)
    if (roomiest && good(roomiest)) return roomiest
  }
  firstWith(before, last, (level) => {
    const candidate = fitAt(level)
    if (!candidate || !good(candidate)) return false
    found = candidate
    return true
  })
  return found
}

/** The first number above `low` that does, by bisection: all after it do, too, `high` among them. */
function firstWith(low: number, high: number, does: (at: number) => boolean): number {
  if (low < 0 && does(0)) return 0
  let [fails, holds] = [Math.max(low, 0), high]
  while (holds - fails > 1) {
    const middle = (fails + holds) >> 1
    if (does(middle)) holds = middle
    else fails = middle
  }
  return holds
}

/** Whether the layout's devices have room under a run; they may still not be given it so that it is fast. */
function hasRoom(search: Search, layout: Layout, run: RunShape | undefined, draft: boolean): boolean {
  if (!run) return false
  const load = loadOf(search, layout, runOf(layout, run), draft)
  return canHold(roomsOf(load), load.costs.layers.length + 1)
}

/** The longest context, in steps of llama.cpp's padding, that a chosen layout holds. */
export function lengthen(search: Search, candidate: Candidate): Candidate {
  const above = search.runs.levels[candidate.level - 1]
  const { run } = candidate
  if (!above || above.slots !== run.slots || usesHost(candidate.layout)) return candidate
  const draft = candidate.instance.draftDeviceId !== undefined
  let best = candidate
  let low = 0
  let high = Math.ceil((above.contextLength - run.contextLength) / contextStep)
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const longer = { ...run, contextLength: run.contextLength + middle * contextStep }
    const fitted = fitRun(search, candidate.layout, { run: longer, level: candidate.level, draft })
    if (fitted && fitted.decodeTokensPerS >= worthRoom * candidate.decodeTokensPerS) {
      best = fitted
      low = middle
    } else high = middle
  }
  return best
}

/** A run to try, and its place among the levels. */
interface Trial {
  run: RunShape
  level: number
  draft: boolean
}

/** The layout under one run. */
export function fitRun(search: Search, layout: Layout, trial: Trial): Candidate | undefined {
  const { wishes } = search
  const { level, draft } = trial
  const run = runOf(layout, trial.run)
  const load = loadOf(search, layout, run, draft)
  const { costs } = load
  const fewest = layout.hostExperts && !hasHostStage(layout)
  const built = fewest ? fewestHostExperts(load, run, wishes) : divide(load, run, wishes)
  const best = fastest(search, costs, built)
  return best && { layout, run, level, costs, ...best }
}

/** A tensor split needs flash attention. */
function runOf(layout: Layout, run: RunShape): RunShape {
  return tensorSizeOf(layout) > 1 ? { ...run, flashAttention: 'on' } : run
}

function loadOf({ model, runs, world }: Search, layout: Layout, run: RunShape, draft: boolean): Load {
  const costs = runs.costs(run)
  // Where whole layers lie on the CPU as well, the devices keep no experts at all: they hold more layers so.
  const hostExperts = layout.hostExperts && hasHostStage(layout) ? costs.layers.length : 0
  return { model, costs, fabric: world.fabric, layout, hostExperts, draft }
}

interface Divided {
  even: PlanInstance | undefined
  uneven: PlanInstance | undefined
  /** The devices hold their ranges; the host's memory may still be too small. */
  divided: boolean
}

const nothing: Divided = { even: undefined, uneven: undefined, divided: false }

function fastest(
  { model, world, wishes }: Search,
  costs: ModelCosts,
  { even, uneven }: Divided,
): Pick<Candidate, 'instance' | 'decodeTokensPerS'> | undefined {
  const [a, b] = [even, uneven].map((instance) => {
    if (!instance) return undefined
    return { instance, decodeTokensPerS: decodeTokensPerSOf(instance, costs, world.inventory, model, wishes) }
  })
  if (!a || !b) return a ?? b
  return b.decodeTokensPerS > worthUneven * a.decodeTokensPerS ? b : a
}

function divide(load: Load, run: RunShape, wishes: PlanWishes): Divided {
  const rooms = roomsOf(load)
  if (rooms.some(({ roomBytes }) => roomBytes < 0) && !load.layout.maySkip) return nothing
  const items = load.costs.layers.length + 1
  if (!canHold(rooms, items)) return nothing
  const build = (ends: readonly number[] | undefined) => ends && buildInstance(load, ends, run)
  if (rooms.length === 1) {
    const whole = divideFastest(rooms, items, false)
    return { even: build(whole), uneven: undefined, divided: whole !== undefined }
  }
  // What lies on the CPU is never even: it is only what the devices cannot hold.
  const host = hasHostStage(load.layout)
  const measure = measureOf(load, wishes)
  const measures = rooms.map((room) => measure?.(room) ?? room.seconds)
  const evenly = host ? undefined : divideEvenly(rooms, items, measures)
  const even = build(evenly)
  if (even && (measure || asFast(load, rooms))) return { even, uneven: undefined, divided: true }
  const found =
    measure && !host ? undefined : withHostLayer(load, divideFastest(rooms, items, load.layout.maySkip))
  // Who asks for a division does not mean all on the one stage that is fastest alone.
  const fastest = found && divisionAsked(wishes) && stagesIn(found) === 1 ? undefined : found
  const same = even && fastest?.every((end, at) => end === evenly?.[at])
  return { even, uneven: same ? undefined : build(fastest), divided: (evenly ?? fastest) !== undefined }
}

/**
 * Beside a CPU devices keep less for batches that overlap: what they hold only so needs a layer there. The CPU is the
 * first stage.
 */
function withHostLayer({ layout }: Load, ends: Ends | undefined): Ends | undefined {
  if (ends?.[0] !== 0 || !layout.maySkip || layout.stages[0]?.kind !== 'cpu') return ends
  return ends.map((end) => Math.max(end, 1))
}

/** Stages that have any items. */
const stagesIn = (ends: Ends) => ends.filter((end, at) => end > (ends[at - 1] ?? 0)).length

/** Whether a step takes as long however the layers are divided: all stages have some, and take as long for each. */
function asFast({ layout }: Load, rooms: readonly StageRoom[]): boolean {
  return !layout.maySkip && rooms.every(({ seconds }) => seconds === rooms[0]?.seconds)
}

/** What every stage is to have as much of as the others; undefined where that is time. */
function measureOf(
  { costs }: Load,
  { algorithm, division, kvCacheDistribution }: PlanWishes,
): ((room: StageRoom) => Float64Array) | undefined {
  if (kvCacheDistribution === 'balanced') {
    const sums = runningSums(costs.layers.map(({ kvCacheBytes }) => kvCacheBytes))
    return () => sums
  }
  if (division === 'balanced') return ({ bytes }) => bytes
  return division === 'memory_aware' || algorithm === 'memory_only' ? filling : undefined
}

/** With one for the head, which has no cache. */
function runningSums(layers: readonly number[]): Float64Array {
  const sums = new Float64Array(layers.length + 2)
  for (const [at, value] of [...layers, 0].entries()) sums[at + 1] = (sums[at] ?? 0) + value
  return sums
}

/** How full a stage becomes, item by item. */
function filling({ bytes, roomBytes }: StageRoom): Float64Array {
  return bytes.map((sum) => sum / Math.max(1, roomBytes))
}

/** As few layers as need be leave their experts to the host: bisection over their number. */
function fewestHostExperts(load: Load, run: RunShape, wishes: PlanWishes): Divided {
  const at = (hostExperts: number) => divide({ ...load, hostExperts }, run, wishes)
  let [low, high] = [0, load.costs.layers.length]
  let found = at(high)
  if (!found.divided) return nothing
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const divided = at(middle)
    if (divided.divided) {
      found = divided
      high = middle
    } else low = middle
  }
  return found
}

/** Tokens that nobody misses more of: with such a context a device holds a model well enough to need no other. */
const roomyContext = 32_768

/** The context is what was wanted, or cut to one that is still long. */
export function isRoomy({ runs }: Search, { run }: Candidate): boolean {
  return run.contextLength >= Math.min(runs.levels[0]?.contextLength ?? 0, roomyContext)
}
