/** The facts that a model's worth follows from. */
export interface EvictionFacts {
  /** What loading it again would take. */
  loadMs: number
  /** Since its last request ended; 0 while it runs one. */
  idleMs: number
  /** Kept for ever by request. */
  pinned: boolean
  /** Instances of the model that run, this one among them. */
  replicas: number
}

/** A model idle for so long is half as likely to be wanted soon as one just used: Ollama's default keep-alive. */
const idleHalfMs = 5 * 60_000

/**
 * What evicting a model is expected to cost, in milliseconds: the time to load it again, times the chance that it
 * is wanted soon, taken as `h / (h + idle)` and shared among its replicas. A pinned model costs infinitely much: it
 * goes only after all others.
 */
export function evictionCostMs(facts: EvictionFacts): number {
  if (facts.pinned) return Number.POSITIVE_INFINITY
  return (facts.loadMs * idleHalfMs) / (idleHalfMs + facts.idleMs) / facts.replicas
}
