import { describe, expect, it, vi } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import type { CreateRequest, Progress } from '../../models/index.ts'
import { testApi } from '../testing/double.ts'

async function* steps(...progress: (Progress | Error)[]) {
  for (const step of progress) {
    if (step instanceof Error) throw step
    yield step
  }
}

const digest = `sha256:${'0f'.repeat(32)}`

describe('a pull', () => {
  it('streams every step as a line, in Go’s order of keys and without what is zero', async () => {
    const pulling = { completed: 5, total: 10, digest, status: 'pulling 0f0f0f0f0f0f' }
    const pull = vi.fn(() =>
      steps({ status: 'pulling manifest' }, pulling, { status: 'success', completed: 0 }),
    )
    const { post } = testApi({ registry: { pull } })
    const reply = await post('/api/pull', { name: 'me/x', insecure: true })
    expect(reply.headers['content-type']).toBe('application/x-ndjson')
    expect(reply.body.split('\n')).toEqual([
      '{"status":"pulling manifest"}',
      `{"status":"pulling 0f0f0f0f0f0f","digest":"${digest}","total":10,"completed":5}`,
      '{"status":"success"}',
      '',
    ])
    expect(pull).toHaveBeenCalledWith('me/x', { insecure: true }, expect.any(AbortSignal))
  })

  it('answers with the last step alone where it is not to stream', async () => {
    const { post } = testApi({ registry: { pull: () => steps({ status: 'a' }, { status: 'success' }) } })
    const reply = await post('/api/pull', { model: 'x', stream: false })
    expect([reply.statusCode, reply.headers['content-type'], reply.body]).toEqual([
      200,
      'application/json',
      '{"status":"success"}',
    ])
  })

  it('ends with an error line when it fails on the way', async () => {
    const failing = () => steps({ status: 'pulling manifest' }, new Error('file does not exist'))
    const { post } = testApi({ registry: { pull: failing } })
    const streamed = await post('/api/pull', { model: 'x' })
    expect([streamed.statusCode, streamed.body]).toEqual([
      200,
      '{"status":"pulling manifest"}\n{"error":"file does not exist"}\n',
    ])
    const whole = await post('/api/pull', { model: 'x', stream: false })
    expect([whole.statusCode, whole.body]).toEqual([500, '{"error":"file does not exist"}'])
  })

  it.each(['', 'x y', 'a/b/c/d e'])('of %j is refused', async (model) => {
    const reply = await testApi().post('/api/pull', { model })
    expect([reply.statusCode, reply.body]).toEqual([400, '{"error":"invalid model name"}'])
  })
})

describe('a push', () => {
  it('that fails before its first step has the status of what failed', async () => {
    const refused = new DroverError('invalid_request', 'insecure protocol http')
    const { post } = testApi({ registry: { push: () => steps(refused) } })
    const reply = await post('/api/push', { model: 'http://h/n/x' })
    expect([reply.statusCode, reply.body]).toEqual([400, '{"error":"insecure protocol http"}'])
  })

  it('without a name is refused', async () => {
    const reply = await testApi().post('/api/push', {})
    expect([reply.statusCode, reply.body]).toEqual([400, '{"error":"model is required"}'])
  })
})

describe('a creation', () => {
  it('takes every field of the wire, the older names where the newer are empty', async () => {
    const asked: CreateRequest[] = []
    const makeModel = (request: CreateRequest) => {
      asked.push(request)
      return steps({ status: 'success' })
    }
    const { post } = testApi({ makeModel })
    await post('/api/create', {
      name: 'new',
      from: 'tiny',
      quantization: 'Q4_K_M',
      license: ['MIT', 'ISC'],
      system: 'Be brief.',
      parameters: { temperature: 0, stop: ['<e>'] },
      messages: [{ role: 'User', content: 'hi' }],
      files: { 'a.gguf': digest },
      info: { base_name: 'x' },
    })
    await post('/api/create', { model: 'new', license: 'MIT', files: {} })
    expect(asked).toEqual([
      {
        model: 'new',
        from: 'tiny',
        quantize: 'Q4_K_M',
        licenses: ['MIT', 'ISC'],
        system: 'Be brief.',
        parameters: { temperature: 0, stop: ['<e>'] },
        messages: [{ role: 'user', content: 'hi' }],
        files: { 'a.gguf': digest },
        info: { base_name: 'x' },
      },
      { model: 'new', licenses: ['MIT'], files: {} },
    ])
  })

  it('without a valid name is refused', async () => {
    const reply = await testApi().post('/api/create', { from: 'tiny' })
    expect([reply.statusCode, reply.body]).toEqual([400, '{"error":"invalid model name"}'])
  })
})

