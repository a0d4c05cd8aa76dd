import type { Clock } from '../../../core/index.ts'

/** Real time, so many times as fast: what waits for minutes is tested in milliseconds, timers and all. */
export function hurriedClock(factor: number): Clock {
  const startedMs = performance.now()
  const epochMs = Date.now()
  const monotonicMs = () => (performance.now() - startedMs) * factor
  return {
    now: () => epochMs + monotonicMs(),
    monotonicMs,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const onAbort = () => {
          clearTimeout(timer)
          reject(signal?.reason)
        }
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }, delayMs / factor)
        signal?.addEventListener('abort', onAbort, { once: true })
      }),
    after: (delayMs, action) => {
      const timer = setTimeout(action, delayMs / factor)
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
