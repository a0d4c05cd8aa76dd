/**
 * The bounds of the queue, and who gives way when it is full. Room is shared between tenants before classes: the
 * tenant with most waiting (by its weight) gives way to one that has fewer even with the newcomer, so that no flood
 * keeps another tenant out, of whatever class it is. The class decides between tenants with equally many, and within
 * one tenant. Who leaves is the newest of the lowest class: it has waited least.
 */
import { type AdmissionLimits, priorityClasses, type Refusal, type Ticket } from './contract.ts'
import { createOrdered, insert, lastOf, type Ordered, remove, sizeOf } from './ordered.ts'
import { byArrival, type Tenant, type Waiting } from './state.ts'

/** Everybody who waits, and those of one model and class where that has a limit of its own. */
export interface Bounds {
  limits: AdmissionLimits
  everybody: Crowd
  byModelAndClass: Map<string, Crowd>
}

/** Whether a newcomer may wait, and who has to leave first. */
export type Room =
  | { free: true; goes?: Waiting }
  | { free: false; reason: Extract<Refusal['reason'], 'queue_full' | 'class_full'> }

export function createBounds(limits: AdmissionLimits): Bounds {
  return { limits, everybody: createCrowd(), byModelAndClass: new Map() }
}

/** The room there is for a ticket of a tenant of this weight. One who leaves makes room in both crowds. */
export function roomFor(
  { limits, everybody, byModelAndClass }: Bounds,
  ticket: Ticket,
  weight: number,
): Room {
  const classLimit = limits.maxWaitingByClass?.[ticket.priority] ?? Number.POSITIVE_INFINITY
  const alike = byModelAndClass.get(keyOf(ticket))
  if ((alike?.size ?? 0) >= classLimit) {
    const goes = alike && whoGivesWay(alike, ticket, weight)
    return goes ? { free: true, goes } : { free: false, reason: 'class_full' }
  }
  if (everybody.size < limits.maxWaiting) return { free: true }
  const goes = whoGivesWay(everybody, ticket, weight)
  return goes ? { free: true, goes } : { free: false, reason: 'queue_full' }
}

export function occupy({ limits, everybody, byModelAndClass }: Bounds, waiting: Waiting): void {
  addTo(everybody, waiting)
  if (limits.maxWaitingByClass?.[waiting.ticket.priority] === undefined) return
  const key = keyOf(waiting.ticket)
  const alike = byModelAndClass.get(key) ?? createCrowd()
  byModelAndClass.set(key, alike)
  addTo(alike, waiting)
}

export function vacate({ everybody, byModelAndClass }: Bounds, waiting: Waiting): void {
  takeFrom(everybody, waiting)
  const key = keyOf(waiting.ticket)
  const alike = byModelAndClass.get(key)
  if (!alike) return
  takeFrom(alike, waiting)
  if (alike.size === 0) byModelAndClass.delete(key)
}

function keyOf({ priority, model }: Ticket): string {
  return `${priority} ${model}`
}

/** One tenant's tickets in a crowd; never empty. */
interface Holding {
  tenant: Tenant
  /** The last one is the first to give way. */
  tickets: Ordered<Waiting>
  last: Waiting
}

interface Crowd {
  size: number
  byTenant: Map<string, Holding>
  /** The last one is the first to give way. */
  holdings: Ordered<Holding>
}

function createCrowd(): Crowd {
  return { size: 0, byTenant: new Map(), holdings: createOrdered(shareOrder) }
}

function addTo(crowd: Crowd, waiting: Waiting): void {
  const { tenant } = waiting
  crowd.size++
  let holding = crowd.byTenant.get(tenant.name)
  if (holding) {
    remove(crowd.holdings, holding)
  } else {
    holding = { tenant, tickets: createOrdered(patienceOrder), last: waiting }
    crowd.byTenant.set(tenant.name, holding)
  }
  insert(holding.tickets, waiting)
  holding.last = lastOf(holding.tickets) ?? waiting
  insert(crowd.holdings, holding)
}

function takeFrom(crowd: Crowd, waiting: Waiting): void {
  const holding = crowd.byTenant.get(waiting.tenant.name)
  if (!holding) throw new RangeError(`ticket ${waiting.ticket.id} is not in this crowd`)
  crowd.size--
  remove(crowd.holdings, holding)
  remove(holding.tickets, waiting)
  const last = lastOf(holding.tickets)
  if (last) {
    holding.last = last
    insert(crowd.holdings, holding)
  } else {
    crowd.byTenant.delete(waiting.tenant.name)
  }
}

/** Who has to leave for a newcomer of a tenant of this weight; undefined: nobody does, it has to stay out. */
function whoGivesWay(crowd: Crowd, newcomer: Ticket, weight: number): Waiting | undefined {
  const baseRank = priorityClasses.indexOf(newcomer.priority)
  const most = lastOf(crowd.holdings)
  if (!most) return undefined
  const own = crowd.byTenant.get(newcomer.tenant)
  const shareThen = (1 + (own ? sizeOf(own.tickets) : 0)) / weight
  const yields = ({ last }: Holding) => last.baseRank > baseRank
  if (shareThen < shareOf(most) || (shareThen === shareOf(most) && yields(most))) return most.last
  return own && yields(own) ? own.last : undefined
}

function shareOf({ tickets, tenant }: Holding): number {
  return sizeOf(tickets) / tenant.weight
}

const shareOrder = {
  key: shareOf,
  tie: (a: Holding, b: Holding) => a.last.baseRank - b.last.baseRank || byArrival(a.last, b.last),
}

/** Longer than any time that a clock shows. */
const eraMs = 2 ** 45

/** The class, then the arrival. */
const patienceOrder = {
  key: ({ baseRank, ticket }: Waiting) => baseRank * eraMs + ticket.arrivedMs,
  tie: byArrival,
}
