import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { idBlocks, textBlocks, tokenBlocks } from './index.ts'

const options = { salt: 'tenant\0model', blockBytes: 64, bytesPerToken: 4 }
const sharedBlocks = (a: readonly number[], b: readonly number[]) => {
  const at = a.findIndex((hash, index) => hash !== b[index])
  return at < 0 ? a.length : at
}

describe('blocks of text', () => {
  it('are as many as fit whole, and estimate tokens by bytes', () => {
    const { hashes, blockTokens, promptTokens } = textBlocks('é'.repeat(100), options)
    expect(hashes).toHaveLength(3)
    expect(blockTokens).toBe(16)
    expect(promptTokens).toBe(50)
    expect(textBlocks('short', options).hashes).toEqual([])
    expect(textBlocks('', options)).toEqual({ hashes: [], blockTokens: 16, promptTokens: 0 })
  })

  it('are the same for the same beginning and for no other, in any script', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 300 }),
        fc.string({ unit: 'grapheme' }),
        (text, end) => {
          const one = textBlocks(text, options).hashes
          const other = textBlocks(text + end, options).hashes
          expect(other.slice(0, one.length)).toEqual(one)
          const changed = textBlocks(`x${text}`, options).hashes
          // A text that only repeats its first letter is the same after one more of it.
          if (!/^x*$/.test(text)) expect(changed).not.toEqual(other)
          for (const hash of other) expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true)
        },
      ),
    )
  })

  it('differ from where one bit differs', () => {
    const text = 'All happy families are alike; each unhappy family is unhappy in its own way. '.repeat(20)
    const plain = textBlocks(text, options).hashes
    for (let at = 0; at < plain.length * 64; at++) {
      const other = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1)
      expect(sharedBlocks(plain, textBlocks(other, options).hashes)).toBe(Math.floor(at / 64))
    }
  })

  it('are nobody else’s: another salt gives other blocks all along', () => {
    const text = 'You are a helpful assistant. '.repeat(100)
    const one = textBlocks(text, { ...options, salt: 'anna\0llama' })
    const other = textBlocks(text, { ...options, salt: 'bert\0llama' })
    expect(one.hashes.filter((hash) => other.hashes.includes(hash))).toEqual([])
    expect(textBlocks(text, { ...options, salt: 'anna\0llama' })).toEqual(one)
  })

  it('of another size are other blocks', () => {
    const text = 'You are a helpful assistant. '.repeat(100)
    const wide = textBlocks(text, { ...options, blockBytes: 128 }).hashes
    expect(textBlocks(text, options).hashes.filter((hash) => wide.includes(hash))).toEqual([])
  })

  it('of a text of many megabytes are the same as of any other', () => {
    const text = 'œuvre '.repeat(1_000_000)
    const short = textBlocks(text.slice(0, 6000), options).hashes
    expect(textBlocks(text, options).hashes.slice(0, short.length)).toEqual(short)
  })

  it('refuse a size that cannot be', () => {
    for (const blockBytes of [0, -64, 30, Number.NaN])
      expect(() => textBlocks('', { ...options, blockBytes })).toThrow(`blockBytes is ${blockBytes}`)
  })
})

describe('blocks of tokens', () => {
  const salt = 'tenant'

  it('are the same for the same tokens, in whatever array they come', () => {
    const tokens = Array.from({ length: 100 }, (_, at) => at * 7)
    const { hashes, promptTokens } = tokenBlocks(tokens, { salt, blockTokens: 16 })
    expect(hashes).toHaveLength(6)
    expect(promptTokens).toBe(100)
    expect(tokenBlocks(Int32Array.from(tokens), { salt, blockTokens: 16 }).hashes).toEqual(hashes)
    const other = tokenBlocks(tokens.with(40, 1), { salt, blockTokens: 16 }).hashes
    expect(sharedBlocks(hashes, other)).toBe(2)
  })

  it('refuse a size that cannot be', () => {
    expect(() => tokenBlocks([], { salt, blockTokens: 0 })).toThrow('blockTokens is 0')
    expect(() => idBlocks([], salt, 1.5, 0)).toThrow('blockTokens is 1.5')
  })
})

describe('blocks of ids', () => {
  it('leave out the id of an incomplete last block', () => {
    expect(idBlocks([46, 47, 48], 'trace', 512, 1400).hashes).toHaveLength(2)
    expect(idBlocks([46, 47, 48], 'trace', 512, 1536).hashes).toHaveLength(3)
  })

  it('stand for what comes before them too', () => {
    const one = idBlocks([1, 2, 3], 'trace', 16, 48).hashes
    expect(sharedBlocks(one, idBlocks([1, 9, 3], 'trace', 16, 48).hashes)).toBe(1)
    expect(one).not.toContain(idBlocks([9, 2, 3], 'trace', 16, 48).hashes[2])
    expect(one).not.toContain(idBlocks([1 + 2 ** 32], 'trace', 16, 16).hashes[0])
  })
})

it('collides for none of 300,000 nearly equal prompts, and every bit of a hash is as often 0 as 1', () => {
  const seen = new Set<number>()
  const ones = Array.from({ length: 53 }, () => 0)
  for (let at = 0; at < 300_000; at++) {
    const [hash = 0] = idBlocks([at], 'trace', 16, 16).hashes
    seen.add(hash)
    if (at >= 20_000) continue
    for (let bit = 0; bit < 53; bit++)
      if (Math.floor(hash / 2 ** bit) % 2 === 1) ones[bit] = (ones[bit] ?? 0) + 1
  }
  expect(seen.size).toBe(300_000)
  // Five standard deviations of 20,000 fair coins.
  for (const count of ones) expect(Math.abs(count - 10_000)).toBeLessThan(354)
})
