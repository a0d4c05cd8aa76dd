/** What `think` of a request can be. */
export type Think = boolean | string

const levels = ['high', 'medium', 'low', 'max']

/** The value of `--think`. Throws for one that there is not. */
export function parseThink(text: string): Think {
  if (text === '' || text === 'true') return true
  if (text === 'false') return false
  if (levels.includes(text)) return text
  throw new Error(
    `invalid value for --think: ${JSON.stringify(text)} (must be true, false, high, medium, low, or max)`,
  )
}
