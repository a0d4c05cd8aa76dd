import { DroverError } from '../../inference/index.ts'
import type { Refusal } from '../admission/index.ts'

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
