import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../core/index.ts'
import { createGrants } from './grants.ts'

/** Time that passes when the test says so. */
function handClock(): Clock & { advance(ms: number): void } {
  let nowMs = 0
  let timers: { atMs: number; action: () => void }[] = []
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => Promise.reject(new Error('nothing here sleeps')),
    after(delayMs, action) {
      const timer = { atMs: nowMs + delayMs, action }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
    advance(ms) {
      nowMs += ms
      const due = timers.filter(({ atMs }) => atMs <= nowMs)
      timers = timers.filter(({ atMs }) => atMs > nowMs)
      for (const { action } of due) action()
    },
  }
}

const never = new AbortController().signal
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('grants', () => {
  it('are as many as there are idle slots, each counted once', async () => {
    const clock = handClock()
    const grants = createGrants({ freeSlots: () => 2, maxConcurrent: 10, clock })
    const given: number[] = []
    for (let line = 0; line < 5; line++) void grants.take(never).then(() => given.push(line))
    await settle()
    expect(given).toEqual([0, 1])
    clock.advance(249)
    await settle()
    expect(given).toEqual([0, 1])
    clock.advance(1)
    await settle()
    expect(given).toEqual([0, 1, 2, 3])
  })

  it('go on at once to the next when one comes back, unless somebody else has taken the slot', async () => {
    let free = 1
    const grants = createGrants({ freeSlots: () => free, maxConcurrent: 10, clock: handClock() })
    const first = await grants.take(never)
    const given: string[] = []
    void grants.take(never).then((back) => {
      given.push('second')
      free = 0
      back()
    })
    void grants.take(never).then(() => given.push('third'))
    first()
    await settle()
    expect(given).toEqual(['second'])
  })

  it('never exceed the most that may run', async () => {
    const clock = handClock()
    const grants = createGrants({ freeSlots: () => 9, maxConcurrent: 3, clock })
    let given = 0
    for (let line = 0; line < 8; line++) void grants.take(never).then(() => given++)
    for (let count = 0; count < 4; count++) {
      await settle()
      clock.advance(250)
    }
    expect(given).toBe(3)
  })

  it('leave out who has gone', async () => {
    let free = 0
    const clock = handClock()
    const grants = createGrants({ freeSlots: () => free, maxConcurrent: 3, clock })
    const leaver = new AbortController()
    const left = grants.take(leaver.signal)
    const stays = grants.take(never)
    leaver.abort(new Error('left'))
    await expect(left).rejects.toThrow('left')
    free = 1
    clock.advance(250)
    expect(await stays).toBeTypeOf('function')
  })

  it('are given in the order in which they were asked for, and every one in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }), async (frees) => {
        const clock = handClock()
        let round = 0
        const freeSlots = () => frees[round] ?? 2
        const grants = createGrants({ freeSlots, maxConcurrent: 4, clock })
        const given: number[] = []
        const held: (() => void)[] = []
        for (let line = 0; line < 12; line++) {
          void grants.take(never).then((back) => {
            given.push(line)
            held.push(back)
          })
        }
        for (; round < frees.length + 20; round++) {
          await settle()
          expect(held.length).toBeLessThanOrEqual(4)
          held.shift()?.()
          clock.advance(250)
        }
        expect(given).toEqual(Array.from({ length: 12 }, (_, line) => line))
      }),
      { numRuns: 50 },
    )
  })
})
