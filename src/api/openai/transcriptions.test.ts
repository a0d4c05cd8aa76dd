import { describe, expect, it } from 'vitest'
import type { ModelDescription } from '../../models/index.ts'
import { done, replay, stored, testApi } from '../testing/double.ts'

const hearing = { capabilities: ['completion', 'audio'] } as unknown as ModelDescription

async function send(fields: Record<string, string | Blob>, hears = true) {
  const api = testApi({
    script: replay({ type: 'token', text: ' Hello ' }, { type: 'token', text: 'there. ' }, done()),
    store: hears ? { describe: async () => hearing } : {},
  })
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  const encoded = new Response(form)
  const headers = { 'content-type': encoded.headers.get('content-type') ?? '' }
  const body = Buffer.from(await encoded.arrayBuffer())
  return { ...api, reply: await api.post('/v1/audio/transcriptions', body, headers) }
}

const file = new Blob([Uint8Array.of(82, 73, 70, 70)], { type: 'audio/wav' })
const model = 'tiny'

describe('a transcription', () => {
  it('is a chat about the recording, at temperature 0', async () => {
    const { asked, reply } = await send({ model, file, language: 'en', prompt: 'Names: Ada.' })
    expect([reply.statusCode, reply.body]).toEqual([200, '{"text":"Hello there."}'])
    expect(asked[0]).toMatchObject({
      kind: 'chat',
      options: { temperature: 0 },
      messages: [
        {
          role: 'user',
          images: [Uint8Array.of(82, 73, 70, 70)],
          content: expect.stringMatching(/"en".*Ada/),
        },
      ],
    })
  })

  it('is plain text where that is asked for', async () => {
    const { reply } = await send({ model, file, response_format: 'text' })
    expect([reply.headers['content-type'], reply.body]).toEqual(['text/plain; charset=utf-8', 'Hello there.'])
  })

  it.each<[string, Record<string, string | Blob>, number, string]>([
    ['no file', { model }, 400, 'file is required'],
    ['no model', { file }, 400, 'model is required'],
    ['an unknown model', { model: 'none', file }, 404, "model 'none' not found"],
  ])('with %s is refused', async (_what, fields, status, message) => {
    const { reply } = await send(fields)
    expect([reply.statusCode, JSON.parse(reply.body).error.message]).toEqual([status, message])
  })

  it('of a model that does not hear is refused by its name', async () => {
    const { reply } = await send({ model, file }, false)
    expect([reply.statusCode, JSON.parse(reply.body).error.message]).toEqual([
      400,
      `${stored.fullName} does not support audio`,
    ])
  })

  it.each([
    ['{"model":"tiny"}', 'application/json'],
    ['--x\r\n', 'multipart/form-data; boundary=x'],
    ['', ''],
  ])('of %j with type %j is refused', async (body, type) => {
    const reply = await testApi().post('/v1/audio/transcriptions', body, { 'content-type': type })
    expect([reply.statusCode, JSON.parse(reply.body).error.message]).toEqual([
      400,
      "request Content-Type isn't multipart/form-data",
    ])
  })
})
