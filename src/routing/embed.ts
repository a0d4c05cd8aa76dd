import type { EngineInstance } from '../engines/index.ts'
import { DroverError, type EmbedRequest } from '../inference/index.ts'
import { type EmbedBatcher, type EmbedTarget, embedOver } from './batching/index.ts'
import type { Run } from './run.ts'

/** Inputs that one instance gets at a time when several share a request. */
const chunkSize = 64

/**
 * Embeds every input of a request, each cut to the instances' context where the request allows it. Several runs share a
 * large request; what is asked for at the same moment goes to an instance together.
 */
export async function embedInputs(
  request: EmbedRequest,
  runs: readonly Run[],
  batcher: EmbedBatcher,
  signal: AbortSignal,
): Promise<{ embeddings: Float32Array[]; promptTokens: number }> {
  const [first] = runs
  if (request.inputs.length === 0 || !first) return { embeddings: [], promptTokens: 0 }
  const fit = (text: string) => first.call((instance) => fitInput(text, request.truncate !== false, instance))
  const inputs = await Promise.all(request.inputs.map(fit))
  const targets = runs.map(
    (run): EmbedTarget => ({
      embed: (some, own) => run.call((instance) => batcher.embed(instance, some, own)),
      tokenize: (text, options) => run.call((instance) => instance.tokenize(text, options)),
    }),
  )
  const [only, ...more] = targets
  const { embeddings, promptTokens } =
    only && more.length === 0
      ? await only.embed(inputs, signal)
      : await embedOver(targets, inputs, signal, { chunkSize })
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
