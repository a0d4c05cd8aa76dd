import { type AdmissionLimits, priorityClasses, type Ticket } from './contract.ts'
import type { Ordered } from './ordered.ts'

/** A ticket in the queue. */
export interface Waiting {
  ticket: Ticket
  tenant: Tenant
  /** Index of its class in `priorityClasses`, as it came. */
  baseRank: number
  /** Index of the class that it counts as by now: it falls with age. */
  rank: number
  /** When it rises next; Infinity: never. */
  risesAtMs: number
  /** The deadline it is ordered by. */
  dueMs: number
  /** Virtual tokens that it is expected to cost, before its tenant's weight. A whole number. */
  cost: number
}

/** Who requests come from, with the virtual tokens it has been served. */
export interface Tenant {
  name: string
  weight: number
  /** Served tokens by the weight of their kind, divided by the tenant's weight. */
  counter: number
  /** Plain tokens. */
  servedTokens: number
  waiting: number
  /** Where it has tickets. */
  lanes: Set<Lane>
}

/** One tenant's tickets that count as one class in one group, by deadline and arrival; never empty. */
export interface Lane {
  group: Group
  rank: number
  tenant: Tenant
  tickets: Ordered<Waiting>
  head: Waiting
}

/** Everybody who waits for the same instances. */
export interface Group {
  name: string
  /** By class. */
  ranks: readonly GroupRank[]
}

export interface GroupRank {
  waiting: number
  byTenant: Map<Tenant, Lane>
  /** By who is served first. */
  lanes: Ordered<Lane>
}

/**
 * A ticket without a deadline is ordered as if it had one this long after its arrival; it never expires. Else those of
 * its own tenant that have one would go before it for ever. Longer than any class takes to rise to the top.
 */
export const impliedDeadlineMs = 600_000

export function byArrival(a: Waiting, b: Waiting): number {
  return a.ticket.arrivedMs - b.ticket.arrivedMs || a.ticket.id - b.ticket.id
}

/** Earliest deadline, then arrival. */
export function byDue(a: Waiting, b: Waiting): number {
  return a.dueMs - b.dueMs || byArrival(a, b)
}

/** A ticket that has come, with the class it counts as at `nowMs`. */
export function createWaiting(
  ticket: Ticket,
  tenant: Tenant,
  limits: AdmissionLimits,
  nowMs: number,
): Waiting {
  const baseRank = ticket.returns ? 0 : priorityClasses.indexOf(ticket.priority)
  const waiting: Waiting = {
    ticket,
    tenant,
    baseRank,
    rank: baseRank,
    risesAtMs: Number.POSITIVE_INFINITY,
    dueMs: ticket.deadlineMs ?? ticket.arrivedMs + impliedDeadlineMs,
    cost: Math.round(ticket.promptTokens + limits.outputWeight * ticket.outputTokens),
  }
  rise(waiting, limits, nowMs)
  return waiting
}

/** Brings `rank` and `risesAtMs` up to `nowMs`. */
export function rise(waiting: Waiting, limits: AdmissionLimits, nowMs: number): void {
  const { ticket, baseRank } = waiting
  const everyMs = limits.promoteAfterMs[ticket.priority]
  const risesAt = () => ticket.arrivedMs + (baseRank - waiting.rank + 1) * everyMs
  while (waiting.rank > 0 && risesAt() <= nowMs) waiting.rank--
  waiting.risesAtMs = waiting.rank > 0 ? risesAt() : Number.POSITIVE_INFINITY
}

/** Throws for a ticket with numbers that cannot be ordered. */
export function checkTicket({ id, promptTokens, outputTokens, arrivedMs, deadlineMs }: Ticket): void {
  if (![promptTokens, outputTokens].every((tokens) => tokens >= 0 && tokens < Number.POSITIVE_INFINITY)) {
    throw new RangeError(
      `ticket ${id} has ${promptTokens} prompt tokens and ${outputTokens} output tokens: both must be finite and 0 or more`,
    )
  }
  if (Number.isFinite(arrivedMs) && (deadlineMs === undefined || Number.isFinite(deadlineMs))) return
  throw new RangeError(
    `ticket ${id} arrived at ${arrivedMs} ms with the deadline ${deadlineMs}: a time must be finite, no deadline is left out`,
  )
}
