import type { EventEmitter } from 'node:events'

/**
 * One Ctrl-C can arrive several times: from the terminal to the whole process group, and once more from npm and
 * from the launcher, which pass on what they get. Signals closer together than this are one.
 */
export const sameSignalMs = 200

/** How a shell names the end by a signal: 128 and the signal's number. */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Those that ask a process to end. */
export const endingSignals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

export interface Stopper {
  /** Calls `stop` at the first signal, one that came before included, and with `hurry` at the second. */
  whenAsked(stop: (hurry: boolean) => void): void
  /** Leaves the signals to others again. */
  release(): void
}

/**
 * Counts the signals that ask a process to end: the first stops, the second hurries, the third ends it at once.
 * Before there is anything to stop the second one ends it.
 */
export function createStopper(
  target: Pick<EventEmitter, 'on' | 'off'> & { exit(code: number): void },
  now: () => number = () => performance.now(),
  signals: readonly (keyof typeof exitCodes)[] = endingSignals,
): Stopper {
  let count = 0
  let lastMs = Number.NEGATIVE_INFINITY
  let stop: ((hurry: boolean) => void) | undefined
  const onSignal = (signal: keyof typeof exitCodes) => {
    const sinceLastMs = now() - lastMs
    lastMs = now()
    if (sinceLastMs < sameSignalMs) return
    count++
    if (count > (stop ? 2 : 1)) target.exit(exitCodes[signal])
    else stop?.(count > 1)
  }
  for (const signal of signals) target.on(signal, onSignal)
  return {
    whenAsked: (action) => {
      stop = action
      if (count > 0) action(false)
    },
    release: () => {
      for (const signal of signals) target.off(signal, onSignal)
    },
  }
}
