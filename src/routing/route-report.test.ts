import { describe, expect, it } from 'vitest'
import type { CacheStats } from './contract.ts'
import type { Decision } from './dispatch/index.ts'
import type { LoadWish } from './lifecycle/index.ts'
import { candidate } from './policy/testing.ts'
import type { Lease, Pool } from './pool/index.ts'
import type { Predictor } from './prediction/index.ts'
import { shapeLike } from './prediction/testing.ts'
import { explainRoute, queueStatus, routeReport } from './route-report.ts'

const ranked = (id: number, score: number, cachedTokens = 0) => ({
  candidate: candidate(id, { deviceIds: [`gpu${id}`, 'cpu'], cachedTokens }),
  score,
  terms: { prefill: score },
})

const decision: Decision = {
  policy: 'predicted_finish',
  unit: 'ms',
  ranked: [ranked(7, 123.456, 640.4), ranked(9, 2345.6)],
  excluded: [{ id: 3, reason: 'it is unhealthy' }],
  predicted: { ttftMs: 99.7, finishMs: 500, cachedTokens: 640, outputTokens: 20 },
}

const leaseOf = (changes: Partial<Lease>) =>
  ({ entryId: 7, queued: { ms: 12.6, position: 3 }, ...changes }) as unknown as Lease

describe('where a request went, in a line', () => {
  it('tells instance, devices, and the decision in numbers', () => {
    const lease = leaseOf({ decision, queued: { ms: 12.6, position: 3, estimateMs: 40.4 } })
    expect(routeReport(lease, 2)).toEqual({
      instance: '#7 gpu7,cpu',
      policy: 'predicted_finish',
      reason: 'predicted_finish 123 ms; 1 of 2; 640 tokens cached; first token in 100 ms',
      queuedMs: 13,
      queuePosition: 3,
      queueEstimateMs: 40,
      moves: 2,
    })
  })

  it('leaves out what is not known', () => {
    const { predicted: _, ...unpredicted } = decision
    const bare = { ...unpredicted, unit: 'points' as const, ranked: [ranked(7, 0)] }
    expect(routeReport(leaseOf({ decision: bare }), 0)).toEqual({
      instance: '#7 gpu7,cpu',
      policy: 'predicted_finish',
      reason: 'predicted_finish 0 points; 1 of 1',
      queuedMs: 13,
      queuePosition: 3,
      moves: 0,
    })
  })

  it('tells of a request that needed no decision', () => {
    expect(routeReport(leaseOf({}), 0)).toMatchObject({
      instance: '#7',
      policy: 'loaded',
      reason: 'any instance of the model serves it',
    })
  })
})

describe('a decision explained', () => {
  const wish = { key: 'blob', modelName: 'llama' } as LoadWish
  const route = { tenant: '', promptTokens: 1200, outputTokens: 99.6, shape: shapeLike() }
  const explain = (made: Decision) =>
    explainRoute({ explain: () => made } as unknown as Pool, wish, { route })

  it('has every candidate with its terms, who was none and why, and the outcome in a sentence', () => {
    const told = explain(decision)
    expect(told).toMatchObject({
      model: 'llama',
      policy: 'predicted_finish',
      unit: 'ms',
      promptTokens: 1200,
      expectedOutputTokens: 100,
      excluded: [{ instance: 3, reason: 'it is unhealthy' }],
      predicted: { ttftMs: 99.7, finishMs: 500 },
      summary: '#7 is first by predicted_finish with 123 ms; next is #9 with 2350 ms',
    })
    expect(
      told.candidates.map(({ instance, score, terms, cachedTokens }) => [
        instance,
        score,
        terms,
        cachedTokens,
      ]),
    ).toEqual([
      [7, 123.456, { prefill: 123.456 }, 640.4],
      [9, 2345.6, { prefill: 2345.6 }, 0],
    ])
  })

  it('says that there is one candidate, that all are excluded, or that none runs', () => {
    expect(explain({ ...decision, ranked: decision.ranked.slice(0, 1) }).summary).toBe(
      '#7 is first by predicted_finish with 123 ms: it is the only candidate',
    )
    const { predicted: _, ...none } = { ...decision, ranked: [] }
    expect(explain(none).summary).toBe('no instance of "llama" may take it; see "excluded"')
    expect(explain(none)).not.toHaveProperty('predicted')
    expect(explain({ ...none, excluded: [] }).summary).toBe(
      'no instance of "llama" runs: it would be loaded first',
    )
  })

  it('cannot be had without a route', () => {
    const pool = { explain: () => decision } as unknown as Pool
    expect(() => explainRoute(pool, wish, {})).toThrow('a request without a route')
  })
})

describe('the queue as people read it', () => {
  it('has models by name, instances without their processes, and how wrong predictions were', () => {
    const error = { requests: 3 } as unknown as ReturnType<Predictor['errors']> extends ReadonlyMap<
      string,
      infer E
    >
      ? E
      : never
    const byClass = { system: 0, interactive: 1, default: 0, bulk: 0 }
    const pool = {
      queue: () => ({
        waiting: 1,
        byModel: [{ model: 'blob', waiting: 1, byClass, oldestMs: 5 }],
        tenants: [],
        requests: [],
      }),
      instances: () => [
        {
          id: 7,
          model: 'llama',
          engine: 'embedded',
          pid: 4711,
          state: 'ready',
          slots: 4,
          running: 1,
          health: 1,
          shares: [],
        },
      ],
    } as unknown as Pool
    const predictor = {
      errors: () =>
        new Map([
          ['', error],
          ['blob', error],
        ]),
    } as unknown as Predictor
    const caches = { prefixes: {} } as CacheStats
    const names: Record<string, string> = { blob: 'llama' }
    const status = queueStatus(pool, predictor, caches, (key) => names[key] ?? 'unknown')
    expect(status.byModel).toEqual([{ model: 'llama', waiting: 1, byClass, oldestMs: 5 }])
    expect(status.instances).toEqual([
      { instance: 7, model: 'llama', state: 'ready', running: 1, slots: 4, health: 1 },
    ])
    expect(status.predictions).toEqual([
      { model: 'all', error },
      { model: 'llama', error },
    ])
    expect(status.caches).toBe(caches)
  })
})
