import type { Token } from 'node-llama-cpp'
import { DroverError } from '../../inference/index.ts'
import type { LoadedModel } from './model.ts'
import type { Vocabulary } from './vocabulary.ts'

/**
 * Vectors of length one, and the tokens that all inputs took. Throws `context_exceeded` before it embeds any;
 * an abort ends it between two inputs.
 */
export async function embedAll(
  inputs: readonly (string | number[])[],
  { embedder }: LoadedModel,
  vocabulary: Vocabulary,
  contextLength: number,
  signal: AbortSignal,
): Promise<{ embeddings: Float32Array[]; promptTokens: number }> {
  if (!embedder) {
    throw new DroverError(
      'not_embedding_model',
      'This server does not support embeddings. Start it with `--embeddings`',
    )
  }
  let promptTokens = 0
  const texts = inputs.map((input) => {
    const written = typeof input === 'string' ? vocabulary.tokenize(input, true) : (input as Token[])
    // The library adds the tokens that the model wants around a text. Of no token at all there is no vector.
    const isNothing = embedder.calculateInputLength([...written]) === 0
    const tokens = isNothing ? vocabulary.tokenize(' ', true) : written
    const count = embedder.calculateInputLength([...tokens])
    if (count > contextLength) {
      throw new DroverError('context_exceeded', 'the input length exceeds the context length')
    }
    promptTokens += count
    return tokens
  })
  const embeddings: Float32Array[] = []
  for (const tokens of texts) {
    signal.throwIfAborted()
    embeddings.push(normalised((await embedder.getEmbeddingFor([...tokens])).vector))
  }
  return { embeddings, promptTokens }
}

function normalised(vector: readonly number[]): Float32Array {
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return Float32Array.from(vector, (value) => (norm > 0 ? value / norm : value))
}
