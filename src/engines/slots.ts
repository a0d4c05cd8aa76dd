import type { InstanceLoad } from './contract.ts'

/** Counts requests into an instance's slots, first come, first served. */
export interface SlotQueue {
  /** Waits for a slot; rejects with the signal's reason, or with the queue's own after `close`. */
  acquire(signal: AbortSignal): Promise<void>
  /** Takes a slot if one is free now. */
  tryAcquire(): boolean
  release(): void
  load(): InstanceLoad
  /** Refuses who waits and who comes. */
  close(reason: () => Error): void
  /** Resolves when no slot is taken. */
  idle(): Promise<void>
}

export function createSlotQueue(slots: number): SlotQueue {
  let running = 0
  let closed: (() => Error) | undefined
  const waiting = new Set<{ enter(): void; refuse(reason: Error): void }>()
  const idleListeners: (() => void)[] = []

  return {
    acquire(signal) {
      if (closed) return Promise.reject(closed())
      if (signal.aborted) return Promise.reject(signal.reason)
      if (running < slots) {
        running++
        return Promise.resolve()
      }
      return new Promise((resolve, reject) => {
        const leave = () => {
          waiting.delete(entry)
          signal.removeEventListener('abort', onAbort)
        }
        const entry = {
          enter: () => {
            leave()
            resolve()
          },
          refuse: (reason: Error) => {
            leave()
            reject(reason)
          },
        }
        const onAbort = () => entry.refuse(signal.reason)
        signal.addEventListener('abort', onAbort)
        waiting.add(entry)
      })
    },
    tryAcquire() {
      if (closed || running >= slots) return false
      running++
      return true
    },
    release() {
      const [next] = waiting
      // The slot is handed on, so the count stays.
      if (next) return next.enter()
      running--
      if (running === 0) for (const listener of idleListeners.splice(0)) listener()
    },
    load: () => ({ running, waiting: waiting.size }),
    close(reason) {
      closed = reason
      for (const entry of [...waiting]) entry.refuse(reason())
    },
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => idleListeners.push(resolve))),
  }
}
