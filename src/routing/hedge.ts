import type { Clock } from '../core/index.ts'
import type { EngineEvent } from '../engines/index.ts'
import type { Lease } from './pool/index.ts'

/** A try of an answer on one instance. */
export interface Try {
  lease: Lease
  events: AsyncIterator<EngineEvent>
  /** Ends it, and frees its slot. */
  cancel(): void
}

export interface HedgeOfTry {
  /** After so long without a first token a second try is due; Infinity: never. */
  delayMs: number
  /** Begins it; undefined where there is no other instance, or there have been too many. */
  second(): Promise<Try | undefined>
  /** How long the first try took, or had taken when it was beaten. */
  observe(ttftMs: number, cutOff: boolean): void
}

interface Leg extends Try {
  /** Its first event that is more than progress. */
  first: Promise<IteratorResult<EngineEvent>>
}

/**
 * Runs one try, and a second one beside it if that is late with its first token: whoever speaks first goes on, the
 * other is cancelled. Throws what the last of them threw.
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
  const rival = isLate ? await hedge.second() : undefined
  if (!rival) return resumed(leg)
  const other = legOf(rival)
  const winner = await Promise.any([leg, other].map((one) => one.first.then(() => one))).catch(() => leg)
  const loser = winner === leg ? other : leg
  loser.cancel()
  loser.first.then(discard, discard)
  if (winner !== leg) hedge.observe(clock.monotonicMs() - startedAtMs, true)
  return resumed(winner)
}

function discard(): void {
  // Whatever the slower one may yet say or throw: the answer is another's.
}

function legOf(one: Try): Leg {
  return { ...one, first: toFirstWord(one.events) }
}

async function toFirstWord(events: AsyncIterator<EngineEvent>): Promise<IteratorResult<EngineEvent>> {
  for (;;) {
    const next = await events.next()
    if (next.done || next.value.type !== 'progress') return next
  }
}

/** The try with its first event put back. */
function resumed({ lease, cancel, first, events }: Leg): Try {
  async function* whole(): AsyncGenerator<EngineEvent> {
    const opening = await first
    if (opening.done) return
    yield opening.value
    yield* { [Symbol.asyncIterator]: () => events }
  }
  return { lease, cancel, events: whole() }
}
