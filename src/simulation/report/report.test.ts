import { XMLValidator } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import { clusterOf } from '../cluster.ts'
import { runExperiment } from '../experiment.ts'
import type { Measured } from '../measured.ts'
import type { Trace } from '../traces/index.ts'
import { drawPlot } from './plot.ts'
import { meanOf, summarise } from './summary.ts'
import { textReport, time } from './table.ts'

const one = (changes: Partial<Measured> = {}): Measured => ({
  tenant: 'a',
  promptTokens: 100,
  outputTokens: 11,
  arrivedMs: 0,
  instance: 0,
  cachedTokens: 0,
  firstTokenMs: 200,
  doneMs: 1200,
  sentMs: 0,
  resumed: 0,
  ...changes,
})
const runOf = (requests: Measured[]) => ({ router: 'x', seed: 1, requests, utilisation: 0.5, offeredPerS: 2 })
const objective = { ttftMs: 500, itlMs: 150 }

describe('the summary of a simulation', () => {
  it('counts times from arrival, and good answers by both promises', () => {
    const summary = summarise(
      runOf([
        one({ cachedTokens: 50 }),
        one({ firstTokenMs: 600, doneMs: 1600 }),
        one({ doneMs: 2200 }),
        one({ doneMs: 0, refused: 'no instance can hold it' }),
      ]),
      objective,
    )
    expect(summary).toMatchObject({ requests: 4, answered: 3, refused: 1, goodput: { share: 0.25 } })
    expect(summary.ttftMs.mean).toBeCloseTo(1000 / 3)
    expect(summary.ttftMs.p50).toBe(200)
    expect(summary.itlMs.p50).toBe(100)
    expect(summary.itlMs.mean).toBeCloseTo(400 / 3)
    expect(summary.cacheHitShare).toBeCloseTo(50 / 300)
  })

  it('knows fair from unfair, and right from wrong predictions', () => {
    const fair = summarise(runOf([one(), one({ tenant: 'b' })]), objective)
    expect(fair.fairness).toBeCloseTo(1)
    const unfair = summarise(runOf([one(), one({ tenant: 'b', doneMs: 1_000_000 })]), objective)
    expect(unfair.fairness).toBeCloseTo(0.5, 2)
    const predicted = { ttftMs: 300, finishMs: 1200, cachedTokens: 0, outputTokens: 11 }
    const wrong = summarise(runOf([one({ predicted })]), objective)
    expect(wrong.predictionError.ttft.p50).toBeCloseTo(0.5)
    expect(wrong.predictionError.finish.p50).toBe(0)
  })

  it('of several seeds is their mean', () => {
    const a = summarise(runOf([one()]), objective)
    const b = summarise(runOf([one({ firstTokenMs: 400 })]), objective)
    expect(meanOf([a, b]).ttftMs.mean).toBe(300)
    expect(meanOf([a, b]).answered).toBe(1)
  })
})

describe('the report of an experiment', () => {
  const engine = { prefillTokensPerS: 10_000, decodeBaseMs: 10, kvTokens: 50_000, blockTokens: 100 }
  const trace: Trace = {
    name: 'a <trace>',
    format: 'mooncake',
    blockTokens: 100,
    bucketMs: 0,
    requests: Array.from({ length: 60 }, (_, at) => ({
      atMs: at * 50,
      promptTokens: 1000,
      outputTokens: 20,
      hashes: Array.from({ length: 10 }, (__, block) => 100 * (at % 6) + block),
      tenant: 'a',
    })),
  }
  const experiment = runExperiment({
    trace,
    cluster: clusterOf({ groups: [{ count: 2, engine }] }),
    routers: ['predicted_finish', 'round_robin', 'omniscient'],
    loads: [0.5, 0.8],
    seeds: 2,
    objective,
  })

  it('has a row for each policy and load, under a title that says what it is', () => {
    const text = textReport(experiment, ['about it'])
    expect(text).toMatch(/^SIMULATED/)
    expect(text.match(/^predicted_finish /gm)).toHaveLength(2)
    expect(text).toContain('load 80.0 %')
    expect(text).toMatch(/omniscient .* -\s+-$/m)
    expect(text).toMatch(/One cache with the memory of all instances would find 8\d\.\d %/)
    expect(experiment.rows.every(({ bySeed }) => bySeed.length === 2)).toBe(true)
  })

  it('can be drawn, as one well-formed picture that says what it is', () => {
    const svg = drawPlot(experiment, 'a <trace>')
    expect(XMLValidator.validate(svg)).toBe(true)
    expect(svg.match(/<polyline/g)).toHaveLength(6)
    expect(svg).toContain('SIMULATED')
    expect(svg).toContain('a &lt;trace&gt;')
  })

  it('tells times with three digits', () => {
    expect([0.5, 12.34, 456.7, 7890, 123_456].map(time)).toEqual([
      '0.500 ms',
      '12.3 ms',
      '457 ms',
      '7.89 s',
      '123 s',
    ])
  })
})
