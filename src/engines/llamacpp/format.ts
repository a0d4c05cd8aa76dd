import { DroverError } from '../../inference/index.ts'
import type { CompletionRequest } from '../contract.ts'
import { jsonObjectGrammar } from '../json-grammar.ts'
import { residualGrammar } from '../residual-grammar.ts'
import type { ServerClient } from './client.ts'
import { grammarField } from './completion.ts'

/** Clients repeat the same few schemas. */
const cachedGrammars = 16

/** Bodies of requests whose answers were begun under a format elsewhere. */
export interface FormatContinuation {
  /**
   * The request's own body where nothing was begun, else one with a grammar of what may still come. The server tells
   * the grammar that it makes of a schema only at the end of an answer; so the prompt is computed first for an answer
   * of no length, and then found in the cache. Throws `invalid_format`, or `unsupported` of a server that tells none.
   */
  bodyOf(
    request: CompletionRequest,
    body: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<Record<string, unknown>>
}

export function createFormatContinuation(client: ServerClient): FormatContinuation {
  const cache = new Map<string, string>()

  async function serverGrammar(body: Record<string, unknown>, signal: AbortSignal): Promise<string> {
    const key = JSON.stringify(body['json_schema'])
    const known = cache.get(key)
    if (known !== undefined) return known
    const question = { ...body, stream: false, n_predict: 0, response_fields: [grammarField] }
    const answer = (await client.json('POST', '/completion', question, signal)) as Record<string, unknown>
    const grammar = answer[grammarField]
    if (typeof grammar !== 'string' || grammar === '') {
      throw new DroverError(
        'unsupported',
        'this llama-server does not tell the grammar of a schema, so an answer under one cannot be continued: update it',
      )
    }
    const oldest = cache.keys().next().value
    if (cache.size >= cachedGrammars && oldest !== undefined) cache.delete(oldest)
    cache.set(key, grammar)
    return grammar
  }

  return {
    async bodyOf({ format, formatPrefix = '' }, body, signal) {
      if (format === undefined || formatPrefix === '') return body
      const grammar = format === 'json' ? jsonObjectGrammar : await serverGrammar(body, signal)
      const { json_schema: _, ...others } = body
      return { ...others, grammar: residualGrammar(grammar, formatPrefix) }
    },
  }
}
