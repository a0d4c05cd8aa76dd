import type { Decision, DispatchRequest } from '../dispatch/index.ts'
import type { Lease, PoolOptions } from './contract.ts'

/** Served tokens are told to the queue in such portions. */
const chargeEveryTokens = 64

/** A slot that was granted, and what has to be known to give it back. */
interface Granted extends Pick<Lease, 'entryId' | 'instance' | 'queued' | 'leaving'> {
  waiterId: number
  decision?: Decision
  request: DispatchRequest
  released(completed: boolean): void
}

/** A hold on an instance that keeps the books of who does what, and tells tenants' tokens to the queue. */
export function createLease(
  { entryId, instance, waiterId, decision, request, queued, leaving, released }: Granted,
  {
    dispatcher,
    queue,
    clock,
    conversations,
  }: Pick<PoolOptions, 'dispatcher' | 'queue' | 'clock' | 'conversations'>,
): Lease {
  if (decision) dispatcher.started(request, entryId, decision, clock.now())
  let over = false
  let uncharged = 0
  const charge = () => {
    queue.charge(request.tenant, uncharged)
    uncharged = 0
  }
  return {
    entryId,
    instance,
    ...(decision && { decision }),
    queued,
    leaving,
    firstToken: () => dispatcher.firstToken(waiterId, clock.now()),
    tokens: (count) => {
      dispatcher.tokens(waiterId, count)
      uncharged += count
      if (uncharged >= chargeEveryTokens) charge()
    },
    cacheShrunk: (keptTokens) => {
      if (request.blocks) dispatcher.cacheShrunk(entryId, request.blocks, keptTokens, clock.now())
    },
    release: (end = { outcome: 'withdrawn' }) => {
      if (over) return
      over = true
      if (uncharged > 0) charge()
      const { usage, conversation } = end
      // What was found in the cache was charged at the start, and cost nothing.
      if (usage) {
        const computed = usage.promptTokens - usage.cachedTokens
        queue.charge(request.tenant, Math.min(0, computed - request.promptTokens))
      }
      if (conversation) conversations?.note(entryId, conversation, instance)
      dispatcher.ended(waiterId, end, clock.now())
      released(end.outcome === 'answered')
    },
  }
}
