import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHedger, defaultHedgeOptions, hedgeLimits } from './hedger.ts'

/** Waits of 10, 20, ... 1000 ms. */
function taught() {
  const hedger = createHedger({ enabled: true })
  for (let i = 1; i <= 100; i++) hedger.observe('llama', 10 * i)
  return hedger
}

describe('a second try', () => {
  it('is off by default', () => {
    const hedger = createHedger()
    for (let i = 0; i < 1000; i++) {
      hedger.arrived()
      hedger.observe('llama', 100)
    }
    expect(hedger.delayMs('llama', 'interactive')).toBeUndefined()
    expect(hedger.start()).toBe(false)
  })

  it('is due when 99 % of requests would have had their first token', () => {
    const delayMs = taught().delayMs('llama', 'interactive') ?? 0
    expect(Math.abs(delayMs / 990 - 1)).toBeLessThan(0.1)
  })

  it('is for the classes that are worth it, and for models whose waits are known', () => {
    const hedger = taught()
    expect(hedger.delayMs('llama', 'bulk')).toBeUndefined()
    expect(hedger.delayMs('qwen', 'interactive')).toBeUndefined()
    for (let i = 0; i < 15; i++) hedger.observe('qwen', 100)
    expect(hedger.delayMs('qwen', 'interactive')).toBeUndefined()
    for (let i = 0; i < 15; i++) hedger.observe('qwen', 100)
    expect(hedger.delayMs('qwen', 'interactive')).toBeDefined()
  })

  it('is started for one request in fifty at most, in any order of events', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('arrived', 'arrived', 'start'), { maxLength: 2000 }), (events) => {
        const hedger = createHedger({ enabled: true })
        let [requests, started] = [0, 0]
        for (const event of events) {
          if (event === 'arrived') {
            hedger.arrived()
            requests += 1
          } else if (hedger.start()) started += 1
          expect(started).toBeLessThanOrEqual(requests * defaultHedgeOptions.maxShare + 1e-6)
        }
      }),
    )
    const hedger = createHedger({ enabled: true })
    for (let i = 0; i < 100; i++) hedger.arrived()
    expect([hedger.start(), hedger.start(), hedger.start()]).toEqual([true, true, false])
  })

  it('does not come earlier and earlier because second tries win', () => {
    const hedger = taught()
    const before = hedger.delayMs('llama', 'interactive') ?? 0
    for (let i = 0; i < 200; i++) {
      const wait = 10 * (1 + (i % 100))
      hedger.observe('llama', Math.min(wait, before), wait > before)
    }
    const after = hedger.delayMs('llama', 'interactive') ?? 0
    expect(Math.abs(after / before - 1)).toBeLessThan(0.1)
  })

  it('forgets the models that were used longest ago, and waits that are no numbers', () => {
    const hedger = taught()
    for (let i = 0; i < hedgeLimits.models; i++) hedger.observe(`m${i}`, 10)
    expect(hedger.delayMs('llama', 'interactive')).toBeUndefined()
    for (let i = 0; i < 50; i++) hedger.observe('odd', Number.NaN)
    expect(hedger.delayMs('odd', 'interactive')).toBeUndefined()
  })
})
