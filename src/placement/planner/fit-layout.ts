import type { ModelCosts, PlanInstance, PlanWishes, RunShape } from '../contract.ts'
import { speedOf } from '../speed/index.ts'
import { canHold, divideEvenly, divideFastest, type StageRoom } from './assign.ts'
import { buildInstance } from './build.ts'
import type { Candidate, Search } from './candidate.ts'
import { fitOnce } from './fits.ts'
import { devicesOf, hasHostStage, type Layout, tensorSizeOf, usesHost } from './layout.ts'
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
  return fitOnce(search, layout, () => fitAnew(search, layout))
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
  if (!least) return undefined
  const good = (candidate: Candidate) =>
    candidate.speed.decodeTokensPerS >= worthRoom * least.speed.decodeTokensPerS
  // Levels take less memory one after the other: the first that fits is found by bisection.
  let found = least
  let [low, high] = [-1, last]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const candidate = fitAt(middle)
    if (candidate && good(candidate)) {
      found = candidate
      high = middle
    } else low = middle
  }
  return found
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
    if (fitted && fitted.speed.decodeTokensPerS >= worthRoom * candidate.speed.decodeTokensPerS) {
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
  const { model, runs, world, wishes } = search
  const { level, draft } = trial
  const run = tensorSizeOf(layout) > 1 ? { ...trial.run, flashAttention: 'on' as const } : trial.run
  const costs = runs.costs(run)
  // Where whole layers lie on the CPU as well, the devices keep no experts at all: they hold more layers so.
  const hostExperts = layout.hostExperts && hasHostStage(layout) ? costs.layers.length : 0
  const load: Load = { model, costs, fabric: world.fabric, layout, hostExperts, draft }
  const fewest = layout.hostExperts && !hasHostStage(layout)
  const built = fewest ? fewestHostExperts(load, run, wishes) : divide(load, run, wishes)
  const best = fastest(search, costs, built)
  return best && { layout, run, level, costs, ...best }
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
): Pick<Candidate, 'instance' | 'speed'> | undefined {
  const [a, b] = [even, uneven].map(
    (instance) => instance && { instance, speed: speedOf([instance], costs, world.inventory, model, wishes) },
  )
  if (!a || !b) return a ?? b
  return b.speed.decodeTokensPerS > worthUneven * a.speed.decodeTokensPerS ? b : a
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
  const even = host ? undefined : divideEvenly(rooms, items, measures)
  const uneven = measure && !host ? undefined : divideFastest(rooms, items, load.layout.maySkip)
  return { even: build(even), uneven: build(uneven), divided: (even ?? uneven) !== undefined }
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
