import { describe, expect, it } from 'vitest'
import type { EngineEvent } from '../engines/index.ts'
import { DroverError } from '../inference/index.ts'
import { raceTries, type Try } from './hedge.ts'
import type { Lease } from './pool/index.ts'
import { createVirtualClock, rest, type VirtualClock } from './testing/virtual-clock.ts'

/** When a try says its first word, or fails, after its beginning; `stopMs`: how long the engine takes to stop. */
interface Fate {
  speaksMs?: number
  failsMs?: number
  stopMs?: number
}

interface Played extends Try {
  /** What became of its slot, with the time. */
  freed: { atMs: number; failure: string | undefined }[]
  engineEndedMs?: number
}

const token = (text: string): EngineEvent => ({ type: 'token', text, tokens: [1] })

/** A try that says `name.0`, `name.1` and `name.2`, a second apart. */
function tryOf(name: string, clock: VirtualClock, { speaksMs = 10, failsMs, stopMs = 0 }: Fate): Played {
  const cancelled = new AbortController()
  async function* answer(): AsyncGenerator<EngineEvent> {
    try {
      yield { type: 'progress', processedTokens: 1, totalTokens: 1 }
      await clock.sleep(failsMs ?? speaksMs, cancelled.signal)
      if (failsMs !== undefined) throw new DroverError('engine_failed', `${name} broke`)
      for (const at of [0, 1, 2]) {
        yield token(`${name}.${at}`)
        await clock.sleep(1000, cancelled.signal)
      }
    } finally {
      if (cancelled.signal.aborted) await clock.sleep(stopMs)
      played.engineEndedMs = clock.now()
    }
  }
  const played: Played = {
    lease: {} as Lease,
    events: answer(),
    cancel: () => cancelled.abort(new DroverError('cancelled', 'not wanted any more')),
    stopped: (failure) => {
      const words = failure && String(failure.reason)
      played.freed.push({ atMs: clock.now(), failure: words })
    },
    freed: [],
  }
  return played
}

async function race(
  fates: { first: Fate; second?: Fate },
  second?: (calledOff: AbortSignal, clock: VirtualClock) => Promise<Try | undefined>,
  delayMs = 100,
) {
  const clock = createVirtualClock()
  const first = tryOf('first', clock, fates.first)
  const observed: [number, boolean][] = []
  const asked: number[] = []
  let rival: Played | undefined
  const hedge = {
    delayMs,
    second: async (calledOff: AbortSignal) => {
      asked.push(clock.now())
      if (second) return second(calledOff, clock)
      rival = tryOf('second', clock, fates.second ?? {})
      return rival
    },
    observe: (ttftMs: number, cutOff: boolean) => void observed.push([ttftMs, cutOff]),
  }
  const said: string[] = []
  let error: unknown
  const answer = (async () => {
    const won = await raceTries(first, hedge, clock)
    for await (const event of { [Symbol.asyncIterator]: () => won.events }) {
      if (event.type === 'token') said.push(event.text)
    }
  })().catch((thrown) => {
    error = thrown
  })
  await clock.pass(20_000)
  await answer
  return { first, rival, said, error, observed, asked, clock }
}

const allOf = (name: string) => [0, 1, 2].map((at) => `${name}.${at}`)

