import type { LlamaGrammar, LlamaModel, Token } from 'node-llama-cpp'
import { DroverError } from '../../inference/index.ts'
import type { CompletionRequest } from '../contract.ts'
import type { GrammarCache } from './grammar.ts'
import type { Vocabulary } from './vocabulary.ts'

/** A request that was found good, and what its answer needs. */
export interface Prepared {
  prompt: Token[]
  grammar: LlamaGrammar | undefined
  vocabulary: Vocabulary
  model: LlamaModel
}

/** Throws `context_exceeded` or `invalid_format`. */
export async function prepare(
  { prompt, format, formatPrefix }: CompletionRequest,
  model: LlamaModel,
  vocabulary: Vocabulary,
  grammars: GrammarCache,
  contextLength: number,
): Promise<Prepared> {
  const tokens = typeof prompt === 'string' ? vocabulary.tokenize(prompt, true) : (prompt as Token[])
  // One cell is left for the first token of the answer.
  if (tokens.length >= contextLength) {
    throw new DroverError(
      'context_exceeded',
      'the prompt is longer than the context length currently available to the model; shorten the prompt, ' +
        'adjust the context length in settings, or use a model with a longer context length',
    )
  }
  const grammar = format === undefined ? undefined : await grammars.of(format, formatPrefix)
  return { prompt: tokens, grammar, vocabulary, model }
}
