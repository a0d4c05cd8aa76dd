import type { Llama, LlamaGrammar } from 'node-llama-cpp'
import { DroverError, type OutputFormat } from '../../inference/index.ts'
import { jsonObjectGrammar } from '../json-grammar.ts'
import { schemaToGrammar } from './schema-grammar.ts'

export interface GrammarCache {
  /** Throws `invalid_format` for a schema that no grammar can be made of. */
  of(format: OutputFormat): Promise<LlamaGrammar>
}

/** Clients repeat the same few schemas. */
const cachedGrammars = 16

export function createGrammarCache(llama: Llama): GrammarCache {
  const cache = new Map<string, LlamaGrammar>()
  return {
    async of(format) {
      const key = JSON.stringify(format)
      const known = cache.get(key)
      if (known) return known
      const grammar = await compile(llama, format)
      const oldest = cache.keys().next().value
      if (cache.size >= cachedGrammars && oldest !== undefined) cache.delete(oldest)
      cache.set(key, grammar)
      return grammar
    },
  }
}

async function compile(llama: Llama, format: OutputFormat): Promise<LlamaGrammar> {
  try {
    return await llama.createGrammar({
      grammar: format === 'json' ? jsonObjectGrammar : schemaToGrammar(format),
    })
  } catch (error) {
    if (error instanceof DroverError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new DroverError('invalid_format', `invalid format: the schema gives no usable grammar: ${reason}`, {
      cause: error,
    })
  }
}
