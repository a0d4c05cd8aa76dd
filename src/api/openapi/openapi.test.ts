import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { done, replay, testApi } from '../testing/double.ts'
import { operations } from './operations.ts'

type Media = Record<string, { schema: Record<string, unknown> }>
interface Document {
  openapi: string
  paths: Record<
    string,
    Record<string, { operationId: string; responses: Record<string, { content?: Media }> }>
  >
}

async function documentOf(api = testApi()): Promise<Document> {
  const reply = await api.app.inject({ url: '/openapi.json' })
  expect(reply.statusCode).toBe(200)
  return JSON.parse(reply.body)
}

/** The routes that the server has, with parameters as OpenAPI writes them. */
async function mounted(): Promise<string[]> {
  const { app } = testApi()
  await app.ready()
  const seen: string[] = []
  for (const { method, path } of operations) {
    const url = path.replace(/\{(\w+)\}/g, ':$1')
    if (app.hasRoute({ method: method.toUpperCase() as 'GET', url })) seen.push(`${method} ${path}`)
  }
  return seen
}

/** The routes in Fastify's drawing of its tree, where each branch shows only what it adds to the one it grows from. */
function routesOf(drawing: string): string[] {
  const above: string[] = []
  return drawing.split('\n').flatMap((line) => {
    const [, indent = '', part = '', methods] = /^([│ ]*)[├└]── (\S*)(?: \(([A-Z, ]+)\))?/.exec(line) ?? []
    const depth = indent.length / 4
    above.length = depth
    above[depth] = part
    const path = above.join('').replace(/:(\w+)/g, '{$1}')
    return (methods ?? '').split(', ').flatMap((method) => (method ? `${method.toLowerCase()} ${path}` : []))
  })
}

describe('the document of the API', () => {
  it('is OpenAPI 3.1 with an id of its own for each operation', async () => {
    const { openapi, paths } = await documentOf()
    expect(openapi).toBe('3.1.0')
    const ids = Object.values(paths).flatMap((methods) =>
      Object.values(methods).map((one) => one.operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toContain('postApiChat')
  })

  it('describes routes that there are', async () => {
    expect(await mounted()).toEqual(operations.map(({ method, path }) => `${method} ${path}`))
  })

  it('leaves no route of the server out', async () => {
    const { app } = testApi()
    await app.ready()
    const routes = routesOf(app.printRoutes({ commonPrefix: false }))
    expect(routes.length).toBeGreaterThan(30)
    const described = operations.map(({ method, path }) => `${method} ${path}`)
    expect([...new Set(routes)].sort()).toEqual([...described].sort())
  })

  it('has schemas that can be used', async () => {
    const { paths } = await documentOf()
    for (const methods of Object.values(paths)) {
      for (const { responses } of Object.values(methods)) {
        for (const { content = {} } of Object.values(responses)) {
          for (const { schema } of Object.values(content))
            expect(() => z.fromJSONSchema(schema)).not.toThrow()
        }
      }
    }
  })
})

describe('what the API answers is what the document says', () => {
  const script = () =>
    replay(
      { type: 'thinking', text: 'Hm.' },
      { type: 'token', text: 'Hi' },
      { type: 'toolCall', call: { id: 'c', function: { index: 0, name: 'f', arguments: { a: 1 } } } },
      done(),
    )
  const messages = [{ role: 'user', content: 'hello' }]

  async function schemaOf(method: string, path: string, type: string) {
    const { paths } = await documentOf()
    const schema = paths[path]?.[method]?.responses['200']?.content?.[type]?.schema
    if (!schema) throw new Error(`no ${type} of ${method} ${path}`)
    return z.fromJSONSchema(schema)
  }

  it.each([
    ['get', '/api/version', undefined],
    ['get', '/api/status', undefined],
    ['get', '/api/tags', undefined],
    ['get', '/api/ps', undefined],
    ['get', '/api/devices', undefined],
    ['post', '/api/restart', { model: 'tiny' }],
    ['get', '/v1/models', undefined],
    ['get', '/api/experimental/model-recommendations', undefined],
    ['post', '/api/show', { model: 'tiny' }],
    ['post', '/api/embed', { model: 'tiny', input: 'x' }],
    ['post', '/api/embeddings', { model: 'tiny', prompt: 'x' }],
    ['post', '/api/pull', { model: 'x', stream: false }],
    ['post', '/api/generate', { model: 'tiny', prompt: 'x', stream: false }],
    ['post', '/api/chat', { model: 'tiny', messages, stream: false }],
    ['post', '/v1/chat/completions', { model: 'tiny', messages }],
    ['post', '/v1/completions', { model: 'tiny', prompt: 'x' }],
    ['post', '/v1/embeddings', { model: 'tiny', input: 'x' }],
    ['post', '/v1/responses', { model: 'tiny', input: 'x' }],
    ['post', '/v1/messages', { model: 'tiny', max_tokens: 5, messages }],
  ] as const)('%s %s', async (method, path, body) => {
    const { app } = testApi({ script: script() })
    const payload = body === undefined ? {} : { payload: JSON.stringify(body) }
    const reply = await app.inject({ method: method === 'get' ? 'GET' : 'POST', url: path, ...payload })
    expect(reply.statusCode, reply.body).toBe(200)
    const schema = await schemaOf(method, path, 'application/json')
    expect(schema.safeParse(JSON.parse(reply.body))).toMatchObject({ success: true })
  })

  it.each([
    ['/api/generate', { model: 'tiny', prompt: 'x' }, 'application/x-ndjson'],
    ['/api/chat', { model: 'tiny', messages }, 'application/x-ndjson'],
    ['/api/pull', { model: 'x' }, 'application/x-ndjson'],
    ['/v1/chat/completions', { model: 'tiny', messages, stream: true }, 'text/event-stream'],
    ['/v1/completions', { model: 'tiny', prompt: 'x', stream: true }, 'text/event-stream'],
    ['/v1/responses', { model: 'tiny', input: 'x', stream: true }, 'text/event-stream'],
    ['/v1/messages', { model: 'tiny', max_tokens: 5, messages, stream: true }, 'text/event-stream'],
  ])('every piece of %s', async (path, body, type) => {
    const { post } = testApi({ script: script() })
    const reply = await post(path, body)
    expect(reply.headers['content-type']).toBe(type)
    const schema = await schemaOf('post', path, type)
    const pieces = reply.body
      .split('\n')
      .map((line) => line.replace(/^data: /, ''))
      .filter((line) => line.startsWith('{'))
    expect(pieces.length).toBeGreaterThan(0)
    for (const piece of pieces)
      expect(schema.safeParse(JSON.parse(piece)), piece).toMatchObject({ success: true })
  })
})
