import type { EngineInstance } from '../engines/index.ts'
import { DroverError, type EmbedRequest } from '../inference/index.ts'

/** Embeds every input of a request, each cut to the instance's context where the request allows it. */
export async function embedInputs(
  request: EmbedRequest,
  instance: EngineInstance,
  signal: AbortSignal,
): Promise<{ embeddings: Float32Array[]; promptTokens: number }> {
  if (request.inputs.length === 0) return { embeddings: [], promptTokens: 0 }
  const inputs = await Promise.all(
    request.inputs.map((text) => fitInput(text, request.truncate !== false, instance)),
  )
  const { embeddings, promptTokens } = await instance.embed(inputs, signal)
  for (const vector of embeddings) {
    if (!vector.every(Number.isFinite)) {
      throw new DroverError('unsupported', 'embedding contains NaN or Inf values')
    }
  }
  const { dimensions } = request
  return {
    embeddings: dimensions ? embeddings.map((vector) => shorten(vector, dimensions)) : embeddings,
    promptTokens,
  }
}

async function fitInput(text: string, truncate: boolean, instance: EngineInstance): Promise<string> {
  const limit = instance.contextLength
  if (Buffer.byteLength(text) + 2 <= limit) return text
  const tokens = await instance.tokenize(text, { addSpecial: true })
  if (tokens.length <= limit) return text
  if (!truncate) throw new DroverError('context_exceeded', 'the input length exceeds the context length')
  const bare = await instance.tokenize(text, { addSpecial: false })
  const room = limit - (tokens.length - bare.length)
  if (room <= 0)
    throw new DroverError('context_exceeded', 'input after truncation exceeds maximum context length')
  return instance.detokenize(bare.slice(0, room))
}

/** The first `dimensions` numbers, normalised again (Matryoshka embeddings). */
export function shorten(vector: Float32Array, dimensions: number): Float32Array {
  if (dimensions >= vector.length) return vector
  const short = vector.slice(0, dimensions)
  const norm = Math.sqrt(short.reduce((sum, value) => sum + value * value, 0))
  return norm > 0 ? short.map((value) => value / norm) : short
}
