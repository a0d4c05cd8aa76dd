import { createBounds, occupy, roomFor, vacate } from './bounds.ts'
import type {
  AdmissionLimits,
  AdmissionQueue,
  PriorityClass,
  QueueReport,
  Refusal,
  Ticket,
} from './contract.ts'
import { createTenants, enter, leave, serve, weightOf } from './fairness.ts'
import { type Groups, groupsInOrder, join, part, positionOf, walk } from './lanes.ts'
import { createOrdered, firstOf, insert, remove } from './ordered.ts'
import { byArrival, checkTicket, createWaiting, rise, type Waiting } from './state.ts'

/**
 * The queue that every request passes, if only for a moment. `limits` must not change. Throws a `RangeError` for a
 * tenant's weight that is none; so do `start` for a ticket that does not wait, `offer` for one that does already or has
 * numbers that cannot be ordered, and `charge` for a number of tokens that is none.
 *
 * `charge` takes answered tokens (above 0), which weigh `outputWeight`, or prompt tokens that were in the cache (below
 * 0), which weigh 1: the two are not to be added up before. `offer` expires what is due, too. Ageing costs each ticket
 * three moves in its life at most, at the first call after it has come of age.
 *
 * At most `maxIdleTenants` tenants with nothing waiting are remembered.
 */
