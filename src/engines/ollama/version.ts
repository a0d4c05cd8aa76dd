/** The first release that tells log-probabilities. */
const logprobsSince = [0, 12, 11]

/** Builds without a release's number (`0.0.0`, commits) are taken for new ones. */
export function knowsLogprobs(version: string): boolean {
  const numbers = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number)
  if (!numbers || numbers.every((number) => number === 0)) return true
  for (const [index, least] of logprobsSince.entries()) {
    const number = numbers[index] ?? 0
    if (number !== least) return number > least
  }
  return true
}
