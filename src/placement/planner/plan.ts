import type { Inventory, Plan, PlanModel, PlanResult, PlanWishes, Rejected } from '../contract.ts'
import { costsOf } from '../memory/costs.ts'
import type { Search } from './candidate.ts'
import { chooseCache } from './choose-cache.ts'
import { finish } from './finish.ts'
import { newFits } from './fits.ts'
import { distinct, ranked, whyNot } from './rank.ts'
import { refuse } from './refuse.ts'
import { type CostsOf, runsOf } from './runs.ts'
import { searchWorld } from './search.ts'
import { survey } from './survey.ts'

/** Plans that are worked out to the end, the best among them. */
const mostPlans = 4
/** Layouts that did not do, of which the reason is told. */
const mostRejected = 24
const mostAlike = 4

/**
 * How a model is laid on machines: the best plan, others in order, and what was rejected with its reason. Pure and
 * deterministic: the order of nodes, devices and links means nothing.
 *
 * `costs` works out what a model takes; by default the memory model, uncorrected. Throws `invalid_option` for a KV
 * cache type that does not exist.
 */
export function planModel(
  model: PlanModel,
  inventory: Inventory,
  wishes: PlanWishes,
  costs: CostsOf = costsOf,
): PlanResult {
  return chooseCache(model, wishes, (chosen) => planWith(model, inventory, chosen, costs))
}

/** The best plan of `planModel`; undefined where there is none, without the work of saying what would help. */
export function bestPlan(
  model: PlanModel,
  inventory: Inventory,
  wishes: PlanWishes,
  costs: CostsOf = costsOf,
): Plan | undefined {
  const result = chooseCache(model, wishes, (chosen) =>
    planWith(model, inventory, chosen, costs, () => noReason),
  )
  return result.ok ? result.plans[0] : undefined
}

const noReason: Extract<PlanResult, { ok: false }> = {
  ok: false,
  message: '',
  neededBytes: 0,
  usableBytes: 0,
  suggestions: [],
  rejected: [],
}

function planWith(
  model: PlanModel,
  inventory: Inventory,
  wishes: PlanWishes,
  costs: CostsOf,
  refuses: typeof refuse = refuse,
): PlanResult {
  const search = searchOf(model, inventory, wishes, costs)
  const { candidates, rejected } = searchWorld(search)
  const order = ranked(search, candidates)
  const [best, ...others] = distinct(order)
  if (!best) return refuses(search, unique(rejected), fitsWith(inventory, costs))
  const plans = ordered(search, [
    finish(search, best),
    ...others.slice(0, mostPlans - 1).map((other) => finish(search, other)),
  ])
  const slower = others.map((other) => whyNot(search, best, other))
  return { ok: true, plans, rejected: unique([...slower, ...rejected]) }
}

function searchOf(model: PlanModel, inventory: Inventory, wishes: PlanWishes, costs: CostsOf): Search {
  const runs = runsOf(model, wishes, costs)
  return { model, wishes, runs, world: survey(inventory, wishes), fits: newFits() }
}

function fitsWith(inventory: Inventory, costs: CostsOf) {
  return (model: PlanModel, wishes: PlanWishes): boolean =>
    searchWorld(searchOf(model, inventory, wishes, costs)).candidates.length > 0
}

/** Where all streams count, replicas do too: only whole plans can be compared. */
function ordered({ wishes }: Search, plans: [Plan, ...Plan[]]): [Plan, ...Plan[]] {
  if (wishes.objective !== 'throughput' || (wishes.algorithm ?? 'performance_aware') !== 'performance_aware')
    return plans
  return plans.sort((a, b) => b.speed.throughputTokensPerS - a.speed.throughputTokensPerS)
}

/** Reasons that differ in figures only are told a few times. */
function unique(rejected: readonly Rejected[]): Rejected[] {
  const told = new Map<string, number>()
  const texts = new Set<string>()
  return rejected
    .filter(({ what, reason }) => {
      const kind = reason.replaceAll(/[\d.]+/g, '')
      const times = told.get(kind) ?? 0
      if (texts.has(`${what}\n${reason}`) || times >= mostAlike) return false
      texts.add(`${what}\n${reason}`)
      told.set(kind, times + 1)
      return true
    })
    .slice(0, mostRejected)
}
