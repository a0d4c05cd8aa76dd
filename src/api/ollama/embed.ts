import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  asDroverError,
  DroverError,
  type EmbedRequest,
  type EmbedResult,
  type ErrorCode,
} from '../../inference/index.ts'
import type { ApiContext } from '../context.ts'
import { jsonFloat32Array, jsonString, nanoseconds } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import { toModelOptions } from '../options.ts'
import { embeddingsWording, embedWording, resolveModel } from '../resolve.ts'
import { routingOf } from '../routing-wishes.ts'
import { joinVectors, toInputs } from '../vectors.ts'
import { embeddingRequest, embedRequest } from './requests.ts'

/** `POST /api/embed`: one vector for each text. */
export async function embed(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, embedRequest)
  const inputs = toInputs(body.input)
  const model = body.model ?? ''
  await resolveModel(context, request, model, embedWording)
  const wanted: EmbedRequest = {
    model,
    inputs,
    options: toModelOptions(body.options),
    ...(body.keep_alive !== undefined && { keepAliveMs: body.keep_alive }),
    ...(body.truncate !== undefined && { truncate: body.truncate }),
    ...(body.dimensions && { dimensions: body.dimensions }),
  }
  const result = await context.router.embed(
    { ...wanted, routing: routingOf(request) },
    request.exchange.signal,
  )
  return sendJson(reply, await embedJson(model, inputs.length === 0 ? undefined : result))
}

/** Without texts there is only an empty list, and none of the numbers. */
async function embedJson(model: string, result: EmbedResult | undefined): Promise<string> {
  const head = `{"model":${jsonString(model)},"embeddings":[`
  if (!result) return `${head}]}`
  const count = (name: string, value: number) => (value === 0 ? '' : `,"${name}":${value}`)
  return (
    `${head}${await joinVectors(result.embeddings, jsonFloat32Array)}]` +
    count('total_duration', nanoseconds(result.totalMs)) +
    count('load_duration', nanoseconds(result.loadMs)) +
    `${count('prompt_eval_count', result.promptTokens)}}`
  )
}

/** Failures of embedding itself are all 500 on the older endpoint. */
const internalOnLegacy = new Set<ErrorCode>(['not_embedding_model', 'context_exceeded', 'unsupported'])

/** `POST /api/embeddings`, the older form: one text, one vector, never cut. */
export async function embeddings(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, embeddingRequest)
  const { model = '', prompt = '' } = body
  await resolveModel(context, request, model, embeddingsWording)
  const wanted: EmbedRequest = {
    model,
    inputs: prompt === '' ? [] : [prompt],
    options: toModelOptions(body.options),
    truncate: false,
    ...(body.keep_alive !== undefined && { keepAliveMs: body.keep_alive }),
  }
  try {
    const { embeddings: vectors } = await context.router.embed(
      { ...wanted, routing: routingOf(request) },
      request.exchange.signal,
    )
    return sendJson(reply, `{"embedding":[${(vectors[0] ?? new Float32Array()).join(',')}]}`)
  } catch (thrown) {
    const error = asDroverError(thrown)
    throw internalOnLegacy.has(error.code)
      ? new DroverError('internal', error.message, { cause: error })
      : error
  }
}
