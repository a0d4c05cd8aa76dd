import { asDroverError, DroverError } from '../../inference/index.ts'
import { type AdmissionQueue, createComebacks, waitEstimateMs } from '../admission/index.ts'
import type { Dispatcher } from '../dispatch/index.ts'
import { type LifecycleState, type LoadWish, type RequestTraits, request } from '../lifecycle/index.ts'

/** Where requests come in. */
export interface Entrance {
  /** Queues a request; its number is returned. A refusal says when it may be worth to come again. */
  letIn(wish: LoadWish, traits: RequestTraits, nowMs: number): number
  /** How long the request at this place will probably wait; undefined while nothing of its model runs. */
  estimateOf(key: string, position: number, nowMs: number): number | undefined
}

export function createEntrance(
  state: LifecycleState,
  queue: AdmissionQueue,
  dispatcher: Pick<Dispatcher, 'serviceOf'>,
): Entrance {
  const comebacks = createComebacks()
  return {
    letIn(wish, traits, nowMs) {
      try {
        return request(state, wish, traits, nowMs)
      } catch (thrown) {
        const error = asDroverError(thrown)
        const service = dispatcher.serviceOf(wish.key, nowMs)
        if (error.retryAfterMs === undefined || !service) throw thrown
        // Half of the queue has been served then.
        const soonestMs = waitEstimateMs({ ...service, position: queue.size >> 1 })
        const eachMs = service.meanServiceMs / Math.max(1, service.slots)
        const retryAfterMs = comebacks.next(traits.route?.tenant ?? '', nowMs, soonestMs, eachMs)
        throw new DroverError(error.code, error.message, { retryAfterMs })
      }
    },
    estimateOf(key, position, nowMs) {
      const service = dispatcher.serviceOf(key, nowMs)
      return service && waitEstimateMs({ ...service, position })
    },
  }
}
