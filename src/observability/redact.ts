/** What people and models have said to each other. */
const conversation = new Set([
  'prompt',
  'messages',
  'message',
  'content',
  'system',
  'suffix',
  'text',
  'input',
  'response',
  'thinking',
  'images',
  'context',
  'body',
])

const secret =
  /^(authorization|cookie|set-cookie|.*(secret|password|passwd|apikey|api_key|accesstoken|privatekey))$/i
const secretInText = /\b(Bearer|Basic)\s+[\w.~+/=-]+|(--api-key[ =])\S+/gi

/** Lines of a log have an end: longer texts are cut, and so are lists and deep structures. */
const longestText = 2000
const longestList = 50
const deepest = 6

/** A copy of the facts that may be written down: no conversation, no secret, nothing without bound. */
export function redact(facts: object): Record<string, unknown> {
  return redactRecord(facts, 0)
}

function redactRecord(facts: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(facts)
      .slice(0, longestList)
      .map(([name, value]) => [name, redactNamed(name, value, depth)]),
  )
}

function redactNamed(name: string, value: unknown, depth: number): unknown {
  if (secret.test(name)) return '[secret]'
  // Numbers under these names (context: 4096) give nothing away.
  if (conversation.has(name) && typeof value !== 'number') return '[omitted]'
  return redactValue(value, depth + 1)
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return redactError(value)
  if (value instanceof Date) return value
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (depth >= deepest) return '[...]'
  if (Array.isArray(value)) return value.slice(0, longestList).map((item) => redactValue(item, depth + 1))
  return redactRecord(value, depth)
}

/** An error's own message says what went wrong, which is what a log is for. */
function redactError({ name, message, stack }: Error): Record<string, unknown> {
  return { name, message: redactText(message), stack: stack === undefined ? undefined : redactText(stack) }
}

function redactText(text: string): string {
  const cut = text.length > longestText ? `${text.slice(0, longestText)}...` : text
  return cut.replace(secretInText, (_, scheme?: string, flag?: string) => `${flag ?? `${scheme} `}[secret]`)
}
