/** An object of a JSON text, of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>

/**
 * The JSON of a text, with what stands before and after it (a prompt, a warning) left out; undefined where there is
 * none.
 */
export function parseJson(text: string): unknown {
  const from = text.search(/[{[]/)
  const to = Math.max(text.lastIndexOf('}'), text.lastIndexOf(']'))
  if (from < 0 || to < from) return undefined
  try {
    return JSON.parse(text.slice(from, to + 1))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** The value as an object; undefined where it is none. */
export function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined
}

/** The objects in a list; empty where the value is no list. */
export function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf).filter((entry) => entry !== undefined) : []
}

/** A text or a number as text, so that both are read the same way: tools write `"4"` in one version and `4` in the next. */
export function textIn(fields: Fields | undefined, ...keys: string[]): string | undefined {
  for (const key of keys) {
    const value = fields?.[key]
    if (typeof value === 'string') return value
    if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  }
  return undefined
}

/** What a tool says in its JSON instead of an answer. */
export function errorIn(value: unknown): string | undefined {
  return textIn(fieldsOf(value), 'error')
}
