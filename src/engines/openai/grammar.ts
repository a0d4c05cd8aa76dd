import type { OutputFormat } from '../../inference/index.ts'
import type { CompletionRequest } from '../contract.ts'
import { schemaToGrammar } from '../embedded/schema-grammar.ts'
import { jsonObjectGrammar } from '../json-grammar.ts'
import { residualGrammar } from '../residual-grammar.ts'

/**
 * For servers that take GBNF: the grammar of a request's format, or of what may still come of an answer that was begun
 * under it. Undefined without a format. Throws `invalid_format` for a schema that no grammar can be made of, and where
 * no text of the format begins as the answer did.
 */
export function grammarOf({ format, formatPrefix = '' }: CompletionRequest): string | undefined {
  if (format === undefined) return undefined
  const whole = wholeGrammar(format)
  return formatPrefix === '' ? whole : residualGrammar(whole, formatPrefix)
}

/** The same only for an answer that was begun: such servers take whole schemas as they are. */
export function remainingGrammar(request: CompletionRequest): string | undefined {
  return request.formatPrefix ? grammarOf(request) : undefined
}

function wholeGrammar(format: OutputFormat): string {
  return format === 'json' ? jsonObjectGrammar : schemaToGrammar(format)
}
