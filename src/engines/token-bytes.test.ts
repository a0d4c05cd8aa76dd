import { describe, expect, it } from 'vitest'
import { decodeByteLevel } from './token-bytes.ts'

describe('a byte-level token', () => {
  it('stands for its bytes: spaces, line ends, parts of characters', () => {
    expect(decodeByteLevel('Ġhello')).toEqual(Uint8Array.from(Buffer.from(' hello')))
    expect(decodeByteLevel('ĊĊ')).toEqual(Uint8Array.of(10, 10))
    expect(decodeByteLevel('æĹ¥')).toEqual(Uint8Array.from(Buffer.from('日')))
    expect(decodeByteLevel('æĹ')).toEqual(Uint8Array.of(0xe6, 0x97))
  })

  it('covers every byte once', () => {
    const characters = Array.from({ length: 0x144 }, (_, code) => String.fromCodePoint(code))
    const bytes = characters.flatMap((character) => [...(decodeByteLevel(character) ?? [])])
    expect(bytes).toHaveLength(256)
    expect(new Set(bytes).size).toBe(256)
  })

  it('is none where a character stands for no byte', () => {
    expect(decodeByteLevel('日')).toBeUndefined()
  })
})
