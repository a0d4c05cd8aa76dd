import { type Clock, systemClock } from '../../src/core/index.ts'

/** The machine's time, that can be made later: what is real (engines, sockets) goes on at its own pace. */
export interface LeapingClock extends Clock {
  /** So much passes at once, and every timer that is due by then fires, once. */
  leap(ms: number): void
}

interface Timer {
  atMs: number
  action(): void
  cancel(): void
}

export function createLeapingClock(): LeapingClock {
  let aheadMs = 0
  const timers = new Set<Timer>()
  const monotonicMs = () => systemClock.monotonicMs() + aheadMs

  function arm(timer: Timer): void {
    timer.cancel = systemClock.after(timer.atMs - monotonicMs(), () => {
      timers.delete(timer)
      timer.action()
    })
  }

  function after(delayMs: number, action: () => void): () => void {
    const timer: Timer = { atMs: monotonicMs() + delayMs, action, cancel: () => undefined }
    timers.add(timer)
    arm(timer)
    return () => {
      timers.delete(timer)
      timer.cancel()
    }
  }

  return {
    now: () => systemClock.now() + aheadMs,
    monotonicMs,
    after,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const onAbort = () => {
          cancel()
          reject(signal?.reason)
        }
        const cancel = after(delayMs, () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        })
        signal?.addEventListener('abort', onAbort, { once: true })
      }),
    leap(ms) {
      aheadMs += ms
      for (const timer of timers) {
        timer.cancel()
        arm(timer)
      }
    },
  }
}
