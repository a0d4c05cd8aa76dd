import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { InferenceEvent } from '../../inference/index.ts'
import { done, testApi } from '../testing/double.ts'

const open: { close(): Promise<unknown> }[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const app of open.splice(0)) await app.close()
})

/** An API on a port of its own. */
async function listen(options: Parameters<typeof testApi>[0] = {}) {
  const api = testApi(options)
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  open.push(api.app)
  const { port } = api.app.server.address() as AddressInfo
  return { ...api, port, url: `http://127.0.0.1:${port}` }
}

/** A bare connection; `text` is all that was received. */
async function dial(port: number) {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  // Some of these connections are meant to break.
  socket.on('error', (error) => expect(error).toBeInstanceOf(Error))
  await once(socket, 'connect')
  const received: Buffer[] = []
  socket.on('data', (chunk) => received.push(chunk))
  const ended = new Promise<string>((resolve) => {
    socket.on('close', () => resolve(Buffer.concat(received).toString()))
  })
  return { socket, ended, text: () => Buffer.concat(received).toString() }
}

function head(path: string, headers: Record<string, string | number>): string {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

function request(path: string, body: unknown): string {
  const text = JSON.stringify(body)
  return head(path, { 'Content-Length': Buffer.byteLength(text) }) + text
}

const ask = { model: 'tiny', messages: [{ role: 'user', content: 'x' }] }

/** Goes on until its signal aborts, as an engine does; says how many events it gave. */
function endless(text: string, pauseMs: number) {
  const state = { given: 0, ended: false }
  const script = async function* (_request: unknown, signal: AbortSignal): AsyncGenerator<InferenceEvent> {
    try {
      for (;;) {
        if (pauseMs > 0) await sleep(pauseMs, undefined, { signal })
        signal.throwIfAborted()
        state.given++
        yield { type: 'token', text }
      }
    } finally {
      state.ended = true
    }
  }
  return { state, script }
}

describe('clients that leave', () => {
  it('abort the request at once and are logged with 499', async () => {
    const { state, script } = endless('x', 5)
    const { port, signals, access } = await listen({ script })
    const { socket, text } = await dial(port)
    socket.write(request('/api/chat', ask))
    await vi.waitFor(() => expect(text()).toContain('"done":false'))
    const leftMs = performance.now()
    socket.destroy()
    await vi.waitFor(() => expect(signals[0]?.aborted).toBe(true), { interval: 2 })
    expect(performance.now() - leftMs).toBeLessThan(200)
    await vi.waitFor(() => expect(state.ended).toBe(true))
    await vi.waitFor(() => expect(access()[0]).toMatchObject({ status: 499 }))
  })

  it('abort a request that has no answer yet', async () => {
    const script = async function* (_request: unknown, signal: AbortSignal): AsyncGenerator<InferenceEvent> {
      await sleep(60_000, undefined, { signal })
      yield done()
    }
    const { port, signals, access } = await listen({ script })
    const { socket } = await dial(port)
    socket.write(request('/api/generate', { model: 'tiny', prompt: 'x', stream: false }))
    await vi.waitFor(() => expect(signals).toHaveLength(1))
    socket.destroy()
    await vi.waitFor(() => expect(access()[0]).toMatchObject({ status: 499 }))
    expect(signals[0]?.aborted).toBe(true)
  })

  it('in the middle of their body are logged with 499 and reach no router', async () => {
    const { port, asked, access } = await listen()
    const { socket } = await dial(port)
    socket.write(`${head('/api/chat', { 'Content-Length': 1000 })}{"model":`)
    await sleep(50)
    socket.destroy()
    await vi.waitFor(() => expect(access()[0]).toMatchObject({ status: 499 }))
    expect(asked).toEqual([])
  })
})

describe('a client that does not read', () => {
  it('slows its own answer, and loses it after the stall timeout', async () => {
    const { state, script } = endless('x'.repeat(10_000), 0)
    const { port, access, url } = await listen({ script, config: { writeStallTimeoutMs: 400 } })
    const { socket } = await dial(port)
    socket.pause()
    socket.write(request('/api/chat', ask))
    await vi.waitFor(() => expect(state.given).toBeGreaterThan(0))
    await sleep(150)
    const given = state.given
    await sleep(100)
    // Nothing more was made while nothing was read, and others are served.
    expect(state.given).toBe(given)
    expect((await fetch(`${url}/api/version`)).status).toBe(200)
    await vi.waitFor(() => expect(state.ended).toBe(true), { timeout: 3000 })
    await vi.waitFor(() => expect(access().some((line) => line.status === 499)).toBe(true))
  })

  it('loses a whole answer after the stall timeout too', async () => {
    const text = 'x'.repeat(50_000_000)
    const script = async function* (): AsyncGenerator<InferenceEvent> {
      yield { type: 'token', text }
      yield done()
    }
    const { port, access } = await listen({ script, config: { writeStallTimeoutMs: 300 } })
    const { socket } = await dial(port)
    socket.pause()
    socket.write(request('/api/generate', { model: 'tiny', prompt: 'x', stream: false }))
    await vi.waitFor(() => expect(access()[0]).toMatchObject({ status: 499 }), { timeout: 5000 })
  })

  it('gets everything when it reads late', async () => {
    const script = async function* (): AsyncGenerator<InferenceEvent> {
      for (let index = 0; index < 2000; index++) yield { type: 'token', text: `${index} ${'x'.repeat(5000)}` }
      yield done()
    }
    const { port } = await listen({ script })
    const { socket, text } = await dial(port)
    socket.pause()
    socket.write(request('/api/chat', ask))
    await sleep(200)
    socket.resume()
    await vi.waitFor(() => expect(text()).toContain('"done":true'), { timeout: 10_000 })
    const indices = [...text().matchAll(/"content":"(\d+) x/g)].map((match) => Number(match[1]))
    expect(indices).toEqual(Array.from({ length: 2000 }, (_, index) => index))
  })
})

describe('bodies', () => {
  it('that do not arrive in time are refused, and their connection ends', async () => {
    const { port } = await listen({ config: { bodyTimeoutMs: 100 } })
    const { socket, ended } = await dial(port)
    socket.write(`${head('/v1/chat/completions', { 'content-length': 100 })}{"model":`)
    await vi.waitFor(
      async () => expect(await ended).toMatch(/^HTTP\/1\.1 408 .*did not arrive within 0\.1 s/s),
      5000,
    )
  })

  it('of blobs may take long as long as they come, and no longer', async () => {
    const kept: string[] = []
    const putBlob = async (_digest: string, content: AsyncIterable<Uint8Array>) => {
      for await (const chunk of content) kept.push(Buffer.from(chunk).toString())
      return true
    }
    const limits = { bodyTimeoutMs: 100, writeStallTimeoutMs: 150 }
    const { port } = await listen({ store: { putBlob }, config: limits })
    const path = `/api/blobs/sha256:${'0'.repeat(64)}`
    const steady = await dial(port)
    steady.socket.write(head(path, { 'content-length': 5 }))
    for (const letter of 'abcde') {
      await sleep(60)
      steady.socket.write(letter)
    }
    await vi.waitFor(() => expect(steady.text()).toMatch(/^HTTP\/1\.1 201/), 5000)
    expect(kept.join('')).toBe('abcde')
    const stuck = await dial(port)
    stuck.socket.write(`${head(path, { 'content-length': 5 })}a`)
    expect(await stuck.ended).toBe('')
  })

  it('of 100 MB are taken where they may be so large', async () => {
    const { url, asked } = await listen({ config: { maxBodyBytes: 256 * 2 ** 20 } })
    const image = Buffer.alloc(75_000_000, 1).toString('base64')
    const reply = await fetch(`${url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'x', images: [image] }] }),
    })
    expect(reply.status).toBe(200)
    expect(await reply.text()).toContain('"done":true')
    const [request] = asked
    expect(request?.kind === 'chat' && request.messages[0]?.images?.[0]?.length).toBe(75_000_000)
  })

  it.each([
    ['announced', (body: string) => body],
    ['in chunks', (body: string) => new Blob([body]).stream()],
  ])('above the limit (%s) get 413 in the envelope of the dialect', async (_how, wrap) => {
    const { url, asked } = await listen({ config: { maxBodyBytes: 1_000_000 } })
    const body = JSON.stringify({ ...ask, padding: 'x'.repeat(3_000_000) })
    const send = (path: string) =>
      fetch(url + path, { method: 'POST', body: wrap(body), duplex: 'half' } as RequestInit)
    const reply = await send('/api/chat')
    expect(reply.status).toBe(413)
    const words =
      "request body is larger than 1000000 bytes; send fewer or smaller images, or raise the server's limit"
    expect(await reply.json()).toEqual({ error: words })
    const openAi = await send('/v1/chat/completions')
    expect(await openAi.json()).toEqual({
      error: { message: words, type: 'api_error', param: null, code: null },
    })
    expect(asked).toEqual([])
  })

  it('above the limit are thrown away, and the connection ends', async () => {
    const { port, access } = await listen({ config: { maxBodyBytes: 1000 } })
    const { socket, ended } = await dial(port)
    socket.write(head('/api/chat', { 'Content-Length': 10_000_000_000 }))
    const timer = setInterval(() => socket.writable && socket.write(Buffer.alloc(65_536, 'x')), 1)
    const text = await ended
    clearInterval(timer)
    expect(text).toMatch(/^HTTP\/1\.1 413 /)
    expect(text).toMatch(/connection: close/i)
    await vi.waitFor(() => expect(access()[0]).toMatchObject({ status: 413, error: 'body_too_large' }))
  })

  it('that are large and many at once are told to come again', async () => {
    const { port, url } = await listen({ config: { maxBodyBytes: 1_000_000 } })
    const started: Awaited<ReturnType<typeof dial>>[] = []
    for (let index = 0; index < 5; index++) {
      const client = await dial(port)
      client.socket.write(head('/api/chat', { 'Content-Length': 1_000_000 }) + ' '.repeat(999_999))
      started.push(client)
    }
    await vi.waitFor(() => expect(started.some(({ text }) => text().includes('HTTP/1.1 503'))).toBe(true))
    expect(started.filter(({ text }) => text() !== '')).toHaveLength(1)
    for (const { socket } of started) socket.destroy()
    await sleep(50)
    const reply = await fetch(`${url}/api/chat`, { method: 'POST', body: JSON.stringify(ask) })
    expect(reply.status).toBe(200)
  })

  it('that end early are an unexpected EOF', async () => {
    const { port } = await listen()
    const { socket, ended } = await dial(port)
    socket.end(`${head('/api/chat', { 'Content-Length': 1000 })}{"model":"tiny"`)
    const text = await ended
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request/)
    expect(text).toContain('{"error":"unexpected EOF"}')
  })

  it('that are broken leave the connection usable', async () => {
    const { port } = await listen()
    const { socket, text } = await dial(port)
    socket.write(`${head('/api/chat', { 'Content-Length': 3 })}{"a`)
    await vi.waitFor(() => expect(text()).toContain('unexpected EOF'))
    socket.write(request('/api/chat', { ...ask, stream: false }))
    await vi.waitFor(() => expect(text()).toContain('"done":true'))
  })

  it('may come byte by byte, split within characters', async () => {
    const { port, asked } = await listen()
    const { socket, text } = await dial(port)
    const body = Buffer.from(JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'é😀' }] }))
    socket.setNoDelay(true)
    socket.write(head('/api/chat', { 'Transfer-Encoding': 'chunked' }))
    for (const byte of body) {
      socket.write(Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]))
      await sleep(0)
    }
    socket.write('0\r\n\r\n')
    await vi.waitFor(() => expect(text()).toContain('"done":true'))
    expect(asked[0]).toMatchObject({ messages: [{ content: 'é😀' }] })
  })
})

