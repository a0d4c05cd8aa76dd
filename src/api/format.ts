import { DroverError, type OutputFormat } from '../inference/index.ts'
import { goQuote, jsonValue } from './go-json/index.ts'

/** `null` and `""` ask for nothing. Throws `invalid_format` for what is neither `json` nor a schema object. */
export function toFormat(format: unknown): OutputFormat | undefined {
  if (format === undefined || format === null || format === '') return undefined
  if (format === 'json') return 'json'
  if (typeof format === 'object' && !Array.isArray(format)) return format as Record<string, unknown>
  const raw = goQuote(jsonValue(format))
  throw new DroverError(
    'invalid_format',
    `invalid format: ${raw}; expected "json" or a valid JSON Schema object`,
  )
}
