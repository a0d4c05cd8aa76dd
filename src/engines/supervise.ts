import type { Clock } from '../core/index.ts'
import type { Engine, EngineEvent, EngineInstance } from './contract.ts'

/** A process that works on nothing else answers within a millisecond. */
const pingEveryMs = 1_000
/** One that answers, and yet brings no token and no progress on any request for so long, has lost its device. */
const silenceMs = 5 * 60_000

/**
 * An engine whose instances are watched: one that lives and does not answer for `hangTimeoutMs`, or works without any
 * sign of progress for minutes, is ended, and its exit says `hung`. A process that has ended needs no watching: its exit
 * is known at once. Infinity never ends one.
 */
export function superviseEngine(engine: Engine, options: { hangTimeoutMs: number; clock: Clock }): Engine {
  return {
    ...engine,
    launch: async (spec, signal) => watched(await engine.launch(spec, signal), options),
  }
}

function watched(
  instance: EngineInstance,
  { hangTimeoutMs, clock }: { hangTimeoutMs: number; clock: Clock },
): EngineInstance {
  if (hangTimeoutMs === Number.POSITIVE_INFINITY) return instance
  let over = false
  let running = 0
  let lastSignMs = clock.monotonicMs()
  instance.exited.then(() => {
    over = true
  })

  /** Two tries, so that a pause of the whole machine is not taken for the engine's. */
  async function look(failures: number): Promise<void> {
    if (over) return
    const failure = await failureOf(instance, hangTimeoutMs / 2)
    if (over) return
    const silentMs = clock.monotonicMs() - lastSignMs
    if (failure && failures > 0) {
      const how = failure.unreachable ?? `it did not answer for ${seconds(hangTimeoutMs)}`
      instance.kill(how)
    } else if (running > 0 && silentMs > silenceMs) {
      instance.kill(`it worked for ${seconds(silentMs)} without a token or any progress`)
    } else {
      // After silence there was waiting enough.
      const againMs = failure && failure.unreachable === undefined ? 0 : pingEveryMs
      clock.after(againMs, () => void look(failure ? failures + 1 : 0))
    }
  }
  clock.after(pingEveryMs, () => void look(0))

  async function* generate(...asked: Parameters<EngineInstance['generate']>): AsyncGenerator<EngineEvent> {
    if (running++ === 0) lastSignMs = clock.monotonicMs()
    try {
      for await (const event of instance.generate(...asked)) {
        lastSignMs = clock.monotonicMs()
        yield event
      }
    } finally {
      running--
    }
  }
  return { ...instance, generate }
}

/** Why a process gave no sign of life within the time; undefined when it gave one. */
async function failureOf(
  instance: EngineInstance,
  timeoutMs: number,
): Promise<{ unreachable?: string } | undefined> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    await instance.ping(signal)
    return undefined
  } catch (error) {
    // One that has ended says so by its exit; one that lives, and to which no way leads, says nothing.
    if (signal.aborted) return {}
    return { unreachable: `it cannot be reached: ${error instanceof Error ? error.message : error}` }
  }
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`
}
