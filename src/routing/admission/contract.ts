/** Most urgent first. */
export const priorityClasses = ['system', 'interactive', 'default', 'bulk'] as const

export type PriorityClass = (typeof priorityClasses)[number]

/** A request that waits, as the queue sees it. */
export interface Ticket {
  id: number
  /** What it waits for: model with its load options. Tickets of one group are served by the same instances. */
  group: string
  /** Limits are by model; several groups may share one. */
  model: string
  tenant: string
  priority: PriorityClass
  arrivedMs: number
  /** Not worth starting after this; absent: for ever. */
  deadlineMs?: number
  /** What it will cost, in served tokens: prompt that has to be computed, and answer. */
  promptTokens: number
  outputTokens: number
  /**
   * It was started before, and its instance failed: it is in nobody's way, as it was let in once, and comes before all
   * classes, as its client has been reading. Its prompt is charged already.
   */
  returns?: boolean
}

export interface AdmissionLimits {
  /** Waiting requests in all. */
  maxWaiting: number
  /** Waiting requests of one model in one class; absent: no limit of its own. */
  maxWaitingByClass?: Readonly<Partial<Record<PriorityClass, number>>>
  /** After so long a ticket counts as one class higher, after twice as long as two. */
  promoteAfterMs: Readonly<Record<PriorityClass, number>>
  /** A tenant's share of what is served; 1 where nothing is said. */
  tenantWeights?: Readonly<Record<string, number>>
  /** What an output token weighs against an input token. */
  outputWeight: number
}

/** Why a request was not let in, or let go again. */
export interface Refusal {
  ticket: Ticket
  /** `crowded_out`: the queue was full, and its tenant had most in it. */
  reason: 'queue_full' | 'class_full' | 'crowded_out' | 'deadline'
}

/**
 * Who waits, and who is next: the class first (with age a ticket rises), then the tenant that has been served least
 * (virtual token counters), then the earliest deadline, then arrival. Pure state: time comes in. Every operation costs
 * at most the logarithm of what waits, times the number of tenants or groups where it says so.
 */
export interface AdmissionQueue {
  /** Lets a ticket in. What had to leave, itself perhaps, is returned. */
  offer(ticket: Ticket, nowMs: number): Refusal[]
  /** It no longer waits: it was withdrawn, or refused elsewhere. False when it did not. */
  withdraw(id: number): boolean
  /** It was started: its prompt is charged to its tenant. */
  start(id: number, nowMs: number): void
  /** So many tokens were served to a tenant beyond what `start` charged (negative: the prompt was in the cache). */
  charge(tenant: string, tokens: number): void
  /** Tickets whose deadline has passed leave. */
  expire(nowMs: number): Refusal[]
  /** When `expire` or ageing changes something next; Infinity: never. */
  nextChangeMs(nowMs: number): number
  /** The groups that have tickets, by who is next overall. */
  groups(nowMs: number): string[]
  /** A group's tickets in the order in which they are to be served, lazily. */
  inOrder(group: string, nowMs: number): Iterable<Ticket>
  /** Tickets before this one in its group; undefined when it does not wait. */
  positionOf(id: number, nowMs: number): number | undefined
  has(id: number): boolean
  readonly size: number
  /** For people and metrics. */
  report(nowMs: number): QueueReport
}

export interface QueueReport {
  waiting: number
  byModel: { model: string; waiting: number; byClass: Record<PriorityClass, number>; oldestMs: number }[]
  tenants: { tenant: string; waiting: number; servedTokens: number; weight: number }[]
}
