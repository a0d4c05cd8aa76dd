import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockHashes } from './blocks.ts'

const tokens = fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { maxLength: 100 })

describe('the hashes of blocks', () => {
  it('are equal as far as two prompts are, and not after', () => {
    fc.assert(
      fc.property(tokens, tokens, tokens, (start, a, b) => {
        fc.pre(a[0] !== b[0])
        const [first, second] = [blockHashes([...start, ...a], 4), blockHashes([...start, ...b], 4)]
        const shared = Math.floor(start.length / 4)
        expect(first.slice(0, shared)).toEqual(second.slice(0, shared))
        for (const [index, hash] of first.entries()) {
          if (index >= shared) expect(second).not.toContain(hash)
        }
      }),
    )
  })

  it('leave out the block that is not full, and differ by salt', () => {
    expect(blockHashes([1, 2, 3, 4, 5], 4)).toHaveLength(1)
    expect(blockHashes([1, 2, 3], 4)).toEqual([])
    expect(blockHashes([1, 2, 3, 4], 4, 7)).not.toEqual(blockHashes([1, 2, 3, 4], 4))
  })

  it('do not collide among half a million blocks', () => {
    const many = new Set<number>()
    for (let index = 0; index < 500_000; index++) many.add(blockHashes([index, index * 7], 2)[0] ?? 0)
    expect(many.size).toBe(500_000)
  })
})