describe('headers', () => {
  it.each([
    ['no host', 'GET /api/version HTTP/1.1\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['no HTTP', 'hello\r\n\r\n', /^HTTP\/1\.1 400 Bad Request/],
    ['HTTP/1.0 without host', 'GET /api/version HTTP/1.0\r\n\r\n', /^HTTP\/1\.1 200 OK/],
    [
      'headers of 2 MiB',
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(2 ** 21)}\r\n\r\n`,
      /^HTTP\/1\.1 431 /,
    ],
  ])('%s', async (_what, bytes, answer) => {
    const { port } = await listen()
    const { socket, ended } = await dial(port)
    socket.write(bytes)
    expect(await ended).toMatch(answer)
  })

  it('of 2 MiB end the connection, and only that', async () => {
    const { port, url } = await listen()
    const { socket, ended } = await dial(port)
    socket.write(`GET /api/version HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(2 ** 21)}\r\n\r\n`)
    expect(await ended).not.toContain('200 OK')
    expect((await fetch(`${url}/api/version`)).status).toBe(200)
  })

  it('of 500 kB are taken', async () => {
    const { url } = await listen()
    const reply = await fetch(`${url}/api/version`, { headers: { cookie: 'x'.repeat(500_000) } })
    expect(reply.status).toBe(200)
  })

  it('a stream is chunked, and its first line comes before the second is made', async () => {
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const script = async function* (): AsyncGenerator<InferenceEvent> {
      yield { type: 'token', text: 'first' }
      await held
      yield done()
    }
    const { port } = await listen({ script })
    const { socket, text } = await dial(port)
    socket.write(request('/api/chat', ask))
    await vi.waitFor(() => expect(text()).toContain('first'))
    expect(text().toLowerCase()).toContain('transfer-encoding: chunked')
    expect(text()).not.toContain('"done":true')
    release()
    await vi.waitFor(() => expect(text()).toContain('"done":true'))
  })
})
