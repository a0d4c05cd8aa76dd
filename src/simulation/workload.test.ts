import { describe, expect, it } from 'vitest'
import type { EngineModel } from './engine/index.ts'
import type { Trace } from './traces/index.ts'
import { capacityOf, workloadOf } from './workload.ts'

const engine: EngineModel = {
  prefillTokensPerS: 1000,
  decodeBaseMs: 20,
  decodePerRequestMs: 1,
  decodePerKvTokenMs: 0,
  chunkTokens: 512,
  slots: 10,
  kvTokens: 1e6,
  blockTokens: 16,
  loadMs: 0,
}
const trace: Trace = {
  name: 't',
  format: 'mooncake',
  blockTokens: 0,
  bucketMs: 3000,
  requests: Array.from({ length: 100 }, (_, index) => ({
    atMs: Math.floor(index / 10) * 3000,
    promptTokens: 500,
    outputTokens: 100,
    hashes: [],
    tenant: 'a',
  })),
}

describe('a workload', () => {
  it('counts prompts at the prefill rate, and of each step a full batch’s share', () => {
    // 500 ms of prompt, and 100 tokens of (20 / 10 + 1) ms.
    expect(capacityOf(trace.requests, [engine], 0)).toBeCloseTo(1000 / 800)
    const half = { ...engine, prefillTokensPerS: 500, decodeBaseMs: 40, decodePerRequestMs: 2 }
    expect(capacityOf(trace.requests, [engine, half], 0)).toBeCloseTo(1.5 * (1000 / 800))
  })

  it('offers the wanted share of that', () => {
    const requests = workloadOf(trace, [engine, engine], { seed: 1, load: 0.8 })
    const perS = (requests.length - 1) / ((requests.at(-1)?.atMs ?? 0) / 1000)
    expect(perS).toBeCloseTo(0.8 * 2 * (1000 / 800), 6)
    const asked = workloadOf(trace, [engine], { seed: 1, rate: 5 })
    expect(99 / ((asked.at(-1)?.atMs ?? 0) / 1000)).toBeCloseTo(5, 6)
  })

  it('spreads requests over the time that their bucket may mean, in order, by the seed', () => {
    const times = (seed: number) => workloadOf(trace, [engine], { seed }).map(({ atMs }) => atMs)
    expect(times(1)).toEqual(times(1).toSorted((a, b) => a - b))
    expect(new Set(times(1)).size).toBe(100)
    expect(times(1)).toEqual(times(1))
    expect(times(1)).not.toEqual(times(2))
    expect(times(1).at(-1)).toBeLessThan(30_000)
  })
})
