import { DecodeError } from './errors.ts'
import { nestsTooDeep, scanJson } from './scan.ts'
import { decodeValue, type Schema } from './schema.ts'

/**
 * Decodes a request body as Go's `json.Decoder` does: the first JSON value, whatever follows it; a fast path through
 * `JSON.parse`, and Go's own scanner only for what that refuses.
 * Throws `DecodeError` in Go's words; an empty body is `missing request body`, as Ollama says it.
 */
export function decodeJson<T>(body: Buffer, schema: Schema<T>): T | undefined {
  return decodeValue(schema, parseFirstValue(body))
}

function parseFirstValue(body: Buffer): unknown {
  const whole = tryParse(body)
  if (whole) return whole.value
  const scanned = scanJson(body)
  if ('error' in scanned) {
    throw new DecodeError(scanned.error === 'EOF' ? 'missing request body' : scanned.error)
  }
  return JSON.parse(body.toString('utf8', 0, scanned.end))
}

function tryParse(body: Buffer): { value: unknown } | undefined {
  if (nestsTooDeep(body)) return undefined
  try {
    return { value: JSON.parse(body.toString('utf8')) }
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
