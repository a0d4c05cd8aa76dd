import { DroverError } from '../../inference/index.ts'
import type { Refusal } from '../admission/index.ts'
import type { Decision } from '../dispatch/index.ts'
import type { LoadWish, Waiter } from './state.ts'

/** When somebody may have gone from a full queue; nobody knows it better. */
const retryAfterMs = 1_000

/** Why a request is not served, in words for its client. */
export function refusalError({ reason, ticket }: Refusal): DroverError {
  switch (reason) {
    case 'queue_full':
      return new DroverError('busy', 'server busy, please try again.  maximum pending requests exceeded', {
        retryAfterMs,
      })
    case 'class_full':
      return new DroverError(
        'rate_limited',
        `too many requests of priority "${ticket.priority}" wait for this model: please try again later`,
        { retryAfterMs },
      )
    case 'crowded_out':
      return new DroverError(
        'rate_limited',
        'the queue is full and holds more requests of yours than of others: please try again later',
        { retryAfterMs },
      )
    case 'deadline':
      return new DroverError('deadline_exceeded', 'the request waited until its deadline without a free slot')
  }
}

/** Instances of the model run, and none may take it. */
export function nowhereError({ wish }: Waiter, { excluded }: Decision): DroverError {
  const reasons = excluded.map(({ id, reason }) => `#${id}: ${reason}`).slice(0, 5)
  return new DroverError(
    'engine_unavailable',
    `no instance of "${wish.modelName}" may take the request (${reasons.join('; ')})`,
    { retryAfterMs: 1_000 },
  )
}

/** It is not tried again until `untilMs`. */
export function crashLoopError(
  wish: LoadWish,
  restart: { untilMs: number; crashes: number; reason: string },
  nowMs: number,
): DroverError {
  const seconds = Math.max(1, Math.ceil((restart.untilMs - nowMs) / 1000))
  return new DroverError(
    'crash_loop',
    `model "${wish.modelName}" keeps crashing: ${restart.crashes} times in the last 5 minutes, ` +
      `last because: ${restart.reason}. The next try is in ${seconds} s`,
  )
}
