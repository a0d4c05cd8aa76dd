import type { PriorityClass } from '../admission/contract.ts'

export interface HedgeOptions {
  /** Off by default: a second try costs a second prompt. */
  enabled: boolean
  /** A request that has waited longer for its first token than this share of them is late. */
  quantile: number
  /** Second tries per request, of all models together. */
  maxShare: number
  /** Classes whose requests are worth it. */
  classes: readonly PriorityClass[]
}

/**
 * When a second instance is asked for the same answer, the first token of either to win and the other to be cancelled.
 * Pure state: the caller holds the timer.
 */
export interface Hedger {
  /** A request came for the first time: it earns its share of a second try. */
  arrived(): void
  /**
   * Milliseconds after dispatch at which a second try is due if no token has come; undefined: none is wanted for this
   * class, or too little is known of this model.
   */
  delayMs(model: string, priority: PriorityClass): number | undefined
  /** Takes a second try from the share, now that one is due; false: there have been too many. */
  start(): boolean
  /**
   * How long a first try waited for its first token. `cutOff`: it was cancelled then, the second try having won, and
   * would have waited longer still.
   */
  observe(model: string, ttftMs: number, cutOff?: boolean): void
}
