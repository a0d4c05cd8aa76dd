import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import type { ApiContext } from '../context.ts'
import { jsonFloat32Array, jsonString } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import { embedWording, resolveModel } from '../resolve.ts'
import { routingOf } from '../routing-wishes.ts'
import { joinVectors, toInputs } from '../vectors.ts'
import { embeddingsRequest } from './requests.ts'

/** `POST /v1/embeddings`. */
export async function embeddings(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, embeddingsRequest, { acceptZstd: true })
  const { model = '', input, dimensions, encoding_format: format = '' } = body
  const encoding = format.toLowerCase()
  if (!['', 'float', 'base64'].includes(encoding)) {
    const message = `Invalid value for 'encoding_format' = ${format}. Supported values: ['float', 'base64'].`
    throw new DroverError('invalid_request', message)
  }
  if (input === undefined || (Array.isArray(input) && input.length === 0)) {
    throw new DroverError('invalid_request', 'invalid input')
  }
  const inputs = input === '' ? [''] : toInputs(input)
  await resolveModel(context, request, model, embedWording)
  const result = await context.router.embed(
    { model, inputs, options: {}, routing: routingOf(request), ...(dimensions && { dimensions }) },
    request.exchange.signal,
  )
  const write = encoding === 'base64' ? base64Json : jsonFloat32Array
  const data = await joinVectors(
    result.embeddings,
    (vector, index) => `{"object":"embedding","embedding":${write(vector)},"index":${index}}`,
  )
  const { promptTokens } = result
  const usage = `{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens}}`
  const list = `{"object":"list","data":[${data}],"model":${jsonString(model)},"usage":${usage}}`
  return sendJson(reply, list)
}

/** Little-endian float32, the byte order of every machine Node runs on. */
function base64Json(vector: Float32Array): string {
  return `"${Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')}"`
}