export function createAdmissionQueue(
  limits: AdmissionLimits,
  { maxIdleTenants = 10_000 }: { maxIdleTenants?: number } = {},
): AdmissionQueue {
  const tenants = createTenants(limits, maxIdleTenants)
  const byId = new Map<number, Waiting>()
  const groups: Groups = new Map()
  const bounds = createBounds(limits)
  const rising = createOrdered<Waiting>({ key: ({ risesAtMs }) => risesAtMs, tie: byArrival })
  const expiring = createOrdered<Waiting>({ key: deadlineOf, tie: byArrival })
  /** Counts the changes, for those who walk the queue meanwhile. */
  let version = 0

  function letIn(ticket: Ticket, nowMs: number): void {
    version++
    const waiting = createWaiting(ticket, enter(tenants, ticket.tenant), limits, nowMs)
    byId.set(ticket.id, waiting)
    join(groups, waiting)
    if (!ticket.returns) occupy(bounds, waiting)
    if (waiting.risesAtMs !== Number.POSITIVE_INFINITY) insert(rising, waiting)
    if (ticket.deadlineMs !== undefined) insert(expiring, waiting)
  }

  function letGo(waiting: Waiting): void {
    version++
    const { ticket } = waiting
    byId.delete(ticket.id)
    part(groups, waiting)
    if (!ticket.returns) vacate(bounds, waiting)
    if (waiting.risesAtMs !== Number.POSITIVE_INFINITY) remove(rising, waiting)
    if (ticket.deadlineMs !== undefined) remove(expiring, waiting)
    leave(tenants, waiting.tenant)
  }

  /** Lets a ticket in where there is room, or somebody gives way; says why not. */
  function letInOrRefuse(ticket: Ticket, nowMs: number, refusals: Refusal[]): Refusal['reason'] | undefined {
    if (ticket.deadlineMs !== undefined && ticket.deadlineMs <= nowMs) return 'deadline'
    if (ticket.returns) {
      letIn(ticket, nowMs)
      return undefined
    }
    const room = roomFor(bounds, ticket, weightOf(tenants, ticket.tenant))
    if (!room.free) return room.reason
    if (room.goes) {
      letGo(room.goes)
      refusals.push({ ticket: room.goes.ticket, reason: 'crowded_out' })
    }
    letIn(ticket, nowMs)
    return undefined
  }

  function age(nowMs: number): void {
    for (let next = firstOf(rising); next && next.risesAtMs <= nowMs; next = firstOf(rising)) {
      version++
      remove(rising, next)
      part(groups, next)
      rise(next, limits, nowMs)
      join(groups, next)
      if (next.risesAtMs !== Number.POSITIVE_INFINITY) insert(rising, next)
    }
  }

  function expire(nowMs: number): Refusal[] {
    const refusals: Refusal[] = []
    for (let next = firstOf(expiring); next && deadlineOf(next) <= nowMs; next = firstOf(expiring)) {
      letGo(next)
      refusals.push({ ticket: next.ticket, reason: 'deadline' })
    }
    return refusals
  }

  function* inOrder(groupName: string, nowMs: number): Generator<Ticket> {
    age(nowMs)
    const seen = new Set<number>()
    let walked: number
    // Whoever walks may start or withdraw what it is given: the walk goes on in the order that is then.
    do {
      walked = version
      const group = groups.get(groupName)
      for (const ticket of group ? walk(group) : []) {
        if (seen.has(ticket.id)) continue
        seen.add(ticket.id)
        yield ticket
        if (version !== walked) break
      }
    } while (version !== walked)
  }

  return {
    offer(ticket, nowMs) {
      if (byId.has(ticket.id)) throw new RangeError(`ticket ${ticket.id} waits already`)
      checkTicket(ticket)
      const refusals = expire(nowMs)
      const reason = letInOrRefuse(ticket, nowMs, refusals)
      if (reason) refusals.push({ ticket, reason })
      return refusals
    },
    withdraw(id) {
      const waiting = byId.get(id)
      if (waiting) letGo(waiting)
      return waiting !== undefined
    },
    start(id) {
      const waiting = byId.get(id)
      if (!waiting) throw new RangeError(`ticket ${id} cannot be started: it does not wait`)
      letGo(waiting)
      const { tenant, promptTokens, returns } = waiting.ticket
      serve(tenants, tenant, returns ? 0 : promptTokens, 1)
    },
    charge(tenant, tokens) {
      version++
      serve(tenants, tenant, tokens, tokens > 0 ? limits.outputWeight : 1)
    },
    expire,
    nextChangeMs(nowMs) {
      age(nowMs)
      const riseMs = firstOf(rising)?.risesAtMs ?? Number.POSITIVE_INFINITY
      const first = firstOf(expiring)
      return Math.max(nowMs, Math.min(riseMs, first ? deadlineOf(first) : Number.POSITIVE_INFINITY))
    },
    groups(nowMs) {
      age(nowMs)
      return groupsInOrder(groups)
    },
    inOrder,
    positionOf(id, nowMs) {
      age(nowMs)
      const waiting = byId.get(id)
      return waiting && positionOf(groups, waiting)
    },
    has: (id) => byId.has(id),
    get size() {
      return byId.size
    },
    report: (nowMs) => ({
      waiting: byId.size,
      byModel: reportModels(byId.values(), nowMs),
      tenants: [...tenants.byName.values()]
        .map(({ name, waiting, servedTokens, weight }) => ({ tenant: name, waiting, servedTokens, weight }))
        .sort((a, b) => b.waiting - a.waiting || b.servedTokens - a.servedTokens),
    }),
  }
}

function deadlineOf({ ticket }: Waiting): number {
  return ticket.deadlineMs ?? Number.POSITIVE_INFINITY
}

/** Most waiting first; costs the number of tickets. */
function reportModels(everybody: Iterable<Waiting>, nowMs: number): QueueReport['byModel'] {
  const byModel = new Map<string, QueueReport['byModel'][number]>()
  for (const { ticket } of everybody) {
    let row = byModel.get(ticket.model)
    if (!row) {
      row = { model: ticket.model, waiting: 0, byClass: noneByClass(), oldestMs: 0 }
      byModel.set(ticket.model, row)
    }
    row.waiting++
    row.byClass[ticket.priority]++
    row.oldestMs = Math.max(row.oldestMs, nowMs - ticket.arrivedMs)
  }
  return [...byModel.values()].sort((a, b) => b.waiting - a.waiting)
}

function noneByClass(): Record<PriorityClass, number> {
  return { system: 0, interactive: 0, default: 0, bulk: 0 }
}
