import { type AdmissionLimits, priorityClasses, type Refusal, type Ticket } from './contract.ts'
import { impliedDeadlineMs } from './state.ts'

let nextId = 1

/** A ticket of no special kind. */
export function ticketOf(given: Partial<Ticket> = {}): Ticket {
  return {
    id: nextId++,
    group: 'llama/4096',
    model: 'llama',
    tenant: 'ada',
    priority: 'default',
    arrivedMs: 0,
    promptTokens: 100,
    outputTokens: 50,
    ...given,
  }
}

interface PlainTenant {
  counter: number
  weight: number
}

/** The rules of the queue in their plainest form: one list, sorted and searched as a whole at every question. */
export class PlainQueue {
  readonly limits: AdmissionLimits
  tickets: Ticket[] = []
  readonly tenants = new Map<string, PlainTenant>()
  lastToLeave: PlainTenant | undefined

  constructor(limits: AdmissionLimits) {
    this.limits = limits
  }

  offer(ticket: Ticket, nowMs: number): Refusal[] {
    const refusals = this.expire(nowMs)
    if (ticket.deadlineMs !== undefined && ticket.deadlineMs <= nowMs) {
      return [...refusals, { ticket, reason: 'deadline' }]
    }
    const alike = this.tickets.filter(
      ({ model, priority }) => model === ticket.model && priority === ticket.priority,
    )
    const classFull =
      alike.length >= (this.limits.maxWaitingByClass?.[ticket.priority] ?? Number.POSITIVE_INFINITY)
    if (classFull || this.tickets.length >= this.limits.maxWaiting) {
      const goes = this.whoGivesWay(classFull ? alike : this.tickets, ticket)
      if (!goes) return [...refusals, { ticket, reason: classFull ? 'class_full' : 'queue_full' }]
      this.take(goes.id)
      refusals.push({ ticket: goes, reason: 'crowded_out' })
    }
    const tenant = this.tenantOf(ticket.tenant)
    if (this.tickets.every((other) => other.tenant !== ticket.tenant)) {
      tenant.counter = Math.max(tenant.counter, this.level())
    }
    this.tickets.push(ticket)
    return refusals
  }

  /** The ticket, which is in the queue no longer. */
  take(id: number): Ticket | undefined {
    const ticket = this.tickets.find((other) => other.id === id)
    if (!ticket) return undefined
    this.tickets = this.tickets.filter((other) => other !== ticket)
    if (this.tickets.every((other) => other.tenant !== ticket.tenant)) {
      this.lastToLeave = this.tenantOf(ticket.tenant)
    }
    return ticket
  }

  start(id: number): void {
    const ticket = this.take(id)
    if (!ticket) throw new Error(`no ticket ${id}`)
    const tenant = this.tenantOf(ticket.tenant)
    tenant.counter += ticket.promptTokens / tenant.weight
  }

  charge(name: string, tokens: number): void {
    const tenant = this.tenantOf(name)
    tenant.counter += (tokens > 0 ? tokens * this.limits.outputWeight : tokens) / tenant.weight
  }

  expire(nowMs: number): Refusal[] {
    const due = this.tickets.filter(({ deadlineMs }) => deadlineMs !== undefined && deadlineMs <= nowMs)
    due.sort((a, b) => (a.deadlineMs ?? 0) - (b.deadlineMs ?? 0) || a.arrivedMs - b.arrivedMs || a.id - b.id)
    for (const { id } of due) this.take(id)
    return due.map((ticket) => ({ ticket, reason: 'deadline' }))
  }

  order(group: string, nowMs: number): Ticket[] {
    return this.places(group, nowMs).map(({ ticket }) => ticket)
  }

  groups(nowMs: number): string[] {
    const names = [...new Set(this.tickets.map(({ group }) => group))]
    const firsts = names.flatMap((group) => this.places(group, nowMs).slice(0, 1))
    return firsts.sort(byPlace).map(({ ticket }) => ticket.group)
  }

  nextChangeMs(nowMs: number): number {
    const times = this.tickets.flatMap((ticket) => [
      ticket.deadlineMs ?? Number.POSITIVE_INFINITY,
      ...this.risesOf(ticket).filter((ms) => ms > nowMs),
    ])
    return Math.max(nowMs, Math.min(...times))
  }

  private places(group: string, nowMs: number): Place[] {
    const all = this.tickets
      .filter((ticket) => ticket.group === group)
      .map((ticket) => ({ ticket, rank: this.rankOf(ticket, nowMs), counter: 0 }))
      .sort((a, b) => a.rank - b.rank || byDeadlineAndArrival(a.ticket, b.ticket))
    const ahead = new Map<string, number>()
    for (const place of all) {
      const { tenant, promptTokens, outputTokens } = place.ticket
      const tokens = ahead.get(tenant) ?? 0
      place.counter = this.tenantOf(tenant).counter + tokens / this.tenantOf(tenant).weight
      ahead.set(tenant, tokens + Math.round(promptTokens + outputTokens * this.limits.outputWeight))
    }
    return all.sort(byPlace)
  }

  private risesOf({ arrivedMs, priority }: Ticket): number[] {
    const classes = priorityClasses.indexOf(priority)
    return [1, 2, 3]
      .slice(0, classes)
      .map((times) => arrivedMs + times * this.limits.promoteAfterMs[priority])
  }

  private rankOf(ticket: Ticket, nowMs: number): number {
    const risen = this.risesOf(ticket).filter((ms) => ms <= nowMs).length
    return priorityClasses.indexOf(ticket.priority) - risen
  }

  private whoGivesWay(crowd: readonly Ticket[], newcomer: Ticket): Ticket | undefined {
    const rank = ({ priority }: Ticket) => priorityClasses.indexOf(priority)
    const share = (name: string, more = 0) =>
      (crowd.filter(({ tenant }) => tenant === name).length + more) / this.weightOf(name)
    const leastPatient = crowd.toSorted(
      (a, b) => rank(b) - rank(a) || b.arrivedMs - a.arrivedMs || b.id - a.id,
    )
    const most = Math.max(...crowd.map(({ tenant }) => share(tenant)))
    const theirs = leastPatient.find(({ tenant }) => share(tenant) === most)
    const own = leastPatient.find(({ tenant }) => tenant === newcomer.tenant)
    const then = share(newcomer.tenant, 1)
    if (theirs && (then < most || (then === most && rank(theirs) > rank(newcomer)))) return theirs
    return own && rank(own) > rank(newcomer) ? own : undefined
  }

  private level(): number {
    const counters = this.tickets.map(({ tenant }) => this.tenantOf(tenant).counter)
    return counters.length > 0 ? Math.min(...counters) : (this.lastToLeave?.counter ?? 0)
  }

  private tenantOf(name: string): PlainTenant {
    const tenant = this.tenants.get(name) ?? { counter: this.level(), weight: this.weightOf(name) }
    this.tenants.set(name, tenant)
    return tenant
  }

  private weightOf(name: string): number {
    return this.limits.tenantWeights?.[name] ?? 1
  }
}

interface Place {
  ticket: Ticket
  rank: number
  counter: number
}

function byPlace(a: Place, b: Place): number {
  return a.rank - b.rank || a.counter - b.counter || byDeadlineAndArrival(a.ticket, b.ticket)
}

function byDeadlineAndArrival(a: Ticket, b: Ticket): number {
  const due = ({ deadlineMs, arrivedMs }: Ticket) => deadlineMs ?? arrivedMs + impliedDeadlineMs
  return due(a) - due(b) || a.arrivedMs - b.arrivedMs || a.id - b.id
}
