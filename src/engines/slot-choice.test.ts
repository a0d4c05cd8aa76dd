import { describe, expect, it } from 'vitest'
import { commonPrefix, pickSlot } from './slot-choice.ts'

const slot = (shared: number, promptLength: number, lastUsed: number, length = 500) => ({
  shared,
  promptLength,
  length,
  lastUsed,
})
const empty = slot(0, 0, 0, 0)
const pick = (slots: ReturnType<typeof slot>[]) => pickSlot(slots, 100, { slack: 4, little: 40 })

describe('the slot for a prompt', () => {
  it('is the one whose conversation goes on, of several the one with the longest', () => {
    expect(pick([slot(40, 40, 1), slot(90, 90, 9), empty])).toBe(1)
    expect(pick([slot(37, 40, 1), slot(50, 90, 9), empty])).toBe(0)
  })

  it('is an empty one for a conversation that only begins like another', () => {
    expect(pick([slot(60, 90, 1), empty])).toBe(1)
  })

  it('without an empty one shares most, and of those that share as much was not used for longest', () => {
    expect(pick([slot(20, 90, 1), slot(60, 90, 9)])).toBe(1)
    expect(pick([slot(60, 90, 7), slot(58, 300, 2), slot(20, 90, 1)])).toBe(1)
  })

  it('is the one not used for longest where none shares a tenth', () => {
    expect(pick([slot(9, 9, 5), slot(0, 30, 2), slot(8, 30, 7)])).toBe(1)
  })

  it('is the one used last of those that lose little', () => {
    expect(pick([slot(60, 90, 1, 95), slot(60, 90, 2, 100), slot(60, 90, 9)])).toBe(1)
    expect(pick([slot(60, 90, 1, 95), empty])).toBe(1)
  })

  it('is none of none', () => {
    expect(pick([])).toBe(-1)
  })

  it('is judged by what both begin with', () => {
    expect(commonPrefix<number[]>([1, 2, 3], [1, 2, 4, 5])).toBe(2)
    expect(commonPrefix<number[]>([], [1])).toBe(0)
    expect(commonPrefix('sheep', 'sheepdog')).toBe(5)
  })
})
