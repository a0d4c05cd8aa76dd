import type { HealthRules } from './rules.ts'
import type { Judged, Look, Sign } from './signs.ts'

/** What is remembered of one sign on one device: since when its looks have said the same, and whether it counts. */
export interface Trace {
  shown: boolean
  /** The first and the last look of those that have said the same one after another. */
  sinceMs: number
  untilMs: number
  looks: number
  /** The sign counts: it lasted long enough, and has not been away for long enough since. */
  stands: boolean
  /** The last look that showed it. */
  lastShown?: Look
}

/**
 * A trace after one more look. A sign stands once it has been shown for `holdMs` (or as `counts` says) and
 * until looks have denied it for `recoverMs`. Looks that do not tell change nothing; `broken` (there was a silence)
 * begins the timing anew. `undefined`: nothing worth remembering.
 */
export function traced(
  trace: Trace | undefined,
  { sign, look, broken }: { sign: Sign; look: Look; broken: boolean },
  device: Judged,
  rules: HealthRules,
): Trace | undefined {
  const shown = sign.seen(look, device, rules)
  if (shown === undefined || (!shown && !trace)) return trace
  const goesOn = trace !== undefined && trace.shown === shown && !broken
  const next: Trace = {
    shown,
    sinceMs: goesOn ? trace.sinceMs : look.atMs,
    untilMs: look.atMs,
    looks: goesOn ? trace.looks + 1 : 1,
    stands: trace?.stands ?? false,
  }
  const lastShown = shown ? look : trace?.lastShown
  if (lastShown) next.lastShown = lastShown
  if (shown) {
    next.stands ||= isEnough(next, sign, rules)
    return next
  }
  // Nothing stands and nothing is being timed: as if it had never been.
  return next.stands && next.untilMs - next.sinceMs < rules.recoverMs ? next : undefined
}

function isEnough({ sinceMs, untilMs, looks }: Trace, { counts }: Sign, rules: HealthRules): boolean {
  if (counts === 'at_once') return true
  if (counts === 'repeated') return looks >= rules.errorLooks
  return untilMs - sinceMs >= rules.holdMs && looks >= rules.leastLooks
}
