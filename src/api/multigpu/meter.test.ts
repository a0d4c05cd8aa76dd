import { describe, expect, it } from 'vitest'
import type { Clock } from '../../core/index.ts'
import { createMeter } from './meter.ts'

/** A clock that a test moves. */
function handClock() {
  let ms = 10_000
  const clock: Clock = {
    now: () => ms,
    monotonicMs: () => ms,
    sleep: async () => undefined,
    after: () => () => undefined,
  }
  return { clock, pass: (delayMs: number) => (ms += delayMs) }
}

const usage = (promptTokens: number, outputTokens: number) => ({
  promptTokens,
  cachedTokens: 0,
  outputTokens,
  promptMs: 0,
  outputMs: 0,
})

describe('the meter', () => {
  it('tells rates over its minute, and how times are spread', () => {
    const { clock, pass } = handClock()
    const meter = createMeter(clock)
    for (let answer = 0; answer < 10; answer++) {
      const one = meter.begin()
      pass(200)
      for (let piece = 0; piece < 9; piece++) {
        one.piece()
        pass(50)
      }
      one.piece()
      one.done({ reason: 'stop', usage: usage(100, 10) })
      pass(350)
    }
    const { windowSeconds, throughput, latency, failures } = meter.report()
    expect(windowSeconds).toBe(10)
    expect(throughput).toEqual({
      requestsPerSecond: 1,
      promptTokensPerSecond: 100,
      outputTokensPerSecond: 10,
      running: 0,
    })
    expect(latency.ttftMs).toEqual({ mean: 200, p50: 200, p90: 200, p99: 200 })
    expect(latency.itlMs?.p50).toBe(50)
    expect(latency.endToEndMs?.p99).toBe(650)
    expect(failures).toBe(0)
  })

  it('counts the tokens of an answer that is still on its way', () => {
    const { clock, pass } = handClock()
    const meter = createMeter(clock)
    const one = meter.begin()
    for (let piece = 0; piece < 20; piece++) {
      one.piece()
      pass(100)
    }
    expect(meter.report().throughput).toMatchObject({ outputTokensPerSecond: 10, running: 1 })
    one.done({ reason: 'length', usage: usage(7, 40) })
    expect(meter.report().throughput).toMatchObject({ outputTokensPerSecond: 20, running: 0 })
  })

  it('forgets what is older than a minute', () => {
    const { clock, pass } = handClock()
    const meter = createMeter(clock)
    const one = meter.begin()
    one.piece()
    one.done({ reason: 'stop', usage: usage(5, 1) })
    meter.begin().failed()
    expect(meter.report()).toMatchObject({ failures: 1, latency: { ttftMs: { p50: 0 } } })
    pass(61_000)
    const later = meter.report()
    expect(later).toMatchObject({ failures: 0, windowSeconds: 60, latency: {} })
    expect(later.throughput.requestsPerSecond).toBe(0)
  })

  it('takes one end for each answer, and none for a load or for a client that left', () => {
    const { clock } = handClock()
    const meter = createMeter(clock)
    const left = meter.begin()
    left.left()
    left.failed()
    meter.begin().done({ reason: 'load', usage: usage(0, 0) })
    expect(meter.report()).toMatchObject({
      failures: 0,
      throughput: { requestsPerSecond: 0, running: 0 },
      latency: {},
    })
  })
})
