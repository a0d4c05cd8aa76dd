import type { Llama, LlamaGrammar } from 'node-llama-cpp'
import { DroverError, type OutputFormat } from '../../inference/index.ts'
import { jsonObjectGrammar } from '../json-grammar.ts'
import { residualGrammar } from '../residual-grammar.ts'
import { schemaToGrammar } from './schema-grammar.ts'

export interface GrammarCache {
  /**
   * Of what may come after `begun`, a text that was generated under the format. Throws `invalid_format` for a schema
   * that no grammar can be made of, and where no text of the format begins so.
   */
  of(format: OutputFormat, begun?: string): Promise<LlamaGrammar>
}

/** Clients repeat the same few schemas. */
const cachedGrammars = 16

export function createGrammarCache(llama: Llama): GrammarCache {
  const cache = new Map<string, LlamaGrammar>()
  return {
    async of(format, begun = '') {
      if (begun !== '') return compile(llama, () => residualGrammar(textOf(format), begun))
      const key = JSON.stringify(format)
      const known = cache.get(key)
      if (known) return known
      const grammar = await compile(llama, () => textOf(format))
      const oldest = cache.keys().next().value
      if (cache.size >= cachedGrammars && oldest !== undefined) cache.delete(oldest)
      cache.set(key, grammar)
      return grammar
    },
  }
}

function textOf(format: OutputFormat): string {
  return format === 'json' ? jsonObjectGrammar : schemaToGrammar(format)
}

async function compile(llama: Llama, grammar: () => string): Promise<LlamaGrammar> {
  try {
    return await llama.createGrammar({ grammar: grammar() })
  } catch (error) {
    if (error instanceof DroverError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new DroverError('invalid_format', `invalid format: the schema gives no usable grammar: ${reason}`, {
      cause: error,
    })
  }
}
