import { describe, expect, it } from 'vitest'
import { commonPrefix, pickSlot } from './prefix.ts'

describe('the slot for a prompt', () => {
  it('is the one whose cache shares the longest prefix', () => {
    const slots = [
      { sharedTokens: 40, lastUsed: 1 },
      { sharedTokens: 90, lastUsed: 9 },
      { sharedTokens: 60, lastUsed: 2 },
    ]
    expect(pickSlot(slots, 100)).toBe(1)
  })

  it('is the one not used for longest where none shares a tenth', () => {
    const slots = [
      { sharedTokens: 9, lastUsed: 5 },
      { sharedTokens: 0, lastUsed: 2 },
      { sharedTokens: 8, lastUsed: 7 },
    ]
    expect(pickSlot(slots, 100)).toBe(1)
  })

  it('is none of none', () => {
    expect(pickSlot([], 100)).toBe(-1)
  })

  it('is judged by the tokens that both begin with', () => {
    expect(commonPrefix([1, 2, 3], [1, 2, 4, 5])).toBe(2)
    expect(commonPrefix([], [1])).toBe(0)
    expect(commonPrefix([1, 2], [1, 2, 3])).toBe(2)
  })
})
