import { describe, expect, it } from 'vitest'
import { createSlotTable } from './slot-table.ts'

const instructions = 'You know everything about sheep and tell it in one sentence. '.repeat(4)

describe('the table of slots', () => {
  it('keeps two conversations that begin alike in slots of their own', () => {
    const table = createSlotTable(2)
    const talks = [
      `${instructions}What do they eat, and where do they find it?`,
      `${instructions}How long do they live, on the whole?`,
    ]
    const seen = talks.map(() => new Set<number>())
    for (let turn = 0; turn < 4; turn++) {
      talks.forEach((talk, index) => {
        const slot = table.take(talk)
        seen[index]?.add(slot.id)
        slot.release(' An answer.')
        talks[index] = `${talk} An answer. And then, in turn ${turn}?`
      })
    }
    expect(seen).toEqual([new Set([0]), new Set([1])])
  })

  it('gives no slot twice, and each again when it is given back', () => {
    const table = createSlotTable(2)
    const [first, second] = [table.take('sheep'), table.take('sheep')]
    expect([first.id, second.id]).toEqual([0, 1])
    expect(() => table.take('sheep')).toThrow('no slot is idle')
    expect(table.takeToFill('goat')).toBeUndefined()
    first.putBack()
    expect(table.take('goat').id).toBe(0)
  })

  it('finds who holds a prompt, with its answer, until it holds something else', () => {
    const table = createSlotTable(2)
    table.take(instructions).release('Grass.')
    const holder = table.takeHolder(`${instructions}Grass. And then?`)
    expect(holder?.id).toBe(0)
    expect(table.takeHolder(instructions)).toBeUndefined()
    holder?.putBack()
    expect(table.takeHolder('a goat')).toBeUndefined()
    table.takeHolder(instructions)?.clear()
    expect(table.takeHolder(instructions)).toBeUndefined()
  })

  it('fills an empty slot before one that is used, and knows what it was filled with', () => {
    const table = createSlotTable(2)
    table.take('something else').release('')
    const filled = table.takeToFill(instructions)
    expect(filled?.id).toBe(1)
    filled?.release('')
    expect(table.take(`${instructions}Go on.`).id).toBe(1)
  })
})
