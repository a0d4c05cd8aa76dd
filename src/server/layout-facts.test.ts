import { describe, expect, it } from 'vitest'
import type { InstanceReport } from '../routing/index.ts'
import { laidOut } from './layout-facts.ts'

const instance: InstanceReport = {
  id: 3,
  key: 'a',
  model: 'a:latest',
  engine: 'llama.cpp',
  pid: 1,
  state: 'ready',
  slots: 1,
  running: 0,
  contextLength: 4096,
  idleMs: 0,
  ageMs: 0,
  leaving: false,
  health: 1,
  shares: [{ deviceId: 'GPU-a', bytes: 100.4, mayFail: true }],
}

const speculationOf = (speculation: NonNullable<InstanceReport['speculation']>) =>
  laidOut([{ ...instance, speculation }], undefined)[0]?.speculation

describe('what a draft model has brought an instance', () => {
  it('is told with the speed-up, once both rates are measured', () => {
    const counted = { draftTokens: 300, acceptedTokens: 200, decodeTokensPerS: 60 }
    expect(speculationOf({ ...counted, plainTokensPerS: 40, verdict: 'wins' })).toEqual({
      ...counted,
      plainTokensPerS: 40,
      speedup: 1.5,
      verdict: 'wins',
      switchedOff: false,
    })
    expect(speculationOf({ ...counted, verdict: 'unknown' })).toEqual({
      ...counted,
      verdict: 'unknown',
      switchedOff: false,
    })
  })

  it('is told of an instance that goes without because its draft has lost, and of no other', () => {
    const lost = { draftTokens: 300, acceptedTokens: 10, verdict: 'loses', switchedOff: true } as const
    expect(speculationOf(lost)).toEqual(lost)
    expect(laidOut([instance], undefined)).toEqual([
      {
        instance: 3,
        model: 'a:latest',
        engine: 'llama.cpp',
        state: 'ready',
        strategy: 'single',
        slots: 1,
        running: 0,
        contextLength: 4096,
        parts: [{ deviceId: 'GPU-a', stage: 0, share: 1, bytes: 100 }],
      },
    ])
  })
})
