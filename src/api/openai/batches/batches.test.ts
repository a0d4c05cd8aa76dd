import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../../core/index.ts'
import { DroverError } from '../../../inference/index.ts'
import { type Batches, createBatches, defaultBatchLimits } from '../../../routing/index.ts'
import { openAiAnswers } from '../../openapi/answers.ts'
import { done, replay, testApi } from '../../testing/double.ts'
import { createBatchExecutor } from './execute.ts'

const quiet = () => undefined
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet } as unknown as Parameters<
  typeof createBatches
>[0]['log']

let folder: string
let batches: Batches
let api: ReturnType<typeof testApi>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-batch-api-'))
  batches = createBatches({
    folder,
    limits: { ...defaultBatchLimits, maxFileBytes: 100_000, reserveBytes: 0 },
    freeSlots: () => 4,
    clock: systemClock,
    log,
  })
  api = testApi({ batches })
})
afterEach(async () => {
  await batches.close()
  await api.app.close()
  await rm(folder, { recursive: true })
})

interface Sent {
  status: number
  json: Record<string, unknown> & { id: string; error: { message: string } }
}

async function send(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  body?: unknown,
  key?: string,
): Promise<Sent> {
  const reply = await api.app.inject({
    method,
    url,
    ...(body !== undefined && { payload: JSON.stringify(body) }),
    ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }),
  })
  return { status: reply.statusCode, json: JSON.parse(reply.body) }
}

async function upload(fields: Record<string, string | Blob>, key?: string): Promise<Sent> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, value, 'in.jsonl')
  }
  const encoded = new Response(form)
  const reply = await api.app.inject({
    method: 'POST',
    url: '/v1/files',
    headers: {
      'content-type': encoded.headers.get('content-type') ?? '',
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
    payload: Buffer.from(await encoded.arrayBuffer()),
  })
  return { status: reply.statusCode, json: JSON.parse(reply.body) }
}

const chat = (id: string, body: object = {}) =>
  JSON.stringify({
    custom_id: id,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'tiny', messages: [{ role: 'user', content: id }], ...body },
  })
const jsonl = (...lines: string[]) => new Blob([lines.join('\n')])

