import { DroverError, type InferenceEvent } from '../../inference/index.ts'
import { eventBytes } from './event-bytes.ts'

export interface JoinerOptions {
  /** Of the events that one run keeps for its readers, by estimate. */
  maxRunBytes: number
  /** Of all runs together; when it is spent, requests run on their own. */
  maxTotalBytes: number
}

/** Identical requests that are in flight together are computed once. */
export interface Joiner {
  /**
   * The events of the run with this key: of one that is under way, from its first event on, else of a new one that
   * `open` begins at the first `next()`. Each reader takes events at its own pace; the fastest drives the run. An error
   * comes to every reader. The run is cancelled when its last reader has gone, by its signal or by `return()`.
   */
  join(
    key: string,
    open: (signal: AbortSignal) => AsyncIterable<InferenceEvent>,
    signal: AbortSignal,
  ): AsyncIterable<InferenceEvent>
  /** Whether a request with this key would find a run to join. */
  has(key: string): boolean
}

/**
 * One run and what it has said so far. Everything is kept from the first event on, because the next follower may come
 * at any time; answers are small beside what they cost. One that grows beyond a limit takes no more followers, keeps
 * only what its slowest reader still needs, and lets the fastest wait for the slowest from then on: a reader that takes
 * nothing at all is disconnected by its own connection's timeout, so nobody waits for ever. (To run the slow one anew
 * would be no alternative: engines round differently from batch to batch, and its text might not go on as it began.)
 */
interface Run {
  events: InferenceEvent[]
  /** Number of the first event in `events` among all that there were. */
  firstIndex: number
  bytes: number
  readers: Set<Reader>
  source: AsyncIterator<InferenceEvent>
  cancel: AbortController
  /** The wait for the next event, while there is one. */
  pull: Promise<void> | undefined
  /** `error` where it did not end well. */
  end: { error?: unknown } | undefined
  /** Whether followers may still come. */
  open: boolean
}

interface Reader {
  nextIndex: number
  /** Told that something has changed. */
  wake(): void
}

export function createJoiner({ maxRunBytes, maxTotalBytes }: JoinerOptions): Joiner {
  const runs = new Map<string, Run>()
  let totalBytes = 0

  function start(key: string, open: (signal: AbortSignal) => AsyncIterable<InferenceEvent>): Run {
    const cancel = new AbortController()
    const run: Run = {
      events: [],
      firstIndex: 0,
      bytes: 0,
      readers: new Set(),
      source: open(cancel.signal)[Symbol.asyncIterator](),
      cancel,
      pull: undefined,
      end: undefined,
      open: true,
    }
    runs.set(key, run)
    return run
  }

  function seal(key: string, run: Run): void {
    run.open = false
    if (runs.get(key) === run) runs.delete(key)
    trim(run)
  }

  /** Drops what every reader has had, once no follower can come who would begin there. */
  function trim(run: Run): void {
    if (run.open) return
    let slowest = run.firstIndex + run.events.length
    for (const { nextIndex } of run.readers) slowest = Math.min(slowest, nextIndex)
    if (slowest === run.firstIndex) return
    const dropped = run.events.splice(0, slowest - run.firstIndex)
    run.firstIndex = slowest
    const freedBytes = dropped.reduce((sum, event) => sum + eventBytes(event), 0)
    run.bytes -= freedBytes
    totalBytes -= freedBytes
    wakeAll(run)
  }

  function keep(key: string, run: Run, event: InferenceEvent): void {
    run.events.push(event)
    const bytes = eventBytes(event)
    run.bytes += bytes
    totalBytes += bytes
    if (run.bytes >= maxRunBytes || totalBytes >= maxTotalBytes) seal(key, run)
    else trim(run)
  }

  const hasRoom = (run: Run) => run.bytes === 0 || (run.bytes < maxRunBytes && totalBytes < maxTotalBytes)

  async function pullNext(key: string, run: Run): Promise<void> {
    try {
      const next = await run.source.next()
      if (next.done) run.end = {}
      else keep(key, run, next.value)
      if (!next.done && next.value.type === 'done') {
        wakeAll(run)
        // What answered need not wait for slow readers.
        await run.source.return?.()
        run.end = {}
      }
    } catch (error) {
      run.end = { error }
    }
    run.pull = undefined
    if (run.end) seal(key, run)
    wakeAll(run)
  }

  /** The last one who leaves puts out the light. */
  async function leave(key: string, run: Run, reader: Reader): Promise<void> {
    if (!run.readers.delete(reader)) return
    if (run.readers.size > 0) return trim(run)
    seal(key, run)
    if (run.pull) run.cancel.abort(new DroverError('cancelled', 'request canceled'))
    await run.pull
    if (!run.end) await run.source.return?.()
  }

  function readerOf(
    key: string,
    open: (signal: AbortSignal) => AsyncIterable<InferenceEvent>,
    signal: AbortSignal,
  ): AsyncIterator<InferenceEvent> {
    let run: Run | undefined
    let departure: Promise<void> | undefined
    const reader: Reader = { nextIndex: 0, wake: () => undefined }

    const depart = () => {
      signal.removeEventListener('abort', onAbort)
      departure ??= run ? leave(key, run, reader) : Promise.resolve()
      return departure
    }
    const onAbort = () => {
      const left = run
      depart().catch((error) => {
        // Nobody reads any more, but for a `next()` that waits, which has the same error.
        if (left) left.end = { error }
      })
      reader.wake()
    }
    const enter = () => {
      signal.throwIfAborted()
      signal.addEventListener('abort', onAbort, { once: true })
      const joined = runs.get(key) ?? start(key, open)
      joined.readers.add(reader)
      return joined
    }

    return {
      async next() {
        if (departure && !run) return { done: true, value: undefined }
        run ??= enter()
        for (;;) {
          if (departure) {
            await departure
            signal.throwIfAborted()
            return { done: true, value: undefined }
          }
          const event = run.events[reader.nextIndex - run.firstIndex]
          if (event) {
            reader.nextIndex++
            trim(run)
            return { done: false, value: event }
          }
          if (run.end) {
            const { end } = run
            await depart()
            if ('error' in end) throw end.error
            return { done: true, value: undefined }
          }
          const changed = new Promise<void>((resolve) => {
            reader.wake = resolve
          })
          if (!run.pull && hasRoom(run)) run.pull = pullNext(key, run)
          await changed
        }
      },
      async return() {
        reader.wake()
        await depart()
        return { done: true, value: undefined }
      },
    }
  }

  return {
    join: (key, open, signal) => ({ [Symbol.asyncIterator]: () => readerOf(key, open, signal) }),
    has: (key) => runs.has(key),
  }
}

function wakeAll(run: Run): void {
  for (const { wake } of run.readers) wake()
}
