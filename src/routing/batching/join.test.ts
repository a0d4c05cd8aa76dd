import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DroverError, type InferenceEvent } from '../../inference/index.ts'
import { createJoiner, type Joiner } from './join.ts'

const usage = { promptTokens: 3, cachedTokens: 0, outputTokens: 2, promptMs: 1, outputMs: 1 }
const done: InferenceEvent = { type: 'done', reason: 'stop', usage, totalMs: 1, loadMs: 0 }
const token = (text: string): InferenceEvent => ({ type: 'token', text })
const textOf = (event: InferenceEvent) => (event.type === 'token' ? event.text : event.type)

/** Lets every promise that can go on do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

/** A run whose events come when they are let go, one by one; `run.0`, `run.1` and so on, then `done`. */
function gatedRuns(length: number, failsAt = Number.POSITIVE_INFINITY) {
  const runs: { signal: AbortSignal; asked: number; closed: boolean; release(): void }[] = []
  const open = (signal: AbortSignal): AsyncIterable<InferenceEvent> => {
    const number = runs.length
    let gate = Promise.withResolvers<void>()
    const run = { signal, asked: 0, closed: false, release: () => gate.resolve() }
    runs.push(run)
    const stop = () => gate.reject(signal.reason)
    signal.addEventListener('abort', stop)
    return (async function* () {
      try {
        for (let index = 0; index <= length; index++) {
          run.asked++
          await gate.promise
          gate = Promise.withResolvers()
          if (index === failsAt) throw new DroverError('engine_crashed', `run ${number} broke`)
          yield index === length ? done : token(`${number}.${index}`)
        }
      } finally {
        run.closed = true
      }
    })()
  }
  return { runs, open }
}

async function readAll(events: AsyncIterable<InferenceEvent>): Promise<string[]> {
  const texts: string[] = []
  for await (const event of events) texts.push(textOf(event))
  return texts
}

const never = () => new AbortController().signal
const plenty = { maxRunBytes: 2 ** 20, maxTotalBytes: 2 ** 22 }

async function* scripted(): AsyncGenerator<InferenceEvent> {
  yield token('a')
  yield token('b')
  yield done
}

describe('identical requests in flight', () => {
  it('are computed once, and every reader has all of it', async () => {
    const { runs, open } = gatedRuns(2)
    const joiner = createJoiner(plenty)
    const first = readAll(joiner.join('k', open, never()))
    await settle()
    runs[0]?.release()
    await settle()
    const late = readAll(joiner.join('k', open, never()))
    for (let event = 0; event < 2; event++) {
      await settle()
      runs[0]?.release()
    }
    const whole = ['0.0', '0.1', 'done']
    expect([await first, await late, runs.length]).toEqual([whole, whole, 1])
    expect(joiner.has('k')).toBe(false)
  })

  it('begin nothing before they are read', () => {
    const { runs, open } = gatedRuns(1)
    createJoiner(plenty).join('k', open, never())
    expect(runs).toEqual([])
  })

  it('with other keys are runs of their own', async () => {
    const { runs, open } = gatedRuns(0)
    const joiner = createJoiner(plenty)
    const both = [readAll(joiner.join('a', open, never())), readAll(joiner.join('b', open, never()))]
    await settle()
    for (const run of runs) run.release()
    expect([await Promise.all(both), runs.length]).toEqual([[['done'], ['done']], 2])
  })

  it('are run anew once the first run is over', async () => {
    const joiner = createJoiner(plenty)
    let opened = 0
    const open = () => {
      opened++
      return scripted()
    }
    await readAll(joiner.join('k', open, never()))
    expect(await readAll(joiner.join('k', open, never()))).toEqual(['a', 'b', 'done'])
    expect(opened).toBe(2)
  })

  it('all learn of an error, after what came before it', async () => {
    const { runs, open } = gatedRuns(3, 1)
    const joiner = createJoiner(plenty)
    const seen: string[][] = [[], []]
    const reading = seen.map(async (texts) => {
      for await (const event of joiner.join('k', open, never())) texts.push(textOf(event))
    })
    const outcomes = Promise.allSettled(reading)
    for (let event = 0; event < 2; event++) {
      await settle()
      runs[0]?.release()
    }
    expect(await outcomes).toMatchObject([
      { reason: { message: 'run 0 broke' } },
      { reason: { message: 'run 0 broke' } },
    ])
    expect([seen, joiner.has('k')]).toEqual([[['0.0'], ['0.0']], false])
  })

  it('go on when the first of them leaves, and are cancelled when the last one does', async () => {
    const { runs, open } = gatedRuns(5)
    const joiner = createJoiner(plenty)
    const controllers = [new AbortController(), new AbortController()]
    const reading = controllers.map(({ signal }) => readAll(joiner.join('k', open, signal)))
    const outcomes = Promise.allSettled(reading)
    await settle()
    controllers[0]?.abort(new DroverError('cancelled', 'first'))
    await settle()
    expect([runs[0]?.signal.aborted, runs[0]?.closed]).toEqual([false, false])
    controllers[1]?.abort(new DroverError('cancelled', 'second'))
    expect(await outcomes).toMatchObject([
      { reason: { message: 'first' } },
      { reason: { message: 'second' } },
    ])
    expect([runs[0]?.signal.aborted, runs[0]?.closed, joiner.has('k')]).toEqual([true, true, false])
  })

  it('free the engine at the last event, however slow a reader is', async () => {
    let closed = false
    const open = async function* () {
      try {
        yield* scripted()
      } finally {
        closed = true
      }
    }
    const joiner = createJoiner(plenty)
    const slow = joiner.join('k', open, never())[Symbol.asyncIterator]()
    await slow.next()
    expect(await readAll(joiner.join('k', open, never()))).toEqual(['a', 'b', 'done'])
    expect(closed).toBe(true)
    expect([await slow.next(), await slow.next()]).toMatchObject([
      { value: { text: 'b' } },
      { value: { type: 'done' } },
    ])
  })

  it('no longer joined beyond the limit: the fastest then waits for the slowest, and no more is kept', async () => {
    const open = async function* () {
      for (let index = 0; index < 50; index++) yield token('x'.repeat(100))
      yield done
    }
    const joiner = createJoiner({ maxRunBytes: 1000, maxTotalBytes: 10_000 })
    const slow = joiner.join('k', open, never())[Symbol.asyncIterator]()
    await slow.next()
    let fastRead = 0
    const fast = (async () => {
      for await (const _ of joiner.join('k', open, never())) fastRead++
    })()
    await settle()
    expect([fastRead, joiner.has('k')]).toEqual([5, false])
    for (let index = 1; index < 51; index++) await slow.next()
    await fast
    expect(fastRead).toBe(51)
  })

  it('are charged to nobody’s memory once they are read', async () => {
    const joiner = createJoiner({ maxRunBytes: 400, maxTotalBytes: 400 })
    const open = async function* () {
      yield token('x'.repeat(100))
      yield done
    }
    for (let round = 0; round < 20; round++)
      expect(await readAll(joiner.join('k', open, never()))).toHaveLength(2)
    const { runs, open: gated } = gatedRuns(1)
    const two = [readAll(joiner.join('k', gated, never())), readAll(joiner.join('k', gated, never()))]
    for (let event = 0; event < 2; event++) {
      await settle()
      runs[0]?.release()
    }
    await Promise.all(two)
    expect(runs.length).toBe(1)
  })
})

