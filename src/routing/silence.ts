import type { Clock } from '../core/index.ts'
import { DroverError } from '../inference/index.ts'

export interface SilenceRules {
  /** Infinity: for ever. */
  limitMs: number
  clock: Clock
  /** Whether there is anybody else to go on; while there is not, silence is waited out. */
  hasOther(): boolean
  /** Has the answer end with this reason. */
  end(reason: DroverError): void
}

/**
 * The same events; an answer from which nothing came for too long while it was waited for is ended. Neither a process
 * that lives nor a connection that stands says that it works on this very request.
 */
export function endSilence<T>(
  events: AsyncIterator<T>,
  { limitMs, clock, hasOther, end }: SilenceRules,
): AsyncIterator<T> {
  if (limitMs === Number.POSITIVE_INFINITY) return events
  /** Since when the next event is waited for; undefined while the reader is busy with the last one. */
  let sinceMs: number | undefined
  let cancel = clock.after(limitMs, look)

  function look(): void {
    const silentMs = sinceMs === undefined ? 0 : clock.monotonicMs() - sinceMs
    if (silentMs >= limitMs && hasOther()) {
      const seconds = Math.round(silentMs / 100) / 10
      end(new DroverError('engine_failed', `the engine brought no token and no progress for ${seconds} s`))
      return
    }
    cancel = clock.after(Math.max(limitMs - silentMs, limitMs / 10), look)
  }

  return {
    async next() {
      sinceMs = clock.monotonicMs()
      try {
        const result = await events.next()
        if (result.done) cancel()
        return result
      } catch (error) {
        cancel()
        throw error
      } finally {
        sinceMs = undefined
      }
    },
    async return(value) {
      cancel()
      return (await events.return?.(value)) ?? { done: true, value }
    },
  }
}
