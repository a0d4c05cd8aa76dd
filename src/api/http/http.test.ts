import { describe, expect, it } from 'vitest'
import { testApi } from '../testing/double.ts'

describe('pages', () => {
  const { app } = testApi()

  it.each(['GET', 'HEAD'] as const)('%s / greets', async (method) => {
    const reply = await app.inject({ method, url: '/' })
    expect(reply.statusCode).toBe(200)
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(reply.body).toBe(method === 'GET' ? 'Ollama is running' : '')
    expect(reply.headers['content-length']).toBe('17')
  })

  it('tells version and status', async () => {
    const version = await app.inject('/api/version')
    expect(version.body).toBe('{"version":"0.33.0"}')
    expect(version.headers['content-type']).toBe('application/json; charset=utf-8')
    expect((await app.inject({ method: 'HEAD', url: '/api/version' })).statusCode).toBe(200)
    expect(JSON.parse((await app.inject('/api/status')).body)).toEqual({
      cloud: { disabled: true, source: 'config' },
    })
  })

  it.each([
    ['GET', '/nope', 404, '404 page not found'],
    ['POST', '/', 405, '405 method not allowed'],
    ['GET', '/api/generate', 405, '405 method not allowed'],
    ['HEAD', '/api/ps', 405, ''],
    ['DELETE', '/v1/models/tiny', 405, '405 method not allowed'],
    ['GET', '/API/tags', 404, '404 page not found'],
  ] as const)('%s %s is %i', async (method, url, status, body) => {
    const reply = await app.inject({ method, url })
    expect([reply.statusCode, reply.body]).toEqual([status, body])
    expect(reply.headers['content-type']).toBe('text/plain')
  })

  it.each([
    ['GET', '/api/tags/', 301, '/api/tags'],
    ['GET', '/api/tags/?a=1', 301, '/api/tags?a=1'],
    ['HEAD', '/api/tags/', 307, '/api/tags'],
    ['POST', '/api/chat/', 307, '/api/chat'],
    ['GET', '/v1/models/tiny/', 301, '/v1/models/tiny'],
    ['GET', '/v1/models/', 301, '/v1/models'],
  ] as const)('%s %s is redirected', async (method, url, status, location) => {
    const reply = await app.inject({ method, url })
    expect([reply.statusCode, reply.headers.location]).toEqual([status, location])
  })
})

describe('the host check', () => {
  it.each([
    ['localhost:11434', 200],
    ['127.0.0.1', 200],
    ['127.1.2.3:1', 200],
    ['[::1]:11434', 200],
    ['::1', 200],
    ['0.0.0.0', 200],
    ['192.168.1.5', 200],
    ['10.0.0.1:80', 200],
    ['BOX.local', 200],
    ['a.b.internal:1', 200],
    ['x.localhost', 200],
    ['evil.example', 403],
    ['8.8.8.8', 403],
    ['localhost.evil.example', 403],
    ['local', 403],
  ])('%s is %i on a loopback listener', async (host, status) => {
    const { app } = testApi()
    const reply = await app.inject({ url: '/api/version', headers: { host } })
    expect([reply.statusCode, status === 403 ? reply.body : '']).toEqual([status, ''])
  })

  it('does not look when others can connect anyway', async () => {
    const { app } = testApi({ config: { listenHost: '0.0.0.0' } })
    expect((await app.inject({ url: '/', headers: { host: 'gpu.example' } })).statusCode).toBe(200)
  })

  it('answers OPTIONS without an origin with 204', async () => {
    const { app } = testApi()
    expect((await app.inject({ method: 'OPTIONS', url: '/api/chat' })).statusCode).toBe(204)
  })
})

describe('origins', () => {
  it.each([
    ['http://localhost', 200],
    ['https://localhost:3000', 200],
    ['http://127.0.0.1:8080', 200],
    ['app://obsidian.md', 200],
    ['vscode-webview://abc', 200],
    ['https://mine.example', 200],
    ['https://a.wild.example', 200],
    ['http://evil.example', 403],
    ['http://localhost.evil.example', 403],
  ])('%s is %i', async (origin, status) => {
    const { app } = testApi({ config: { origins: ['https://mine.example', 'https://*.wild.example'] } })
    const reply = await app.inject({ url: '/api/version', headers: { origin } })
    expect(reply.statusCode).toBe(status)
    expect(reply.headers['access-control-allow-origin']).toBe(status === 200 ? origin : undefined)
  })

  it('answers a preflight', async () => {
    const { app } = testApi()
    const reply = await app.inject({
      method: 'OPTIONS',
      url: '/api/chat',
      headers: { origin: 'http://localhost:3000', 'access-control-request-method': 'POST' },
    })
    expect(reply.statusCode).toBe(204)
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': 'http://localhost:3000',
      'access-control-allow-methods': 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS',
      'access-control-max-age': '43200',
    })
    expect(reply.headers['access-control-allow-headers']).toMatch(
      /Authorization,Content-Type.*X-Stainless-Timeout/,
    )
  })

  it('lets every origin in where the configuration says so, and its headers are on streams too', async () => {
    const { app } = testApi({ config: { origins: ['*'] } })
    const reply = await app.inject({
      method: 'POST',
      url: '/api/chat',
      headers: { origin: 'http://evil.example' },
      payload: { model: 'tiny', messages: [{ role: 'user', content: 'x' }] },
    })
    expect([reply.statusCode, reply.headers['access-control-allow-origin']]).toEqual([200, '*'])
  })

  it('takes the server talking to itself for no cross-origin request', async () => {
    const { app } = testApi({ config: { listenHost: '0.0.0.0' } })
    const headers = { host: 'gpu.example:80', origin: 'http://gpu.example:80' }
    expect((await app.inject({ url: '/', headers })).statusCode).toBe(200)
  })
})
