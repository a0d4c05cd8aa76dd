/** What became of one request of a simulation. Times are on its clock. */
export interface Measured {
  tenant: string
  promptTokens: number
  outputTokens: number
  arrivedMs: number
  /** The first place that it went to; -1 where it went nowhere. */
  instance: number
  cachedTokens: number
  firstTokenMs: number
  doneMs: number
  /** Foretold when it was sent off, from then on. */
  predicted?: { ttftMs: number; finishMs: number; cachedTokens: number; outputTokens: number }
  sentMs: number
  /** How often its instance died under it. */
  resumed: number
  /** Why it was never answered. */
  refused?: string
}

/** One simulation: a router, a workload, a seed. */
export interface Run {
  router: string
  seed: number
  requests: readonly Measured[]
  /** Share of the time, from the first arrival to the last end, in which instances computed; the mean over them. */
  utilisation: number
  /** Requests a second that were offered. */
  offeredPerS: number
}
