import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CrashRecord, recordCrash, restartRule, restartVerdict } from './restart.ts'

function crashes(...times: number[]): CrashRecord | undefined {
  return times.reduce<CrashRecord | undefined>(
    (record, atMs) => recordCrash(record, { atMs, proven: false }, `crash at ${atMs}`),
    undefined,
  )
}

describe('the restart rule', () => {
  it('starts what never crashed, and what crashed once, at once', () => {
    expect(restartVerdict(undefined, 0).verdict).toBe('start')
    expect(restartVerdict(crashes(5), 5).verdict).toBe('start')
  })

  it('waits a second after the second crash', () => {
    expect(restartVerdict(crashes(0, 100), 100)).toEqual({ verdict: 'wait', untilMs: 1100 })
    expect(restartVerdict(crashes(0, 100), 1100).verdict).toBe('start')
  })

  it('calls three crashes a loop and names the last reason', () => {
    const verdict = restartVerdict(crashes(0, 1, 2), 3)
    expect(verdict).toEqual({
      verdict: 'refuse',
      untilMs: 2002,
      lastMs: 2,
      crashes: 3,
      reason: 'crash at 2',
    })
  })

  it('forgets crashes that left the window', () => {
    expect(restartVerdict(crashes(0, 1, 2), restartRule.windowMs + 2).verdict).toBe('start')
    expect(
      recordCrash(crashes(0, 1), { atMs: restartRule.windowMs + 1, proven: false }, 'new').crashes,
    ).toHaveLength(1)
  })

  it('lets one that had served come back within a second, however often it crashes', () => {
    let record: CrashRecord | undefined
    for (let at = 0; at < 200_000; at += 1000) {
      record = recordCrash(record, { atMs: at, proven: true }, 'killed')
      const verdict = restartVerdict(record, at)
      expect(verdict.verdict).not.toBe('refuse')
      if (verdict.verdict === 'wait') expect(verdict.untilMs - at).toBeLessThan(1000)
    }
  })

  it('never asks for more than the longest delay', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200_000), { minLength: 1, maxLength: 40 }), (gaps) => {
        let now = 0
        let record: CrashRecord | undefined
        for (const gap of gaps) {
          now += gap
          record = recordCrash(record, { atMs: now, proven: false }, 'x')
        }
        const verdict = restartVerdict(record, now)
        const untilMs = verdict.verdict === 'start' ? now : verdict.untilMs
        expect(untilMs - now).toBeLessThanOrEqual(restartRule.longestDelayMs)
      }),
    )
  })
})
