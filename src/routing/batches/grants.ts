import type { Clock } from '../../core/index.ts'

/** Hands out permissions to ask a line, as many as there are idle slots, to batches in turn. */
export interface Grants {
  /** Waits for one; rejects with the signal's reason. The returned function gives it back. */
  take(signal: AbortSignal): Promise<() => void>
  close(): void
}

export interface GrantOptions {
  freeSlots: () => number
  maxConcurrent: number
  clock: Clock
}

/**
 * Idle slots are counted so often, and each counted one is given once: a line that has just been granted is not yet in
 * its slot, and would be overlooked by a second look. A line that ends makes room for one more at once.
 */
const countMs = 250

export function createGrants({ freeSlots, maxConcurrent, clock }: GrantOptions): Grants {
  /** First come, first served: a batch that has had one stands behind the others again. */
  const waiting = new Set<() => void>()
  let granted = 0
  let allowance = 0
  let nextCountMs = clock.monotonicMs()
  let cancelTimer: (() => void) | undefined

  function serve(): void {
    cancelTimer?.()
    cancelTimer = undefined
    if (waiting.size === 0) return
    const nowMs = clock.monotonicMs()
    if (nowMs >= nextCountMs) {
      allowance = freeSlots()
      nextCountMs = nowMs + countMs
    }
    for (const enter of waiting) {
      if (allowance <= 0 || granted >= maxConcurrent) break
      allowance--
      enter()
    }
    if (waiting.size > 0) cancelTimer = clock.after(nextCountMs - nowMs, serve)
  }

  function giveBack(): void {
    granted--
    if (freeSlots() > 0) allowance = Math.max(allowance, 0) + 1
    serve()
  }

  return {
    take(signal) {
      return new Promise((resolve, reject) => {
        signal.throwIfAborted()
        const leave = () => {
          waiting.delete(enter)
          signal.removeEventListener('abort', onAbort)
        }
        const enter = () => {
          leave()
          granted++
          let held = true
          resolve(() => {
            if (held) giveBack()
            held = false
          })
        }
        const onAbort = () => {
          leave()
          reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort)
        waiting.add(enter)
        serve()
      })
    },
    close: () => cancelTimer?.(),
  }
}
