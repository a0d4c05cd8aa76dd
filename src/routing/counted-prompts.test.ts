import { describe, expect, it } from 'vitest'
import { createCountedPrompts } from './counted-prompts.ts'
import { textBlocks } from './prefix/index.ts'
import { blockBytes } from './route-request.ts'

const hashesOf = (text: string) => textBlocks(text, { salt: 'model', blockBytes, bytesPerToken: 4 }).hashes
const turn = (number: number, bytes: number) => `${number}`.padEnd(bytes, ' word')

describe('prompts that were counted', () => {
  it('bound the next turn by what was counted and a token for each byte of the rest', () => {
    const prompts = createCountedPrompts()
    const first = turn(1, 10 * blockBytes + 100)
    const second = first + turn(2, 500)
    expect(prompts.mostTokens(hashesOf(second), second.length)).toBe(second.length)
    prompts.counted(hashesOf(first), 700)
    expect(prompts.mostTokens(hashesOf(second), second.length)).toBe(700 + 16 + 100 + 500)
    expect(prompts.mostTokens(hashesOf(first), first.length)).toBe(700 + 16 + 100)
  })

  it('go by the longest that was counted', () => {
    const prompts = createCountedPrompts()
    const first = turn(1, 4 * blockBytes)
    const second = first + turn(2, 4 * blockBytes)
    const third = second + turn(3, blockBytes)
    prompts.counted(hashesOf(first), 300)
    prompts.counted(hashesOf(second), 500)
    expect(prompts.mostTokens(hashesOf(third), third.length)).toBe(500 + 16 + blockBytes)
    const other = first + turn(4, blockBytes)
    expect(prompts.mostTokens(hashesOf(other), other.length)).toBe(300 + 16 + blockBytes)
  })

  it('say nothing of another text, nor of one shorter than a block, and never more than a token a byte', () => {
    const prompts = createCountedPrompts()
    const first = turn(1, blockBytes)
    prompts.counted(hashesOf(first), 10 * blockBytes)
    prompts.counted([], 1)
    expect(prompts.mostTokens(hashesOf(first), blockBytes)).toBe(blockBytes)
    const other = turn(2, 2 * blockBytes)
    expect(prompts.mostTokens(hashesOf(other), other.length)).toBe(other.length)
    expect(prompts.mostTokens([], 20)).toBe(20)
  })

  it('are forgotten when thousands came after them', () => {
    const prompts = createCountedPrompts()
    prompts.counted([1], 5)
    prompts.counted([2], 5)
    for (let other = 10; other < 10 + 4094; other++) prompts.counted([other], 5)
    prompts.counted([1], 5)
    prompts.counted([3], 5)
    const bytes = 2 * blockBytes
    expect([1, 2, 3].map((hash) => prompts.mostTokens([hash], bytes))).toEqual([
      5 + 16 + blockBytes,
      bytes,
      5 + 16 + blockBytes,
    ])
  })
})
