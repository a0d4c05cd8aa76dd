import type { FastifyReply, FastifyRequest } from 'fastify'
import { type ChatRequest, DroverError } from '../../inference/index.ts'
import { collectAnswer, openAnswer } from '../answer.ts'
import type { ApiContext } from '../context.ts'
import { jsonString } from '../go-json/index.ts'
import { contentTypeOf, readBytes, sendJson } from '../http/index.ts'
import { chatWording, resolveModel } from '../resolve.ts'

const largestFileBytes = 25 * 2 ** 20

const refuse = (message: string) => new DroverError('invalid_request', message)

/** `POST /v1/audio/transcriptions`: a chat about a recording, for models that hear. */
export async function transcriptions(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const form = await readForm(context, request)
  const text = (name: string) => {
    const value = form.get(name)
    return typeof value === 'string' ? value : ''
  }
  const file = form.get('file')
  if (!(file instanceof File)) throw refuse('file is required')
  if (file.size > largestFileBytes) throw refuse(`file is larger than ${largestFileBytes} bytes`)
  const model = text('model')
  const stored = await resolveModel(context, request, model, chatWording)
  const { capabilities } = await context.store.describe(stored)
  if (!capabilities.includes('audio')) throw refuse(`${stored.fullName} does not support audio`)
  const recording = new Uint8Array(await file.arrayBuffer())
  const chat = toChat(model, recording, { language: text('language'), prompt: text('prompt') })
  const answer = await collectAnswer(request, await openAnswer(context, request, chat))
  const said = answer.text.trim()
  if (text('response_format') === 'text') return reply.type('text/plain; charset=utf-8').send(said)
  return sendJson(reply, `{"text":${jsonString(said)}}`)
}

function toChat(
  model: string,
  recording: Uint8Array,
  hints: { language: string; prompt: string },
): ChatRequest {
  const language = hints.language === '' ? '' : ` It is in the language "${hints.language}".`
  const content = `Transcribe this recording word for word, and write nothing else.${language} ${hints.prompt}`
  return {
    kind: 'chat',
    model,
    messages: [{ role: 'user', content: content.trim(), images: [recording] }],
    options: { temperature: 0 },
    think: false,
  }
}

async function readForm(context: ApiContext, request: FastifyRequest): Promise<FormData> {
  const body = await readBytes(context, request)
  const type = contentTypeOf(request)
  try {
    return await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
  } catch (cause) {
    throw new DroverError('invalid_request', "request Content-Type isn't multipart/form-data", { cause })
  }
}
