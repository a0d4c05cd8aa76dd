/** What a decision knows of a request. Tokens are estimates until an engine has counted them. */
export interface RouteRequest {
  promptTokens: number
  /** What it will probably generate. */
  outputTokens: number
  /** Tokens of prompt and answer together that an instance's context has to hold; absent where any will do. */
  contextTokens?: number
  /** Requests of one conversation share it, where a client names it. */
  session?: string
  tenant: string
  /** When the first token is wanted at the latest, on the clock of `nowMs`. */
  deadlineMs?: number
  needs?: Needs
}

/** What a request asks of an instance beyond its model; an instance that lacks it is no candidate. */
export interface Needs {
  precision?: Precision
  capabilities?: readonly string[]
  /** Every one of these has to be among the instance's labels, with this value. */
  labels?: Readonly<Record<string, string>>
  /** Devices (or instances, as `#id`) that it may run on; absent or empty: all. */
  pins?: readonly string[]
  maxWatts?: number
  /** Of the instance's own price, in the unit of the configuration. */
  maxCostPerMillionTokens?: number
}

export type Precision = 'fp16' | 'bf16' | 'fp32'

/** What an instance is, besides what it does; it does not change while the instance lives. */
export interface InstanceTraits {
  id: number
  deviceIds: readonly string[]
  slots: number
  /** Tokens of one slot. */
  contextLength: number
  /** Tokens that all its sequences may hold together. */
  kvTokens: number
  /** Relative capacity, 1 for the ordinary; what an operator gives more of. */
  weight: number
  /** What its devices draw at work; absent where nobody knows. */
  watts?: number | undefined
  costPerMillionTokens?: number | undefined
  precisions?: readonly Precision[] | undefined
  capabilities?: readonly string[] | undefined
  labels?: Readonly<Record<string, string>> | undefined
  /** Only its own requests may use it; absent: everybody's. */
  tenants?: readonly string[] | undefined
}

/** How fast an instance is, as learnt, or guessed where nothing is learnt. */
export interface Rates {
  prefillTokensPerS: number
  /** Milliseconds of a decoding step: `decodeBaseMs + decodePerRequestMs * batch`. */
  decodeBaseMs: number
  decodePerRequestMs: number
  /** From launch until it takes requests. */
  loadMs: number
  /** `guess`: nothing has been measured yet. */
  source: 'measured' | 'alike' | 'guess'
}

/** What an instance is doing at this moment, by the gateway's own books. */
export interface InstanceWork {
  /** Requests in its slots. */
  running: number
  /** Of them, those whose first token has not come. */
  prefilling: number
  /** Prompt tokens yet to be computed for those. */
  prefillTokens: number
  /** Tokens that its running requests hold in the KV cache. */
  activeTokens: number
  /** Until a slot is free for one more; 0 where one is. */
  slotWaitMs: number
  /** Milliseconds until it takes requests at all; 0 once it is loaded. */
  loadingMs: number
  /** The number of the last decision that chose it, 0 for never: who was served longest ago has the smallest. */
  lastChosen: number
  /** Decisions that have chosen it. */
  chosen: number
  /** Of a session: the last time one of its requests went here, or absent. */
  sessionAtMs?: number
}

/** An instance as one request sees it. */
export interface Candidate extends InstanceTraits, InstanceWork {
  rates: Rates
  /** From 0 (unusable) to 1: what the health checks and its last answers say. */
  health: number
  /** Leading tokens of this request's prompt that its cache probably holds. */
  cachedTokens: number
  /** Part of `cachedTokens` it would first have to take from disk, and the time of that; absent: none. */
  restoreMs?: number
  /** Round trip to it; 0 on this machine. */
  networkMs: number
}

/** One candidate's place in a decision. `score`: the smaller the better, in `unit`. */
export interface Ranked {
  candidate: Candidate
  score: number
  /** What the score is made of, by name, for people; milliseconds where the unit is milliseconds. */
  terms: Readonly<Record<string, number>>
}

/** What a policy may use besides request and candidates. */
export interface PolicyContext {
  nowMs: number
  /** From 0 up to and without 1; seeded in tests and simulations. */
  random: () => number
  /** Means of all instances that could be candidates, where only some are; absent: those of the candidates. */
  fleet?: { running: number; prefilling: number }
}

/** Ranks candidates, best first. Pure; never returns one that it was not given, and never the same twice. */
export interface Policy {
  readonly name: PolicyName
  /** In one sentence, for `explain` and the documentation. */
  readonly about: string
  readonly unit: 'ms' | 'points'
  rank(request: RouteRequest, candidates: readonly Candidate[], context: PolicyContext): Ranked[]
}

export const policyNames = [
  'predicted_finish',
  'round_robin',
  'weighted_round_robin',
  'least_loaded',
  'least_effective_load',
  'power_of_two',
  'locality',
  'prefix',
  'kv_cost',
  'latency_target',
  'power_aware',
  'performance_aware',
] as const

export type PolicyName = (typeof policyNames)[number]