type Move = { kind: 'join' | 'read' | 'release' | 'return' | 'abort'; which: number }

interface Reading {
  seen: string[]
  pending: boolean
  state: 'reading' | 'over' | 'left' | 'failed'
  iterator: AsyncIterator<InferenceEvent>
  controller: AbortController
}

/** Readers that do what the moves say. */
function createReaders(joiner: Joiner, open: (signal: AbortSignal) => AsyncIterable<InferenceEvent>) {
  const readings: Reading[] = []
  const read = async (reading: Reading) => {
    if (reading.pending || reading.state !== 'reading') return
    reading.pending = true
    try {
      const next = await reading.iterator.next()
      if (next.done) reading.state = reading.state === 'reading' ? 'over' : reading.state
      else reading.seen.push(textOf(next.value))
    } catch {
      if (reading.state === 'reading') reading.state = 'failed'
    }
    reading.pending = false
  }
  return {
    readings,
    read,
    join() {
      const controller = new AbortController()
      const iterator = joiner.join('k', open, controller.signal)[Symbol.asyncIterator]()
      readings.push({ seen: [], pending: false, state: 'reading', iterator, controller })
    },
    async leave(reading: Reading, how: 'return' | 'abort') {
      if (reading.state !== 'reading') return
      reading.state = 'left'
      if (how === 'abort') reading.controller.abort(new DroverError('cancelled', 'left'))
      else void reading.iterator.return?.()
    },
  }
}

const moves = fc.array(
  fc.record<Move>({
    kind: fc.constantFrom('join', 'read', 'read', 'read', 'release', 'release', 'return', 'abort'),
    which: fc.nat(5),
  }),
  { maxLength: 60 },
)

describe('in any interleaving of readers', () => {
  it('each has the same events of one run from the first on, and is answered exactly once', async () => {
    await fc.assert(
      fc.asyncProperty(
        moves,
        fc.nat(6),
        fc.option(fc.nat(6)),
        fc.constantFrom(150, 400, 2 ** 20),
        async (script, length, failsAt, maxRunBytes) => {
          const { runs, open } = gatedRuns(length, failsAt ?? undefined)
          const joiner = createJoiner({ maxRunBytes, maxTotalBytes: 3 * maxRunBytes })
          const readers = createReaders(joiner, open)
          readers.join()
          for (const { kind, which } of script) {
            const reading = readers.readings[which % readers.readings.length]
            if (kind === 'join') readers.join()
            else if (kind === 'release') runs[which % Math.max(1, runs.length)]?.release()
            else if (reading && kind === 'read') void readers.read(reading)
            else if (reading && (kind === 'return' || kind === 'abort')) void readers.leave(reading, kind)
            await settle()
          }
          // Everybody who is left reads to the end.
          for (let round = 0; round < 2 * (length + 3) + 5; round++) {
            for (const reading of readers.readings) void readers.read(reading)
            await settle()
            for (const run of runs) run.release()
            await settle()
          }
          for (const { seen, state } of readers.readings) {
            const run = seen[0]?.split('.')[0] ?? ''
            const whole = [...Array.from({ length }, (_, index) => `${run}.${index}`), 'done']
            const parts = { over: whole.length, failed: failsAt ?? 0, left: seen.length, reading: -1 }
            expect(seen).toEqual(whole.slice(0, parts[state]))
            expect(state).not.toBe('reading')
          }
          for (const run of runs) expect(run.closed).toBe(true)
          expect(joiner.has('k')).toBe(false)
        },
      ),
      { numRuns: 400 },
    )
  })
})