describe('a second try', () => {
  it('is not made while the first is in time', async () => {
    const { said, asked, observed, first } = await race({ first: { speaksMs: 90 } })
    expect(said).toEqual(allOf('first'))
    expect([asked, first.freed]).toEqual([[], []])
    expect(observed).toEqual([[90, false]])
  })

  it('is never made without a time after which it is due', async () => {
    const { said, asked } = await race({ first: { speaksMs: 9_000 } }, undefined, Number.POSITIVE_INFINITY)
    expect(said).toEqual(allOf('first'))
    expect(asked).toEqual([])
  })

  it('has the answer if it speaks first; the slot of the other is free when its engine has stopped', async () => {
    const { said, asked, observed, first, rival } = await race({
      first: { speaksMs: 5000, stopMs: 70 },
      second: { speaksMs: 50 },
    })
    expect(said).toEqual(allOf('second'))
    expect(asked).toEqual([100])
    expect(first.freed).toEqual([{ atMs: 220, failure: undefined }])
    expect(first.engineEndedMs).toBe(220)
    expect(rival?.freed).toEqual([])
    // It would have taken longer still.
    expect(observed).toEqual([[150, true]])
  })

  it('is ended where the first speaks before it after all', async () => {
    const { said, observed, first, rival } = await race({
      first: { speaksMs: 130 },
      second: { speaksMs: 5000, stopMs: 20 },
    })
    expect(said).toEqual(allOf('first'))
    expect(rival?.freed).toEqual([{ atMs: 150, failure: undefined }])
    expect(first.freed).toEqual([])
    expect(observed).toEqual([[130, false]])
  })

  it('is not made where the first has failed in time', async () => {
    const { error, asked, first } = await race({ first: { failsMs: 50 } })
    expect(error).toMatchObject({ message: 'first broke' })
    // Whoever reads it sees to its slot.
    expect([asked, first.freed]).toEqual([[], []])
  })

  it('goes on where the first fails beside it, and the failure is told', async () => {
    const { said, error, observed, first } = await race({
      first: { failsMs: 150 },
      second: { speaksMs: 500 },
    })
    expect(said).toEqual(allOf('second'))
    expect(error).toBeUndefined()
    expect(first.freed).toEqual([{ atMs: 600, failure: 'DroverError: first broke' }])
    // How long a broken answer takes says nothing.
    expect(observed).toEqual([])
  })

  it('leaves the first alone where it fails itself', async () => {
    const { said, rival } = await race({ first: { speaksMs: 900 }, second: { failsMs: 10 } })
    expect(said).toEqual(allOf('first'))
    expect(rival?.freed).toEqual([{ atMs: 900, failure: 'DroverError: second broke' }])
  })

  it('leaves the first one’s error where both fail, and both failures are told', async () => {
    const { error, rival } = await race({ first: { failsMs: 300 }, second: { failsMs: 10 } })
    expect(error).toMatchObject({ message: 'first broke' })
    expect(rival?.freed).toEqual([{ atMs: 300, failure: 'DroverError: second broke' }])
  })

  it('that cannot be had is none', async () => {
    const none = await race({ first: { speaksMs: 500 } }, async () => undefined)
    expect(none.said).toEqual(allOf('first'))
    const refused = await race({ first: { speaksMs: 500 } }, async () => {
      throw new DroverError('busy', 'the queue is full')
    })
    expect(refused.said).toEqual(allOf('first'))
    expect(refused.error).toBeUndefined()
  })

  it('that waits for a slot holds up nobody, and is called off', async () => {
    let calledOffMs: number | undefined
    const waits = (calledOff: AbortSignal, clock: VirtualClock) =>
      new Promise<undefined>((_resolve, reject) => {
        calledOff.addEventListener('abort', () => {
          calledOffMs = clock.now()
          reject(calledOff.reason)
        })
      })
    const { said, error } = await race({ first: { speaksMs: 500 } }, waits)
    expect([said, error]).toEqual([allOf('first'), undefined])
    expect(calledOffMs).toBe(500)
  })
})

describe('a reader who leaves after the first word', () => {
  it('ends the answer in the engine', async () => {
    const clock = createVirtualClock()
    const first = tryOf('first', clock, { speaksMs: 10 })
    const hedge = { delayMs: 100, second: async () => undefined, observe: () => undefined }
    const reading = (async () => {
      const won = await raceTries(first, hedge, clock)
      for await (const event of { [Symbol.asyncIterator]: () => won.events }) return event
      return undefined
    })()
    await clock.pass(10)
    expect(await reading).toEqual(token('first.0'))
    await rest()
    expect(first.engineEndedMs).toBe(10)
  })

  it('takes the answer with him when he is gone before it', async () => {
    const clock = createVirtualClock()
    const first = tryOf('first', clock, { speaksMs: 500 })
    const hedge = { delayMs: 1000, second: async () => undefined, observe: () => undefined }
    const won = raceTries(first, hedge, clock).then((one) => one.events.next())
    await clock.pass(50)
    first.cancel()
    clock.pass(0)
    await expect(won).rejects.toThrow('not wanted any more')
    expect(first.engineEndedMs).toBe(50)
  })
})
