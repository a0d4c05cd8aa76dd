import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createForecaster, type Forecaster } from './forecast.ts'
import { type KeptHistory, keptHistory } from './forecast-history.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
/** A Monday, 00:00 UTC. */
const start = Date.UTC(2024, 0, 1)

describe('a model that is wanted', () => {
  it('every half hour is expected before the next time', () => {
    const forecaster = createForecaster()
    for (let times = 0; times < 6; times++) {
      forecaster.arrived('m', start + times * 30 * minute)
      forecaster.arrived('m', start + times * 30 * minute + 10_000)
    }
    const lastMs = start + 5 * 30 * minute
    expect(forecaster.expected(lastMs + 10 * minute, minute)).toEqual([])
    const [next] = forecaster.expected(lastMs + 24 * minute, minute)
    expect(next).toMatchObject({ model: 'm', basis: 'every 30 min', probability: 1 })
    expect(next?.fromMs).toBeLessThan(lastMs + 30 * minute)
    expect(next?.untilMs).toBeGreaterThan(lastMs + 30 * minute)
  })

  it('each morning at nine is expected at nine, and not at ten', () => {
    const forecaster = createForecaster()
    // Some minutes earlier or later; and now and then at another time.
    for (let days = 0; days < 8; days++) {
      forecaster.arrived('m', start + days * day + 9 * hour + (days % 5) * 2 * minute)
      if (days % 2) forecaster.arrived('m', start + days * day + (13 + days) * hour)
    }
    const today = start + 8 * day
    const [at9] = forecaster.expected(today + 9 * hour - 5 * minute, 10 * minute)
    expect(at9).toMatchObject({ fromMs: today + 9 * hour, basis: 'usual at this time of day' })
    forecaster.arrived('m', today + 9 * hour + minute)
    expect(forecaster.expected(today + 10 * hour - 5 * minute, 10 * minute)).toEqual([])
    expect(forecaster.scores()[0]?.hits).toBeGreaterThan(3)
  })

  it('at the same minute each day is expected within a quarter of an hour of it, and not for half of the day', () => {
    const forecaster = createForecaster()
    for (let days = 0; days < 6; days++) forecaster.arrived('m', start + days * day + 9 * hour)
    const at9 = start + 6 * day + 9 * hour
    expect(forecaster.expected(at9 - hour, minute)).toEqual([])
    const [next] = forecaster.expected(at9 - 15 * minute, minute)
    expect(next).toMatchObject({ fromMs: at9 - 15 * minute, untilMs: at9 + 15 * minute })
  })

  it('on Mondays only is expected on Mondays', () => {
    const forecaster = createForecaster()
    for (let weeks = 0; weeks < 4; weeks++) {
      forecaster.arrived('m', start + weeks * 7 * day + 8 * hour)
      forecaster.arrived('m', start + weeks * 7 * day + 17 * hour)
    }
    const monday = start + 28 * day
    expect(forecaster.expected(monday - 6 * day + 8 * hour - minute, 2 * minute)).toEqual([])
    const [next] = forecaster.expected(monday + 8 * hour - minute, 2 * minute)
    expect(next).toMatchObject({ basis: 'usual at this time of the week' })
  })

  it('no more is soon expected no more, and is trusted again when it comes back', () => {
    const forecaster = createForecaster()
    let nowMs = start
    const beats = (count: number) => {
      for (let times = 0; times < count; times++) {
        nowMs += 30 * minute
        forecaster.arrived('m', nowMs)
      }
    }
    beats(8)
    expect(forecaster.expected(nowMs + 28 * minute, minute)).toHaveLength(1)
    for (let checks = 0; checks < 400; checks++) {
      nowMs += 5 * minute
      forecaster.expected(nowMs, minute)
    }
    expect(forecaster.expected(nowMs + 28 * minute, 30 * minute)).toEqual([])
    const [score] = forecaster.scores()
    expect(score?.trusted).toBe(false)
    expect(score?.precision).toBeLessThan(0.5)
    beats(20)
    expect(forecaster.expected(nowMs + 28 * minute, minute)).toHaveLength(1)
    expect(forecaster.scores()[0]).toMatchObject({ trusted: true })
  })
})

describe('forecasts', () => {
  it('are measured: in a month of office hours most bursts are foreseen, and most forecasts come true', () => {
    const forecaster = createForecaster()
    let seed = 1
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    for (let days = 0; days < 28; days++) {
      if (days % 7 > 4) continue
      for (const at of [9, 13.5, 17]) {
        const beginMs = start + days * day + at * hour + random() * 10 * minute
        forecaster.expected(beginMs - 30 * minute, minute)
        for (let requests = 0; requests < 20; requests++) forecaster.arrived('m', beginMs + requests * minute)
      }
    }
    const [score] = forecaster.scores()
    expect(score?.precision).toBeGreaterThan(0.6)
    expect(score?.recall).toBeGreaterThan(0.6)
  })

  it('of requests by chance are few, and soon not trusted', () => {
    const acted = fc
      .sample(fc.array(fc.integer({ min: 6, max: 600 }), { minLength: 80, maxLength: 80 }), {
        seed: 5,
        numRuns: 20,
      })
      .map((gaps) => {
        const forecaster = createForecaster()
        let nowMs = start
        let open = 0
        let minutes = 0
        for (const gap of gaps) {
          for (let step = 0; step < gap; step += 5) {
            minutes += 5
            open += forecaster.expected(nowMs + step * minute, 0).length * 5
          }
          nowMs += gap * minute
          forecaster.arrived('m', nowMs)
        }
        return open / minutes
      })
    const mean = acted.reduce((sum, share) => sum + share, 0) / acted.length
    expect(mean).toBeLessThan(0.1)
  })

  it('remember so many models and no more', () => {
    const forecaster = createForecaster({ mostModels: 3, burstGapMs: minute })
    for (let model = 0; model < 10; model++) forecaster.arrived(`m${model}`, start + model)
    forecaster.arrived('m7', start + 20)
    forecaster.arrived('new', start + 21)
    expect(forecaster.scores().map(({ model }) => model)).toEqual(['m9', 'm7', 'new'])
  })

  it('is expected alike by who was told what another forecaster knows', () => {
    // Each request is a burst of its own.
    const gaps = fc.integer({ min: 6, max: 90 })
    const arrivals = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), gaps), { maxLength: 60 })
    fc.assert(
      fc.property(arrivals, fc.nat({ max: 3 * 24 * 60 }), (times, laterMinutes) => {
        const first = createForecaster()
        let nowMs = start
        for (const [model, minutes] of times) {
          nowMs += minutes * minute
          first.arrived(model, nowMs)
        }
        const kept = JSON.parse(JSON.stringify(first.histories())) as KeptHistory[]
        expect(z.array(keptHistory).parse(kept)).toEqual(kept)
        const second = createForecaster(undefined, kept)
        expect(second.histories()).toEqual(kept)
        // What was foreseen for others and has passed is a miss for the first, who was there.
        const ofLast = (forecaster: Forecaster) =>
          forecaster.expected(nowMs, day).filter(({ model }) => model === times.at(-1)?.[0])
        expect(ofLast(second)).toEqual(ofLast(first))
        second.arrived('a', nowMs + laterMinutes * minute)
        expect(second.histories().at(-1)?.model).toBe('a')
      }),
    )
  })
})
