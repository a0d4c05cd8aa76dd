import type { RouteReport } from '../inference/index.ts'
import type { CacheStats, Explanation, QueueStatus } from './contract.ts'
import type { Decision } from './dispatch/index.ts'
import type { LoadWish, RequestTraits } from './lifecycle/index.ts'
import type { Ranked } from './policy/index.ts'
import type { Lease, Pool } from './pool/index.ts'
import type { Predictor } from './prediction/index.ts'

/** Where a request went, in a line. */
export function routeReport({ entryId, decision, queued }: Lease, moves: number): RouteReport {
  const best = decision?.ranked[0]
  const devices = best ? ` ${best.candidate.deviceIds.join(',')}` : ''
  return {
    instance: `#${entryId}${devices}`,
    policy: decision?.policy ?? 'loaded',
    reason: decision ? reasonOf(decision) : 'any instance of the model serves it',
    queuedMs: Math.round(queued.ms),
    queuePosition: queued.position,
    ...(queued.estimateMs !== undefined && { queueEstimateMs: Math.round(queued.estimateMs) }),
    moves,
  }
}

function reasonOf({ policy, unit, ranked, predicted }: Decision): string {
  const [best] = ranked
  if (!best) return policy
  const cached = best.candidate.cachedTokens
  const parts = [
    `${policy} ${format(best.score)} ${unit}`,
    `1 of ${ranked.length}`,
    ...(cached > 0 ? [`${Math.round(cached)} tokens cached`] : []),
    ...(predicted ? [`first token in ${Math.round(predicted.ttftMs)} ms`] : []),
  ]
  return parts.join('; ')
}

/** A decision with all its terms, for whoever asks why. */
export function explainRoute(
  pool: Pool,
  wish: LoadWish,
  { route }: Pick<RequestTraits, 'route'>,
): Explanation {
  if (!route) throw new Error('a request without a route cannot be explained')
  const decision = pool.explain(wish, route)
  const [best, second] = decision.ranked
  return {
    model: wish.modelName,
    policy: decision.policy,
    unit: decision.unit,
    promptTokens: route.promptTokens,
    expectedOutputTokens: Math.round(route.outputTokens),
    candidates: decision.ranked.map(candidateReport),
    excluded: decision.excluded.map(({ id, reason }) => ({ instance: id, reason })),
    ...(decision.predicted && {
      predicted: { ttftMs: decision.predicted.ttftMs, finishMs: decision.predicted.finishMs },
    }),
    summary: best ? summaryOf(decision, best, second) : noneOf(wish, decision),
  }
}

/** Who waits, what each instance does, and how wrong predictions were. */
export function queueStatus(
  pool: Pool,
  predictor: Predictor,
  caches: CacheStats,
  nameOf: (key: string) => string,
): QueueStatus {
  const queue = pool.queue()
  return {
    ...queue,
    byModel: queue.byModel.map((one) => ({ ...one, model: nameOf(one.model) })),
    instances: pool.instances().map(({ id, model, state, running, slots, health }) => ({
      instance: id,
      model,
      state,
      running,
      slots,
      health,
    })),
    predictions: [...predictor.errors()].map(([key, error]) => ({
      model: key === '' ? 'all' : nameOf(key),
      error,
    })),
    caches,
  }
}

function candidateReport({ candidate, score, terms }: Ranked): Explanation['candidates'][number] {
  const { id, deviceIds, cachedTokens, running, slots, health, rates } = candidate
  return { instance: id, devices: deviceIds, score, terms, cachedTokens, running, slots, health, rates }
}

function summaryOf({ policy, unit }: Decision, best: Ranked, second: Ranked | undefined): string {
  const chosen = `#${best.candidate.id} is first by ${policy} with ${format(best.score)} ${unit}`
  if (!second) return `${chosen}: it is the only candidate`
  return `${chosen}; next is #${second.candidate.id} with ${format(second.score)} ${unit}`
}

function noneOf({ modelName }: LoadWish, { excluded }: Decision): string {
  if (excluded.length === 0) return `no instance of "${modelName}" runs: it would be loaded first`
  return `no instance of "${modelName}" may take it; see "excluded"`
}

function format(value: number): string {
  return Number(value.toPrecision(3)).toString()
}
