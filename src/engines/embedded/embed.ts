import type { Token } from 'node-llama-cpp'
import { DroverError } from '../../inference/index.ts'
import type { LoadedModel } from './model.ts'
import type { Vocabulary } from './vocabulary.ts'

/** Vectors of length one, and the tokens that all inputs took. Throws `context_exceeded`. */
export async function embedAll(
  inputs: readonly (string | number[])[],
  { embedder, model }: LoadedModel,
  vocabulary: Vocabulary,
  contextLength: number,
): Promise<{ embeddings: Float32Array[]; promptTokens: number }> {
  if (!embedder) throw new DroverError('not_embedding_model', 'the model generates and does not embed')
  let promptTokens = 0
  const embeddings: Float32Array[] = []
  for (const input of inputs) {
    const tokens = typeof input === 'string' ? vocabulary.tokenize(input, true) : (input as Token[])
    const count = tokens.length + closingTokens(tokens, model.tokens)
    if (count > contextLength) {
      throw new DroverError('context_exceeded', 'the input length exceeds the context length')
    }
    promptTokens += count
    const { vector } = await embedder.getEmbeddingFor(tokens)
    embeddings.push(normalised(vector))
  }
  return { embeddings, promptTokens }
}

/** The library itself puts the closing token of the model after an input that lacks it. */
function closingTokens(
  tokens: readonly Token[],
  special: { eos: Token | null; shouldAppendEosToken: boolean },
): number {
  return special.shouldAppendEosToken && special.eos !== null && tokens.at(-1) !== special.eos ? 1 : 0
}

function normalised(vector: readonly number[]): Float32Array {
  const norm = Math.hypot(...vector)
  return Float32Array.from(vector, (value) => (norm > 0 ? value / norm : value))
}