async function ended(id: string, key?: string): Promise<Sent['json']> {
  for (;;) {
    const { status, json } = await send('GET', `/v1/batches/${id}`, undefined, key)
    if (status !== 200) throw new Error(`no batch ${id}: ${JSON.stringify(json)}`)
    if (/completed|failed|cancelled|expired/.test(String(json['status']))) return json
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function begin(file: string, more: object = {}, key?: string): Promise<Sent> {
  const wish = { input_file_id: file, endpoint: '/v1/chat/completions', completion_window: '24h' }
  return send('POST', '/v1/batches', { ...wish, ...more }, key)
}

const linesOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

describe('a file', () => {
  it('is kept, shown, listed, read and removed, as the document says', async () => {
    const content = jsonl(chat('a'))
    const { status, json } = await upload({ purpose: 'batch', file: content })
    expect([status, json]).toMatchObject([
      200,
      { object: 'file', bytes: content.size, filename: 'in.jsonl', purpose: 'batch', status: 'processed' },
    ])
    expect(Number(json['expires_at']) - Number(json['created_at'])).toBe(30 * 86_400)
    expect(z.fromJSONSchema(openAiAnswers.file).safeParse(json)).toMatchObject({ success: true })
    expect((await send('GET', `/v1/files/${json.id}`)).json).toEqual(json)
    const list = (await send('GET', '/v1/files?purpose=batch&limit=5&order=asc')).json
    expect(list).toEqual({
      object: 'list',
      data: [json],
      first_id: json.id,
      last_id: json.id,
      has_more: false,
    })
    expect(z.fromJSONSchema(openAiAnswers.files).safeParse(list)).toMatchObject({ success: true })
    const read = await api.app.inject(`/v1/files/${json.id}/content`)
    expect([read.headers['content-type'], read.headers['content-length'], read.body]).toEqual([
      'application/octet-stream',
      `${content.size}`,
      await content.text(),
    ])
    expect((await send('DELETE', `/v1/files/${json.id}`)).json).toEqual({
      id: json.id,
      object: 'file',
      deleted: true,
    })
    expect(await send('GET', `/v1/files/${json.id}`)).toMatchObject({
      status: 404,
      json: { error: { type: 'not_found_error', message: `No such File object: ${json.id}` } },
    })
  })

  it('may come before the fields, and say how long it is kept', async () => {
    const seconds = { 'expires_after[anchor]': 'created_at', 'expires_after[seconds]': '3600' }
    const { json } = await upload({ file: jsonl('x'), purpose: 'batch', ...seconds })
    expect(Number(json['expires_at']) - Number(json['created_at'])).toBe(3600)
  })

  it.each<[string, Record<string, string | Blob>, string]>([
    ['no file', { purpose: 'batch' }, 'file is required'],
    ['no purpose', { file: jsonl('x') }, "purpose is required. Files are for batches here: 'batch'."],
    [
      'another purpose',
      { file: jsonl('x'), purpose: 'fine-tune' },
      "Invalid value for 'purpose': 'fine-tune'. Files are for batches here: 'batch'.",
    ],
    [
      'its content elsewhere',
      { purpose: 'batch', data: jsonl('x') },
      'the file is in the field "data", not in "file"',
    ],
    [
      'too short a life',
      {
        file: jsonl('x'),
        purpose: 'batch',
        'expires_after[anchor]': 'created_at',
        'expires_after[seconds]': '1',
      },
      "Invalid value for 'expires_after.seconds': it is from 3600 to 2592000.",
    ],
  ])('with %s is refused, and nothing of it stays', async (_what, fields, message) => {
    expect(await upload(fields)).toMatchObject({ status: 400, json: { error: { message } } })
    await send('GET', '/v1/files')
    expect(await readdir(join(folder, 'files'))).toEqual([])
  })

  it('that is too large is refused, and nothing of it stays', async () => {
    expect(await upload({ purpose: 'batch', file: jsonl('x'.repeat(100_001)) })).toMatchObject({
      status: 413,
      json: { error: { message: 'the file is larger than 100000 bytes: split it' } },
    })
    expect(await readdir(join(folder, 'files'))).toEqual([])
  })

  it.each([
    ['{}', 'application/json'],
    ['{}', ''],
    ['--x\r\nnonsense', 'multipart/form-data; boundary=x'],
    ['', 'multipart/form-data; boundary=x'],
    [
      '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ncut',
      'multipart/form-data; boundary=x',
    ],
  ])('that is no form (%j as %j) is refused', async (payload, type) => {
    const headers = { 'content-type': type }
    const reply = await api.app.inject({ method: 'POST', url: '/v1/files', headers, payload })
    expect([reply.statusCode, JSON.parse(reply.body).error.type]).toEqual([400, 'invalid_request_error'])
  })

  it('whose upload stops is refused, and one whose client leaves is forgotten', async () => {
    await api.app.close()
    api = testApi({ batches, config: { bodyTimeoutMs: 300 } })
    await api.app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = api.app.server.address() as AddressInfo
    const start = () => {
      const headers = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': 1000 }
      const sending = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/v1/files', headers })
      sending.write('--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\npart of')
      return sending
    }
    const stalled = start()
    const status = await new Promise((resolve, reject) => {
      stalled.on('response', (response) => resolve(response.statusCode)).on('error', reject)
    })
    expect(status).toBe(408)
    stalled.on('error', quiet).destroy()
    const leaving = start()
    await expect.poll(() => readdir(join(folder, 'files'))).toHaveLength(1)
    leaving.on('error', quiet).destroy()
    await expect.poll(() => readdir(join(folder, 'files'))).toEqual([])
  })
})

describe('a batch', () => {
  it('is answered by the live routes, as bulk and for its tenant', async () => {
    batches.run(createBatchExecutor(api.app))
    const file = await upload(
      { purpose: 'batch', file: jsonl(chat('a'), chat('b', { model: 'none' })) },
      'mine',
    )
    const metadata = { night: 'yes' }
    const begun = await begin(file.json.id, { metadata }, 'mine')
    expect(begun).toMatchObject({ status: 200, json: { object: 'batch', status: 'validating', metadata } })
    const batch = await ended(begun.json.id, 'mine')
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'tiny',
      completion_window: '24h',
      request_counts: { total: 2, completed: 1, failed: 1 },
      usage: { input_tokens: 7, output_tokens: 3, total_tokens: 10 },
      completed_at: expect.any(Number),
      cancelled_at: null,
      errors: null,
    })
    expect(z.fromJSONSchema(openAiAnswers.batch).safeParse(batch)).toMatchObject({ success: true })
    const read = (id: unknown) =>
      api.app.inject({ url: `/v1/files/${id}/content`, headers: { authorization: 'Bearer mine' } })
    expect(linesOf((await read(batch['output_file_id'])).body)).toMatchObject([
      {
        custom_id: 'a',
        response: {
          status_code: 200,
          body: { object: 'chat.completion', choices: [{ message: { content: 'Hi' } }] },
        },
        error: null,
      },
    ])
    expect(linesOf((await read(batch['error_file_id'])).body)).toMatchObject([
      {
        custom_id: 'b',
        response: { status_code: 404, body: { error: { message: "model 'none' not found" } } },
      },
    ])
    expect(api.wishes[0]).toMatchObject({ priority: 'bulk', tenant: expect.stringMatching(/^key:/) })
    expect((await send('GET', `/v1/batches/${begun.json.id}`, undefined, 'other')).status).toBe(404)
    expect((await send('GET', `/v1/files/${batch['output_file_id']}`, undefined, 'other')).status).toBe(404)
  })

  it.each([
    ['/v1/completions', { prompt: 'x' }, 'text_completion'],
    ['/v1/embeddings', { input: 'x' }, 'list'],
    ['/v1/responses', { input: 'x' }, 'response'],
  ])('may ask %s', async (endpoint, body, object) => {
    batches.run(createBatchExecutor(api.app))
    const line = { custom_id: 'a', method: 'POST', url: endpoint, body: { model: 'tiny', ...body } }
    const file = await upload({ purpose: 'batch', file: jsonl(JSON.stringify(line)) })
    const batch = await ended((await begin(file.json.id, { endpoint })).json.id)
    const output = await api.app.inject(`/v1/files/${batch['output_file_id']}/content`)
    expect(linesOf(output.body)).toMatchObject([{ response: { status_code: 200, body: { object } } }])
  })

  it('of a bad file fails with what is wrong in which line', async () => {
    batches.run(createBatchExecutor(api.app))
    const file = await upload({ purpose: 'batch', file: jsonl(chat('a'), '{', chat('a')) })
    const batch = await ended((await begin(file.json.id)).json.id)
    expect(batch).toMatchObject({
      status: 'failed',
      failed_at: expect.any(Number),
      output_file_id: null,
      errors: {
        object: 'list',
        data: [
          { code: 'invalid_json_line', line: 2, param: null },
          { code: 'duplicate_custom_id', line: 3, param: 'custom_id' },
        ],
      },
    })
    expect(z.fromJSONSchema(openAiAnswers.batch).safeParse(batch)).toMatchObject({ success: true })
  })

  it('that is cancelled breaks off what is running', async () => {
    let broken = false
    api = testApi({
      batches,
      script: async function* (_request, signal) {
        await new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        ).finally(() => {
          broken = true
        })
        yield done()
      },
    })
    batches.run(createBatchExecutor(api.app))
    const file = await upload({ purpose: 'batch', file: jsonl(chat('a')) })
    const { json } = await begin(file.json.id)
    await expect.poll(() => api.asked.length).toBe(1)
    expect((await send('POST', `/v1/batches/${json.id}/cancel`)).json).toMatchObject({ status: 'cancelling' })
    expect(await ended(json.id)).toMatchObject({ status: 'cancelled', cancelled_at: expect.any(Number) })
    expect(broken).toBe(true)
    expect((await send('POST', `/v1/batches/${json.id}/cancel`)).status).toBe(400)
  })

  it('waits as long as it is told when the server is busy', async () => {
    let refusals = 0
    api = testApi({
      batches,
      script: (request, signal) => {
        if (refusals++ > 0) return replay({ type: 'token', text: 'Hi' }, done())(request, signal)
        return replay(new DroverError('busy', 'later', { retryAfterMs: 500 }))(request, signal)
      },
    })
    batches.run(createBatchExecutor(api.app))
    const file = await upload({ purpose: 'batch', file: jsonl(chat('a')) })
    const startedMs = performance.now()
    expect(await ended((await begin(file.json.id)).json.id)).toMatchObject({
      request_counts: { completed: 1 },
    })
    // Retry-After has whole seconds.
    expect(performance.now() - startedMs).toBeGreaterThan(900)
  })

  it.each<[object, string]>([
    [{ input_file_id: '' }, 'input_file_id is required'],
    [{ endpoint: '/v1/moderations' }, "Invalid value for 'endpoint': '/v1/moderations'."],
    [{ completion_window: '1d' }, "Invalid value for 'completion_window': '1d'."],
    [{ completion_window: '169h' }, "Invalid value for 'completion_window': '169h'."],
    [{ metadata: 'x' }, "Invalid type for 'metadata'"],
    [{ metadata: { a: 1 } }, "Invalid type for 'metadata.a'"],
    [{ metadata: { a: 'x'.repeat(513) } }, "'metadata' has keys of 64"],
    [
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`${n}`, 'x'])) },
      "'metadata' has more",
    ],
    [
      { output_expires_after: { anchor: 'now', seconds: 3600 } },
      "Invalid value for 'output_expires_after.anchor'",
    ],
  ])('of %j is refused', async (more, message) => {
    const file = await upload({ purpose: 'batch', file: jsonl(chat('a')) })
    const { status, json } = await begin(file.json.id, more)
    expect([status, json.error.message]).toEqual([400, expect.stringContaining(message)])
  })

  it('needs a file that is there', async () => {
    expect(await begin('file-none')).toMatchObject({
      status: 404,
      json: { error: { message: 'No such File object: file-none' } },
    })
    expect(await send('GET', '/v1/batches/batch_none')).toMatchObject({
      status: 404,
      json: { error: { message: "No batch found with id 'batch_none'." } },
    })
  })

  it('is listed in pages', async () => {
    const file = await upload({ purpose: 'batch', file: jsonl(chat('a')) })
    const ids: string[] = []
    for (let count = 0; count < 3; count++) ids.push((await begin(file.json.id)).json.id)
    const first = (await send('GET', '/v1/batches?limit=2')).json
    expect(first).toMatchObject({ data: [{ id: ids[2] }, { id: ids[1] }], last_id: ids[1], has_more: true })
    expect(z.fromJSONSchema(openAiAnswers.batches).safeParse(first)).toMatchObject({ success: true })
    const second = (await send('GET', `/v1/batches?limit=2&after=${ids[1]}`)).json
    expect(second).toMatchObject({ data: [{ id: ids[0] }], has_more: false })
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'order=up', 'after=batch_none']) {
      expect((await send('GET', `/v1/batches?${query}`)).status, query).toBe(400)
    }
  })
})

it('a server without a folder for batches refuses them', async () => {
  const bare = testApi()
  const reply = await bare.app.inject('/v1/batches')
  expect([reply.statusCode, JSON.parse(reply.body).error.message]).toEqual([
    400,
    'this server keeps no files and batches',
  ])
})
