import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Rates } from '../policy/contract.ts'
import type { RatesOf } from './contract.ts'
import { createRatesBook, type RatesBook, ratesLimits } from './rates.ts'
import { observed, seeded, type TrueSpeed } from './testing.ts'

const here: RatesOf = { instance: 1, model: 'llama', kind: 'llama.cpp on a 3090' }
const speed: TrueSpeed = { prefillTokensPerS: 2000, decodeBaseMs: 20, decodePerRequestMs: 1 }

const speeds = fc.record({
  prefillTokensPerS: fc.double({ min: 10, max: 50_000, noNaN: true }),
  decodeBaseMs: fc.double({ min: 0.5, max: 500, noNaN: true }),
  decodePerRequestMs: fc.double({ min: 0.01, max: 100, noNaN: true }),
})

function step(rates: Rates, batch: number): number {
  return rates.decodeBaseMs + rates.decodePerRequestMs * batch
}

function closeTo(speed: TrueSpeed, rates: Rates, batches: readonly number[], tolerance = 0.05): void {
  expect(Math.abs(rates.prefillTokensPerS / speed.prefillTokensPerS - 1)).toBeLessThan(0.05)
  for (const batch of batches) {
    const truth = speed.decodeBaseMs + speed.decodePerRequestMs * batch
    expect(Math.abs(step(rates, batch) / truth - 1)).toBeLessThan(tolerance)
  }
}

/** Requests of different lengths, in batches of 1 to 6, each up to a tenth slower or faster than true. */
function serve(book: RatesBook, of: RatesOf, speed: TrueSpeed, count: number, random = () => 0.5): void {
  for (let i = 0; i < count; i++) {
    const request = {
      computedTokens: 200 + 400 * (i % 5),
      outputTokens: 50 + 30 * (i % 4),
      batch: 1 + (i % 6),
    }
    book.observe(observed(of, speed, { ...request, noise: 0.9 + 0.2 * random() }))
  }
}

/** What is claimed of random noise holds with high probability only: the draws are the same each time. */
const draws = { seed: 7, numRuns: 300 }

describe('rates of an instance', () => {
  it('come to within 5 % of the true ones after 30 noisy requests', () => {
    const property = fc.property(speeds, fc.integer(), (truth, seed) => {
      const book = createRatesBook()
      serve(book, here, truth, 30, seeded(seed))
      closeTo(truth, book.rates(here), [3])
      // At the ends of the batches that came, the line is less certain than in their middle.
      closeTo(truth, book.rates(here), [1, 6], 0.1)
      expect(book.rates(here).source).toBe('measured')
    })
    fc.assert(property, draws)
  })

  it('are found exactly where there is no noise', () => {
    const book = createRatesBook()
    serve(book, here, speed, 60)
    expect(book.rates(here).prefillTokensPerS).toBeCloseTo(2000, 6)
    expect(book.rates(here).decodeBaseMs).toBeCloseTo(20, 0)
    expect(book.rates(here).decodePerRequestMs).toBeCloseTo(1, 1)
  })

  it('follow any change of speed within 40 requests, and a large one within 8', () => {
    const factors = fc.double({ min: 0.1, max: 10, noNaN: true })
    fc.assert(
      fc.property(speeds, factors, fc.integer(), (truth, factor, seed) => {
        const book = createRatesBook()
        serve(book, here, truth, 30, seeded(seed))
        const throttled = {
          prefillTokensPerS: truth.prefillTokensPerS / factor,
          decodeBaseMs: truth.decodeBaseMs * factor,
          decodePerRequestMs: truth.decodePerRequestMs * factor,
        }
        const large = factor > 2 || factor < 0.5
        serve(book, here, throttled, large ? 8 : 40)
        closeTo(throttled, book.rates(here), [3])
      }),
      draws,
    )
  })

  it('are not moved by one sample that is ten times off', () => {
    for (const noise of [10, 0.1]) {
      const book = createRatesBook()
      serve(book, here, speed, 30)
      const before = book.rates(here)
      book.observe(observed(here, speed, { noise }))
      expect(book.rates(here)).toEqual(before)
    }
  })

  it('come back from a first sample that was ten times off', () => {
    const book = createRatesBook()
    book.observe(observed(here, speed, { noise: 10 }))
    serve(book, here, speed, 25)
    closeTo(speed, book.rates(here), [1, 6])
  })

  it('are those of long prompts, though most requests find theirs in the cache', () => {
    const book = createRatesBook()
    const withOverhead = { ...speed, overheadMs: 20 }
    for (let i = 0; i < 200; i++) {
      const computedTokens = i % 10 === 0 ? 4000 : 10
      book.observe(observed(here, withOverhead, { computedTokens }))
    }
    expect(book.rates(here).prefillTokensPerS).toBeGreaterThan(1700)
  })

  it('stay the same object until something is learnt', () => {
    const book = createRatesBook()
    serve(book, here, speed, 3)
    const before = book.rates(here)
    expect(book.rates(here)).toBe(before)
    book.observe(observed(here, speed, { noise: 1.1 }))
    expect(book.rates(here)).not.toBe(before)
  })

  it('are never negative, infinite or no number, whatever was observed', () => {
    const anything = fc.oneof(fc.double(), fc.integer({ min: -2, max: 5000 }))
    const anyone = fc.record(
      {
        instance: fc.integer({ min: 0, max: 3 }),
        model: fc.constantFrom('a', 'b'),
        kind: fc.constantFrom('gpu', 'cpu'),
        modelBytes: anything,
        memoryBytesPerS: anything,
        flopsPerS: anything,
      },
      { requiredKeys: ['instance', 'model', 'kind'] },
    )
    const event = fc.record({
      of: anyone,
      computedTokens: anything,
      prefillMs: anything,
      outputTokens: anything,
      decodeMs: anything,
      batch: anything,
      loadMs: anything,
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), anyone, (events, asked) => {
        const book = createRatesBook()
        for (const { of, loadMs, ...what } of events) {
          book.observe({ ...observed(of, speed), ...what })
          book.observeLoad(of, loadMs)
        }
        const { source, ...rates } = book.rates(asked)
        for (const rate of Object.values(rates)) {
          expect(rate).toSatisfy((is: number) => Number.isFinite(is) && is >= 0)
        }
        expect(rates.prefillTokensPerS).toBeGreaterThan(0)
        expect(rates.decodeBaseMs + rates.decodePerRequestMs).toBeGreaterThan(0)
        expect(rates.loadMs).toBeGreaterThan(0)
      }),
      { numRuns: 500 },
    )
  })
})

