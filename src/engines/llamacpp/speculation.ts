import type { Usage } from '../../inference/index.ts'
import type { Speculation } from '../contract.ts'

/** Steps and the milliseconds that they took. */
export interface Steps {
  tokens: number
  ms: number
}

/** Fewer say nothing: a first answer is slow for other reasons. */
const leastDrafted = 192
const leastPlain = 4
/** So much slower is measured, and not chance. */
const margin = 0.03
/** What was measured long ago counts half as often as this many tokens come. */
const memoryTokens = 4096

/**
 * Whether guessing ahead is worth it, by the rates with and without. Pure. Around the same rate nothing is won, and
 * nothing is lost that a change of instances would win back.
 */
export function speculationVerdict(drafted: Steps, plain: Steps): Speculation['verdict'] {
  if (drafted.tokens < leastDrafted || plain.tokens < leastPlain) return 'unknown'
  const gain = rateOf(drafted) / rateOf(plain)
  return gain < 1 - margin ? 'loses' : 'wins'
}

/** The books of one instance. */
export interface SpeculationBook {
  /** An answer; its rate counts where nothing else ran beside it. */
  answered(usage: Usage, alone: boolean): void
  /** Steps that were taken without a guess. */
  stepped(steps: Steps): void
  figures(): Speculation
}

export function createSpeculationBook(): SpeculationBook {
  let draftTokens = 0
  let acceptedTokens = 0
  let drafted: Steps = { tokens: 0, ms: 0 }
  let plain: Steps = { tokens: 0, ms: 0 }
  return {
    answered(usage, alone) {
      draftTokens += usage.draftTokens ?? 0
      acceptedTokens += usage.draftAcceptedTokens ?? 0
      // The clock starts when the first token is there.
      if (alone && usage.outputTokens > 1) {
        drafted = sum(drafted, { tokens: usage.outputTokens - 1, ms: usage.outputMs })
      }
    },
    stepped(steps) {
      plain = sum(plain, steps)
    },
    figures: () => ({
      draftTokens,
      acceptedTokens,
      ...(drafted.tokens > 0 && { decodeTokensPerS: rateOf(drafted) }),
      ...(plain.tokens > 0 && { plainTokensPerS: rateOf(plain) }),
      verdict: speculationVerdict(drafted, plain),
    }),
  }
}

const rateOf = ({ tokens, ms }: Steps) => (tokens * 1000) / Math.max(ms, 1e-6)

function sum(so: Steps, more: Steps): Steps {
  const keep = so.tokens > memoryTokens ? 0.5 : 1
  return { tokens: so.tokens * keep + more.tokens, ms: so.ms * keep + more.ms }
}
