import type { Clock } from '../core/index.ts'
import type { EngineEvent } from '../engines/index.ts'
import type { Lease } from './pool/index.ts'

/** A try of an answer on one instance. */
export interface Try {
  lease: Lease
  events: AsyncIterator<EngineEvent>
  /** Has the engine stop. */
  cancel(): void
  /** It came to nothing and its slot is free: it was cancelled, or has failed, for this reason, before that. */
  stopped(failure?: { reason: unknown }): void
}

export interface HedgeOfTry {
  /** After so long without a first token a second try is due; Infinity: never. */
  delayMs: number
  /**
   * Begins it; undefined where there is no other instance, or there have been too many. The signal aborts when it is no
   * longer wanted.
   */
  second(calledOff: AbortSignal): Promise<Try | undefined>
  /** How long the first try took, or had taken when it was beaten. */
  observe(ttftMs: number, cutOff: boolean): void
}

interface Leg extends Try {
  /** Its first event that is more than progress. */
  first: Promise<IteratorResult<EngineEvent>>
  /** It failed before it said anything. */
  failure?: { reason: unknown }
}

/**
 * Runs one try, and a second one beside it if that is late with its first token: whoever speaks first goes on, the
 * other is cancelled. A second one that cannot be had is none. Throws what the first threw where both fail.
 */
export async function raceTries(first: Try, hedge: HedgeOfTry, clock: Clock): Promise<Try> {
  const startedAtMs = clock.monotonicMs()
  const leg = legOf(first)
  const calm = new AbortController()
  const late = clock.sleep(hedge.delayMs, calm.signal).then(
    () => true,
    () => false,
  )
  const spoke = leg.first.then(
    () => hedge.observe(clock.monotonicMs() - startedAtMs, false),
    () => undefined,
  )
  const isLate = await Promise.race([spoke, late])
  calm.abort()
  const rival = isLate ? await unlessSooner(spoke, hedge) : undefined
  if (!rival) return resumed(leg)
  const other = legOf(rival)
  const winner = await Promise.any([leg, other].map((one) => one.first.then(() => one))).catch(() => leg)
  if (winner !== leg && !leg.failure) hedge.observe(clock.monotonicMs() - startedAtMs, true)
  void giveUp(winner === leg ? other : leg)
  return resumed(winner)
}

/** A second try, unless the first one is done waiting before there is a slot for it. */
async function unlessSooner(spoke: Promise<void>, { second }: HedgeOfTry): Promise<Try | undefined> {
  const calledOff = new AbortController()
  // A second try that cannot be made is none: the first one goes on.
  const rival = second(calledOff.signal).catch(() => undefined)
  const sooner = await Promise.race([rival, spoke.then(() => 'first' as const)])
  if (sooner !== 'first') return sooner
  calledOff.abort()
  return rival
}

/** The engine may say something yet, or end it by an error: the answer is another's. */
async function giveUp(leg: Leg): Promise<void> {
  const { failure } = leg
  leg.cancel()
  const ended = leg.first.then(() => leg.events.return?.())
  await Promise.allSettled([ended])
  leg.stopped(failure)
}

function legOf(one: Try): Leg {
  const leg: Leg = { ...one, first: toFirstWord(one.events) }
  leg.first.catch((reason) => {
    leg.failure = { reason }
  })
  return leg
}

async function toFirstWord(events: AsyncIterator<EngineEvent>): Promise<IteratorResult<EngineEvent>> {
  for (;;) {
    const next = await events.next()
    if (next.done || next.value.type !== 'progress') return next
  }
}

/** The try with its first event put back. */
function resumed({ lease, cancel, stopped, first, events }: Leg): Try {
  async function* whole(): AsyncGenerator<EngineEvent> {
    try {
      const opening = await first
      if (opening.done) return
      yield opening.value
      yield* { [Symbol.asyncIterator]: () => events }
    } finally {
      // Whoever reads no further than the first event ends the engine's answer, too.
      await events.return?.()
    }
  }
  return { lease, cancel, stopped, events: whole() }
}