describe('copy and delete', () => {
  it.each([
    [{}, 400, 'source \\"\\" is invalid'],
    [{ source: 'tiny', destination: 'a b' }, 400, 'destination \\"a b\\" is invalid'],
    [{ source: 'none', destination: 'b' }, 404, 'model \\"none\\" not found'],
  ])('a copy of %j is refused', async (body, status, error) => {
    const reply = await testApi().post('/api/copy', body)
    expect([reply.statusCode, reply.body]).toEqual([status, `{"error":"${error}"}`])
  })

  it('a copy is answered with nothing', async () => {
    const copy = vi.fn(async () => undefined)
    const reply = await testApi({ store: { copy } }).post('/api/copy', { source: 'Tiny', destination: 'b' })
    expect([reply.statusCode, reply.body]).toEqual([200, ''])
    expect(copy).toHaveBeenCalledWith('Tiny', 'b')
  })

  const remove = (body: object, store = {}) =>
    testApi({ store }).app.inject({ method: 'DELETE', url: '/api/delete', payload: JSON.stringify(body) })

  it.each([
    [{}, 400, 'model is required'],
    [{ model: 'x y' }, 400, 'name \\"x y\\" is invalid'],
    [{ name: 'none' }, 404, "model 'none' not found"],
  ])('a deletion of %j is refused', async (body, status, error) => {
    const reply = await remove(body)
    expect([reply.statusCode, reply.body]).toEqual([status, `{"error":"${error}"}`])
  })

  it('a deletion is answered with nothing', async () => {
    const removed = vi.fn(async () => undefined)
    const reply = await remove({ name: 'tiny' }, { remove: removed })
    expect([reply.statusCode, reply.body]).toEqual([200, ''])
    expect(removed).toHaveBeenCalledWith('tiny')
  })
})

describe('blobs', () => {
  it('tells whether there is one', async () => {
    const { app } = testApi({ store: { blobSize: async (which) => (which === digest ? 5 : undefined) } })
    const head = (url: string) => app.inject({ method: 'HEAD', url })
    expect((await head(`/api/blobs/${digest}`)).statusCode).toBe(200)
    expect((await head('/api/blobs/sha256:00')).statusCode).toBe(404)
  })

  it('takes one as it comes, whatever its type is called', async () => {
    const kept: Buffer[] = []
    const putBlob = async (_digest: string, content: AsyncIterable<Uint8Array>) => {
      for await (const chunk of content) kept.push(Buffer.from(chunk))
      return kept.length === 1
    }
    const { post } = testApi({ store: { putBlob } })
    const headers = { 'content-type': 'application/octet-stream' }
    expect((await post(`/api/blobs/${digest}`, Buffer.from([1, 2, 0]), headers)).statusCode).toBe(201)
    expect((await post(`/api/blobs/${digest}`, Buffer.from([1, 2, 0]))).statusCode).toBe(200)
    expect(kept[0]).toEqual(Buffer.from([1, 2, 0]))
  })
})

describe("what belongs to the vendor's cloud", () => {
  it.each([
    ['POST', '/api/me', 403, '{"error":"ollama cloud is disabled: account is unavailable"}'],
    [
      'POST',
      '/api/experimental/web_search',
      403,
      '{"error":"ollama cloud is disabled: web search is unavailable"}',
    ],
    [
      'POST',
      '/api/experimental/web_fetch',
      403,
      '{"error":"ollama cloud is disabled: web fetch is unavailable"}',
    ],
    ['POST', '/api/signout', 200, 'null'],
    ['DELETE', '/api/user/keys/abc', 200, 'null'],
    ['GET', '/api/experimental/model-recommendations', 200, '{"recommendations":[]}'],
    ['GET', '/api/status', 200, '{"cloud":{"disabled":true,"source":"config"}}'],
  ] as const)('%s %s', async (method, url, status, body) => {
    const reply = await testApi().app.inject({ method, url })
    expect([reply.statusCode, reply.body]).toEqual([status, body])
  })
})
