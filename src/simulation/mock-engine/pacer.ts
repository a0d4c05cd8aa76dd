import type { Clock } from '../../core/index.ts'
import type { ModelledEvent, ModelledInstance, ModelledRequest } from '../engine/contract.ts'

/** A modelled instance on real time. */
export interface Pacer {
  /** Submits a request, whose events `listener` hears until it is done. What is returned takes it out at once. */
  run(request: Omit<ModelledRequest, 'id'>, listener: (event: ModelledEvent) => void): () => void
  /** Modelled milliseconds in a real one, from now on. */
  setRate(rate: number): void
  instance(): ModelledInstance
  /** Forgets the cache: another instance takes its place. Only while nothing runs or waits. */
  reset(): void
  close(): void
}

export function createPacer(create: () => ModelledInstance, clock: Clock, firstRate: number): Pacer {
  let instance = create()
  let rate = firstRate
  /** The two clocks at a moment when both were known. */
  let base = { realMs: clock.monotonicMs(), modelledMs: 0 }
  let lastId = 0
  let cancelTimer: (() => void) | undefined
  const listeners = new Map<number, (event: ModelledEvent) => void>()

  const nowMs = () => base.modelledMs + (clock.monotonicMs() - base.realMs) * rate

  function advance(): void {
    for (const event of instance.advance(nowMs())) {
      const listener = listeners.get(event.id)
      if (event.type === 'done') listeners.delete(event.id)
      listener?.(event)
    }
    arm()
  }

  function arm(): void {
    cancelTimer?.()
    cancelTimer = undefined
    const nextMs = instance.nextMs()
    if (nextMs === Number.POSITIVE_INFINITY) return
    // Timers count whole milliseconds; what a late one missed is made up for, since the model keeps its own time.
    cancelTimer = clock.after(Math.max(0, Math.ceil((nextMs - nowMs()) / rate)), advance)
  }

  return {
    run(request, listener) {
      const id = ++lastId
      instance.submit({ ...request, id }, nowMs())
      listeners.set(id, listener)
      arm()
      return () => {
        if (!listeners.delete(id)) return
        instance.cancel(id, nowMs())
        arm()
      }
    },
    setRate(next) {
      base = { realMs: clock.monotonicMs(), modelledMs: nowMs() }
      rate = next
      arm()
    },
    instance: () => instance,
    reset() {
      if (listeners.size === 0) instance = create()
    },
    close() {
      cancelTimer?.()
      listeners.clear()
    },
  }
}
