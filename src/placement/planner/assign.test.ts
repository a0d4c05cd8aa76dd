import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { divideEvenly, divideFastest, type StageRoom } from './assign.ts'

const items = 7
const mib = 2 ** 20

const stage = fc.record({
  room: fc.integer({ min: 0, max: 40 }),
  head: fc.integer({ min: 0, max: 6 }),
  bytes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: items, maxLength: items }),
  seconds: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: items, maxLength: items }),
  entryS: fc.integer({ min: 0, max: 5 }),
  waitS: fc.integer({ min: 0, max: 5 }),
})

function roomOf({
  room,
  head,
  bytes,
  seconds,
  entryS,
  waitS,
}: typeof stage extends fc.Arbitrary<infer T> ? T : never): StageRoom {
  return {
    roomBytes: room * mib,
    roomWithHeadBytes: (room - head) * mib,
    bytes: running(bytes.map((each) => each * mib)),
    seconds: running(seconds),
    entryS,
    waitS,
  }
}

function running(values: readonly number[]): Float64Array {
  const sums = new Float64Array(values.length + 1)
  values.forEach((value, at) => {
    sums[at + 1] = (sums[at] ?? 0) + value
  })
  return sums
}

/** All ways to cut the items for the stages. */
function allCuts(stages: number, first = 0): number[][] {
  if (stages === 1) return [[items]]
  return Array.from({ length: items - first + 1 }, (_, count) => first + count).flatMap((end) =>
    allCuts(stages - 1, end).map((rest) => [end, ...rest]),
  )
}

function timeOf(stages: readonly StageRoom[], ends: readonly number[]): number {
  let first = 0
  return stages.reduce((sum, { seconds, entryS, waitS }, at) => {
    const [from, end] = [first, ends[at] ?? first]
    first = end
    if (from === end) return sum
    return sum + (seconds[end] ?? 0) - (seconds[from] ?? 0) + waitS + (from > 0 ? entryS : 0)
  }, 0)
}

function fitsAll(stages: readonly StageRoom[], ends: readonly number[]): boolean {
  let first = 0
  return stages.every(({ bytes, roomBytes, roomWithHeadBytes }, at) => {
    const [from, end] = [first, ends[at] ?? first]
    first = end
    const room = end === items && from < end ? roomWithHeadBytes : roomBytes
    return from === end || (bytes[end] ?? 0) - (bytes[from] ?? 0) <= room
  })
}

describe('the fastest division', () => {
  it('is as fast as the best of all divisions, and is found wherever there is one', () => {
    fc.assert(
      fc.property(fc.array(stage, { minLength: 1, maxLength: 4 }), fc.boolean(), (rooms, maySkip) => {
        const stages = rooms.map(roomOf)
        const all = allCuts(stages.length)
          .filter((ends) => fitsAll(stages, ends))
          .filter((ends) => maySkip || ends.every((end, at) => end > (ends[at - 1] ?? 0)))
        const found = divideFastest(stages, items, maySkip)
        expect(found !== undefined).toBe(all.length > 0)
        if (!found) return
        expect(fitsAll(stages, found)).toBe(true)
        expect(timeOf(stages, found)).toBe(Math.min(...all.map((ends) => timeOf(stages, ends))))
      }),
      { numRuns: 500 },
    )
  })
})

describe('the even division', () => {
  it('fits, and gives equal stages equal parts', () => {
    const layer = { bytes: new Array<number>(items).fill(1), seconds: new Array<number>(items).fill(1) }
    const equal = new Array(3).fill(
      roomOf({ room: 10, head: 0, entryS: 0, waitS: 0, ...layer }),
    ) as StageRoom[]
    expect(
      divideEvenly(
        equal,
        items,
        equal.map(({ seconds }) => seconds),
      ),
    ).toEqual([2, 4, 7])
  })

  it('gives a stage of half the speed half as much, as far as memory allows', () => {
    const bytes = new Array<number>(items).fill(1)
    const fast = roomOf({
      room: 10,
      head: 0,
      entryS: 0,
      waitS: 0,
      bytes,
      seconds: new Array<number>(items).fill(2),
    })
    const slow = roomOf({
      room: 10,
      head: 0,
      entryS: 0,
      waitS: 0,
      bytes,
      seconds: new Array<number>(items).fill(5),
    })
    expect(divideEvenly([fast, slow], items, [fast.seconds, slow.seconds])).toEqual([5, 7])
    const small = { ...fast, roomBytes: 3 * mib }
    expect(divideEvenly([small, slow], items, [small.seconds, slow.seconds])).toEqual([3, 7])
    expect(
      divideEvenly([small, { ...slow, roomBytes: 3 * mib, roomWithHeadBytes: 3 * mib }], items, [
        fast.seconds,
        slow.seconds,
      ]),
    ).toBeUndefined()
  })
})