describe('the ladder of rates', () => {
  const bytes = 6e9
  const device = { modelBytes: bytes, memoryBytesPerS: 1e12, flopsPerS: 1e14 }

  it('guesses by roofline while nothing is measured', () => {
    const rates = createRatesBook().rates({ ...here, ...device })
    // 6 GB at 0.8 TB/s are 7.5 ms; 10 G parameters take 20 GFLOP a token, at 50 TFLOPS 0.4 ms.
    expect(rates.source).toBe('guess')
    expect(step(rates, 1)).toBeCloseTo(7.5, 6)
    expect(rates.decodePerRequestMs).toBeCloseTo(0.4, 6)
    expect(rates.prefillTokensPerS).toBeCloseTo(2500, 6)
    expect(rates.loadMs).toBeCloseTo(7000, 6)
  })

  it('guesses from the bandwidth alone, and by constants where that is unknown too', () => {
    const book = createRatesBook()
    const byBandwidth = book.rates({ ...here, modelBytes: bytes, memoryBytesPerS: 1e12 })
    expect(byBandwidth.decodeBaseMs).toBeCloseTo(7.5, 6)
    expect(byBandwidth.prefillTokensPerS).toBeCloseTo(20_000 / 7.5, 6)
    expect(book.rates(here)).toEqual({
      prefillTokensPerS: 1000,
      decodeBaseMs: 20,
      decodePerRequestMs: 1,
      loadMs: 10_000,
      source: 'guess',
    })
  })

  it('takes what instances alike have shown before it guesses', () => {
    const book = createRatesBook()
    serve(book, { ...here, ...device }, speed, 30)
    const rates = book.rates({ ...here, ...device, instance: 2 })
    expect(rates.source).toBe('alike')
    closeTo(speed, rates, [1, 6])
  })

  it('scales by the bytes of the model where only another model ran on that kind', () => {
    const book = createRatesBook()
    serve(book, { ...here, ...device }, speed, 30)
    book.observeLoad({ ...here, ...device }, 3000)
    const rates = book.rates({ instance: 2, model: 'larger', kind: here.kind, modelBytes: 3 * bytes })
    expect(rates.source).toBe('alike')
    expect(rates.prefillTokensPerS / (2000 / 3)).toBeCloseTo(1, 2)
    expect(step(rates, 4) / (3 * 24)).toBeCloseTo(1, 1)
    expect(rates.loadMs).toBeCloseTo(9000, 6)
  })

  it('takes nothing from another kind', () => {
    const book = createRatesBook()
    serve(book, { ...here, ...device }, speed, 30)
    expect(book.rates({ ...here, ...device, instance: 2, kind: 'cpu' }).source).toBe('guess')
  })

  it('lets an instance begin where those alike stand, and go its own way after three requests', () => {
    const book = createRatesBook()
    serve(book, here, speed, 30)
    const other = { ...here, instance: 2 }
    const slow = { prefillTokensPerS: 500, decodeBaseMs: 80, decodePerRequestMs: 4 }
    book.observe(observed(other, slow))
    expect(book.rates(other).prefillTokensPerS).toBeCloseTo(2000, 0)
    for (let i = 0; i < 2; i++) book.observe(observed(other, slow))
    closeTo(slow, book.rates(other), [1])
    closeTo(speed, book.rates(here), [1])
  })

  it('climbs for prefill, decode and load each on its own', () => {
    const book = createRatesBook()
    book.observe(observed(here, speed, { computedTokens: 0 }))
    book.observeLoad(here, 1234)
    const rates = book.rates(here)
    expect(rates).toMatchObject({ prefillTokensPerS: 1000, loadMs: 1234, source: 'measured' })
    expect(step(rates, 1)).toBeCloseTo(21, 6)
  })

  it('forgets an instance, not its kind', () => {
    const book = createRatesBook()
    serve(book, here, speed, 30)
    book.forget(1)
    expect(book.rates(here).source).toBe('alike')
  })

  it('holds no more than its limits', () => {
    const book = createRatesBook({ ...ratesLimits, instances: 2, alike: 3, kinds: 1 })
    for (let instance = 0; instance < 10; instance++) {
      const of = { instance, model: `m${instance}`, kind: `k${instance}`, modelBytes: 1e9 }
      serve(book, of, speed, 3)
    }
    const sourceOf = (instance: number) =>
      book.rates({ instance, model: `m${instance}`, kind: `k${instance}`, modelBytes: 1e9 }).source
    expect([9, 8, 7, 6].map(sourceOf)).toEqual(['measured', 'measured', 'alike', 'guess'])
  })
})
