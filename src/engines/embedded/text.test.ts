import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTextStream } from './text.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Feeds a text in pieces of the given sizes; gives every text that came out, and the stop string. */
function stream(text: string, stops: string[], sizes: readonly number[] = [1]) {
  const out: string[] = []
  const stream = createTextStream(stops)
  const bytes = bytesOf(text)
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const end = start + (sizes[turn % sizes.length] ?? 1)
    const piece = stream.push(bytes.subarray(start, end))
    out.push(piece.text)
    if (piece.stop !== undefined) return { out, stop: piece.stop }
    start = end
  }
  out.push(stream.end())
  return { out, stop: undefined }
}

const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 })
/** Few letters, so that stop strings begin often and end seldom. */
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '🐑') })
const stops = fc.array(
  fc.string({ unit: fc.constantFrom('a', 'b', 'é', '🐑'), minLength: 1, maxLength: 4 }),
  {
    maxLength: 3,
  },
)

describe('a text stream', () => {
  it('gives the whole text where no stop string comes, in whole characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), sizes, (whole, sizes) => {
        const { out } = stream(whole, [], sizes)
        expect(out.join('')).toBe(whole)
        for (const piece of out) expect(piece.isWellFormed()).toBe(true)
      }),
    )
  })

  it('ends before the first stop string, whatever the pieces, and never shows a part of it', () => {
    fc.assert(
      fc.property(text, stops, sizes, (whole, stops, sizes) => {
        const { out, stop } = stream(whole, stops, sizes)
        const shown = out.join('')
        const first = Math.min(...stops.map((stop) => whole.indexOf(stop)).filter((index) => index >= 0))
        // Pieces may complete a later stop string before an earlier, longer one: then that one ends the text.
        if (stop === undefined) expect(shown).toBe(whole)
        else {
          expect(whole.startsWith(shown + stop)).toBe(true)
          expect(shown.length).toBeGreaterThanOrEqual(first)
          for (const other of stops) expect(shown).not.toContain(other)
        }
      }),
    )
  })

  it('holds back what may become a stop string, with all that came with it', () => {
    const held = createTextStream(['###', '<end>'])
    expect(held.push(bytesOf('a#'))).toEqual({ text: '' })
    expect(held.holds()).toBe(true)
    expect(held.push(bytesOf('b'))).toEqual({ text: 'a#b' })
    expect(held.holds()).toBe(false)
    expect(held.push(bytesOf('<en'))).toEqual({ text: '' })
    expect(held.push(bytesOf('d><'))).toEqual({ text: '', stop: '<end>' })
  })

  it('gives what it held back at the end, but no half character', () => {
    const held = createTextStream(['stop'])
    held.push(bytesOf('st'))
    held.push(bytesOf('🐑').subarray(0, 2))
    expect(held.end()).toBe('st')
  })

  it('gives, or holds, what whole tokens have shown', () => {
    fc.assert(
      fc.property(text, stops, sizes, (whole, stops, sizes) => {
        const stream = createTextStream(stops)
        const bytes = bytesOf(whole)
        let shown = ''
        for (let start = 0, turn = 0; start < bytes.length; turn++) {
          const end = Math.min(bytes.length, start + (sizes[turn % sizes.length] ?? 1))
          const piece = stream.push(bytes.subarray(start, end))
          if (piece.stop !== undefined) return
          shown += piece.text
          if (!stream.holds()) expect(shown).toBe(new TextDecoder().decode(bytes.subarray(0, end)))
          else expect(piece.text).toBe('')
          start = end
        }
      }),
    )
  })

  it('shows bytes that are no UTF-8 as replacement characters, and a byte order mark as it is', () => {
    expect(createTextStream([]).push(Uint8Array.of(0xff, 0x61)).text).toBe('\uFFFDa')
    expect(createTextStream([]).push(bytesOf('\uFEFFa')).text).toBe('\uFEFFa')
    const cut = createTextStream([])
    expect(cut.push(Uint8Array.of(0xe6, 0x97)).text).toBe('')
    expect(cut.push(Uint8Array.of(0x61, 0x91)).text).toBe('\uFFFDa\uFFFD')
  })
})
