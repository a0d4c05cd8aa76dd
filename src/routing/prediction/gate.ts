/** An observation farther than this factor from what was expected, in either direction, is a surprise. */
export const surpriseFactor = 1.5
/** So many surprises in a row are no outliers: the speed has changed. */
export const patience = 3

/** What to do with an observation. */
export type Verdict =
  | { verdict: 'learn' }
  | { verdict: 'wait' }
  /** What is known has to be multiplied by this: the geometric mean of the surprises. */
  | { verdict: 'changed'; factor: number }

const learn: Verdict = { verdict: 'learn' }
const wait: Verdict = { verdict: 'wait' }

/**
 * Tells outliers from a change of speed: takes observed over expected and holds a surprise back until a third one in a
 * row confirms it. So one wild sample moves nothing, and throttling is followed after three. A weak observation
 * (`witness` false) is no surprise that counts.
 */
export function createGate(): (ratio: number, witness: boolean) => Verdict {
  let surprises = 0
  let logSum = 0
  return (ratio, witness) => {
    const log = Math.log(ratio)
    if (Math.abs(log) <= Math.log(surpriseFactor)) {
      surprises = 0
      logSum = 0
      return learn
    }
    if (!witness) return wait
    surprises += 1
    logSum += log
    if (surprises < patience) return wait
    const factor = Math.exp(logSum / surprises)
    surprises = 0
    logSum = 0
    return { verdict: 'changed', factor }
  }
}
