import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Cluster, clusterOf } from './cluster.ts'
import type { Run } from './measured.ts'
import { droverRouter, omniscientRouter, type SimulatedRouter } from './router.ts'
import { simulate } from './run.ts'
import type { TraceRequest } from './traces/index.ts'

const engine = {
  prefillTokensPerS: 10_000,
  decodeBaseMs: 10,
  decodePerRequestMs: 0.5,
  decodePerKvTokenMs: 0.0001,
  kvTokens: 20_000,
  chunkTokens: 512,
  slots: 8,
  blockTokens: 100,
  loadMs: 2000,
}
const alike = (count: number, more: object = {}) => clusterOf({ groups: [{ count, engine }], ...more })

/** Conversations: each turn begins with all turns before it. */
function conversations(count: number, turns: number, gapMs: number): TraceRequest[] {
  const requests: TraceRequest[] = []
  for (let turn = 0; turn < turns; turn++) {
    for (let id = 0; id < count; id++) {
      const blocks = 5 + 5 * turn
      requests.push({
        atMs: (turn * count + id) * gapMs,
        promptTokens: 100 * blocks + 50,
        outputTokens: 40,
        hashes: Array.from({ length: blocks }, (_, block) => 1000 * (id + 1) + block),
        tenant: `tenant ${id % 3}`,
      })
    }
  }
  return requests
}

function run(cluster: Cluster, requests: TraceRequest[], router: SimulatedRouter, seed = 1): Run {
  return simulate({ cluster, requests, blockTokens: 100, router, routerName: 'x', seed })
}
const drover = (policy: Parameters<typeof droverRouter>[0]) => droverRouter(policy, 1, 100)
const hits = ({ requests }: Run) => requests.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0)
const meanTtft = ({ requests }: Run) =>
  requests.reduce((sum, { firstTokenMs, arrivedMs }) => sum + firstTokenMs - arrivedMs, 0) / requests.length

describe('a simulation', () => {
  it('of one request takes just what the model of the instance says', () => {
    const [request] = conversations(1, 1, 0)
    const { requests } = run(alike(1), [request as TraceRequest], drover('predicted_finish'))
    // 512 and 38 prompt tokens, the second step no shorter than the reading of the weights.
    expect(requests[0]?.firstTokenMs).toBeCloseTo(51.2 + 10)
    expect(requests[0]).toMatchObject({ instance: 0, cachedTokens: 0, resumed: 0 })
    expect(requests[0]?.doneMs).toBeGreaterThan(61.2 + 39 * 10.5)
    expect(requests[0]?.doneMs).toBeLessThan(61.2 + 39 * 10.6)
  })

  it('is the same to the last digit when it is run again', () => {
    const again = () => run(alike(3, { mtbfS: 2 }), conversations(12, 4, 30), drover('power_of_two'))
    expect(again()).toEqual(again())
  })

  it('shows that the cache matters: predicted_finish finds conversations again, round_robin does not', () => {
    const requests = conversations(9, 6, 60)
    const blind = run(alike(4), requests, drover('round_robin'))
    const seeing = run(alike(4), requests, drover('predicted_finish'))
    const best = run(alike(4), requests, omniscientRouter())
    expect(hits(seeing)).toBeGreaterThan(2 * hits(blind))
    expect(hits(seeing)).toBeGreaterThanOrEqual(0.95 * hits(best))
    expect(meanTtft(seeing)).toBeLessThan(meanTtft(blind))
  })

  it('lets requests of a dead instance go on elsewhere, and brings the instance back', () => {
    const requests = conversations(20, 3, 25)
    const cluster = alike(2, { failures: [{ instance: 0, atS: 0.5 }] })
    const { requests: measured } = run(cluster, requests, drover('predicted_finish'))
    expect(measured.every(({ doneMs, refused }) => doneMs > 0 && refused === undefined)).toBe(true)
    const resumed = measured.filter((one) => one.resumed > 0)
    expect(resumed.length).toBeGreaterThan(0)
    expect(resumed.every(({ firstTokenMs, arrivedMs }) => firstTokenMs > arrivedMs)).toBe(true)
  })

  it('waits for an instance to come up where all have died', () => {
    const cluster = alike(1, { failures: [{ instance: 0, atS: 0.02 }] })
    const { requests } = run(cluster, conversations(2, 1, 5), drover('least_loaded'))
    expect(requests.map(({ resumed }) => resumed)).toEqual([1, 1])
    expect(requests.every(({ doneMs }) => doneMs > 2020)).toBe(true)
  })

  it('refuses what no instance can hold, and says so', () => {
    const [request] = conversations(1, 1, 0)
    const huge = { ...(request as TraceRequest), promptTokens: 30_000 }
    const { requests } = run(alike(2), [huge, request as TraceRequest], drover('predicted_finish'))
    expect(requests[0]).toMatchObject({ refused: 'no instance can hold it', instance: -1 })
    expect(requests[1]?.doneMs).toBeGreaterThan(0)
  })

  it('sends a request to the group that serves its model', () => {
    const cluster = clusterOf({
      groups: [
        { engine, serves: 'a' },
        { engine, serves: 'b' },
      ],
    })
    const requests = conversations(6, 1, 10).map((one, at) => ({ ...one, model: at % 2 === 0 ? 'a' : 'b' }))
    const { requests: measured } = run(cluster, requests, drover('least_loaded'))
    expect(measured.map(({ instance }) => instance)).toEqual([0, 1, 0, 1, 0, 1])
  })

  it('answers every request exactly once whatever comes and dies, by every policy', () => {
    const arrivals = fc.array(
      fc.record({
        gapMs: fc.integer({ min: 0, max: 300 }),
        blocks: fc.integer({ min: 0, max: 60 }),
        outputTokens: fc.integer({ min: 0, max: 150 }),
        family: fc.integer({ min: 1, max: 4 }),
      }),
      { minLength: 1, maxLength: 40 },
    )
    const policy = fc.constantFrom('predicted_finish', 'prefix', 'kv_cost', 'locality', 'round_robin')
    fc.assert(
      fc.property(arrivals, policy, fc.integer({ min: 1, max: 99 }), (list, name, seed) => {
        let atMs = 0
        const requests = list.map(({ gapMs, blocks, outputTokens, family }) => {
          atMs += gapMs
          const hashes = Array.from({ length: blocks }, (_, block) => 1000 * family + block)
          return { atMs, promptTokens: 100 * blocks + 1, outputTokens, hashes, tenant: `t${family}` }
        })
        const { requests: measured } = run(
          alike(3, { mtbfS: 1.5 }),
          requests,
          droverRouter(name as 'prefix', seed, 100),
          seed,
        )
        for (const one of measured) {
          expect(one.refused).toBeUndefined()
          expect(one.firstTokenMs).toBeGreaterThan(one.arrivedMs)
          expect(one.doneMs).toBeGreaterThanOrEqual(one.firstTokenMs)
        }
      }),
      { numRuns: 60 },
    )
  })
})
