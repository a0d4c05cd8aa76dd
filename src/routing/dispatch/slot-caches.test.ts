import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pickSlot } from '../../engines/index.ts'
import { idBlocks } from '../prefix/index.ts'
import { createSlotCaches } from './slot-caches.ts'

const hashesOf = (ids: readonly number[]) => idBlocks(ids, '', 64, ids.length * 64).hashes
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
/** A system prompt of eight blocks, and what one conversation adds. */
const chat = (own: number, blocks: number) =>
  hashesOf([...range(0, 8), ...range(100 * own, 100 * own + blocks)])

describe('caches by slot', () => {
  it('have a conversation in the slot where it was', () => {
    const caches = createSlotCaches(2)
    caches.take(1, chat(1, 2), false)
    caches.release(1, chat(1, 3))
    expect(caches.found(chat(1, 5))).toBe(8 + 3)
  })

  it('share no system prompt while a slot is empty, and the oldest one when none is', () => {
    const caches = createSlotCaches(2)
    for (const own of [1, 2]) {
      expect(caches.found(chat(own, 2))).toBe(0)
      caches.take(own, chat(own, 2), false)
      caches.release(own, chat(own, 3))
    }
    expect(caches.found(chat(3, 2))).toBe(8)
    caches.take(3, chat(3, 2), false)
    caches.release(3, chat(3, 3))
    expect([1, 2, 3].map((own) => caches.found(chat(own, 5)))).toEqual([8, 11, 11])
  })

  it('give nothing of a slot that is taken', () => {
    const caches = createSlotCaches(2)
    caches.take(1, chat(1, 2), false)
    expect(caches.found(chat(1, 2))).toBe(0)
    caches.take(2, hashesOf(range(500, 510)), false)
    // Whoever waits for one of them may get the one that suits.
    expect(caches.found(chat(1, 2))).toBe(10)
  })

  it('have what was read from disk in the slot not used for longest', () => {
    const caches = createSlotCaches(2)
    for (const own of [1, 2]) {
      caches.take(own, chat(own, 2), false)
      caches.release(own, chat(own, 3))
    }
    // Without that it would go on in the second one.
    caches.take(3, chat(2, 5), true)
    caches.release(3, chat(2, 6))
    expect([1, 2].map((own) => caches.found(chat(own, 9)))).toEqual([8, 8 + 6])
  })

  it('follow an engine that chooses slots by its texts', () => {
    const turn = fc.record({ conversation: fc.nat(7), words: fc.integer({ min: 1, max: 6 }) })
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (turns, count) => {
        const slots = Array.from({ length: count }, () => ({ text: '', promptLength: 0, lastUsed: 0 }))
        const caches = createSlotCaches(count)
        // Each letter is a block; two of the conversations share a system prompt.
        const histories = range(0, 8).map((one) => `${String(one >> 1).repeat(6)}${one}`)
        for (const [at, { conversation, words }] of turns.entries()) {
          const prompt = `${histories[conversation]}${String(at % 10).repeat(words)}`
          const choices = slots.map((slot) => ({
            ...slot,
            length: slot.text.length,
            shared: commonStart(slot.text, prompt),
          }))
          const chosen = pickSlot(choices, prompt.length, { slack: 0, little: 0 })
          expect(caches.found(lettersOf(prompt))).toBe(choices[chosen]?.shared)
          caches.take(at, lettersOf(prompt), false)
          const text = `${prompt}a`
          slots[chosen] = { text, promptLength: prompt.length, lastUsed: at + 1 }
          caches.release(at, lettersOf(text))
          histories[conversation] = text
        }
      }),
    )
  })
})

const lettersOf = (text: string) => hashesOf([...text].map((letter) => letter.charCodeAt(0)))

function commonStart(left: string, right: string): number {
  let shared = 0
  while (shared < left.length && left[shared] === right[shared]) shared++
  return shared
}
