import { describe, expect, it } from 'vitest'
import { evenRates } from './even-rates.ts'
import { candidate, orderOf, rates } from './testing.ts'

describe('rates without the scatter of measuring', () => {
  it('are the means of those that are about equally fast', () => {
    const fleet = [8, 12, 13].map((decodeBaseMs, id) =>
      candidate(id, { rates: rates({ decodeBaseMs, prefillTokensPerS: 900 + 100 * id }) }),
    )
    const even = evenRates(fleet)
    expect(even.map(({ decodeBaseMs }) => decodeBaseMs)).toEqual([11, 11, 11])
    expect(even.map(({ prefillTokensPerS }) => prefillTokensPerS)).toEqual([1000, 1000, 1000])
  })

  it('keep what devices really differ in', () => {
    const fleet = [10, 11, 40, 44].map((decodeBaseMs, id) =>
      candidate(id, { rates: rates({ decodeBaseMs }) }),
    )
    const even = evenRates(fleet).map(({ decodeBaseMs }) => decodeBaseMs)
    expect(even[0]).toBe(even[1])
    expect(even[2]).toBe(even[3])
    expect(even[2]).toBeGreaterThanOrEqual(40)
  })

  it('let the load decide, not a figure that happened to be measured', () => {
    const slower = rates({ decodeBaseMs: 14 })
    const fleet = [
      candidate(0, { running: 3 }),
      candidate(1, { rates: slower }),
      candidate(2, { running: 4 }),
    ]
    expect(orderOf('predicted_finish', fleet)[0]).toBe(1)
  })

  it('do not fail where nothing or nonsense is known', () => {
    expect(evenRates([])).toEqual([])
    const broken = candidate(0, { rates: rates({ decodeBaseMs: Number.NaN, prefillTokensPerS: -1 }) })
    expect(evenRates([broken, candidate(1)])).toHaveLength(2)
  })
})
