import type { Clock } from '../../core/index.ts'

/** A clock that stands still until it is told to go. */
export interface VirtualClock extends Clock {
  /** When the next of those who wait is due; Infinity: nobody waits. */
  nextMs(): number
  /** Moves to the next that is due, and lets everything that follows from it come to rest. */
  tick(): Promise<void>
  /** Moves so far, tick by tick. */
  pass(ms: number): Promise<void>
}

interface Timer {
  atMs: number
  action(): void
}

/** Until no promise has anything to do: all of them are served before the next turn of the event loop. */
export const rest = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Time is measured from 0; timers of one moment fire in the order in which they were set, each with its own rest. */
export function createVirtualClock(): VirtualClock {
  let nowMs = 0
  /** The next one last. */
  const timers: Timer[] = []

  function add(delayMs: number, action: () => void): () => void {
    const timer: Timer = { atMs: nowMs + Math.max(0, delayMs), action }
    let place = timers.length
    while (place > 0 && (timers[place - 1] as Timer).atMs <= timer.atMs) place--
    timers.splice(place, 0, timer)
    return () => {
      const at = timers.indexOf(timer)
      if (at >= 0) timers.splice(at, 1)
    }
  }

  async function tick(): Promise<void> {
    const timer = timers.pop()
    if (!timer) return
    nowMs = timer.atMs
    timer.action()
    await rest()
  }

  const nextMs = () => timers.at(-1)?.atMs ?? Number.POSITIVE_INFINITY

  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after: (delayMs, action) =>
      delayMs === Number.POSITIVE_INFINITY ? () => undefined : add(delayMs, action),
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const cancel = add(delayMs, () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        })
        const onAbort = () => {
          cancel()
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
      }),
    nextMs,
    tick,
    async pass(ms) {
      const untilMs = nowMs + ms
      await rest()
      while (nextMs() <= untilMs) await tick()
      nowMs = untilMs
    },
  }
}
