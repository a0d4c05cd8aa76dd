import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from './client.ts'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** A server that answers as told, and a client of it. */
async function clientOf(listener: RequestListener) {
  const started = createServer(listener)
  server = started
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
  const { port } = started.address() as AddressInfo
  return createClient({ scheme: 'http', address: '127.0.0.1', port, path: '' })
}

async function collect<T>(parts: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const part of parts) all.push(part)
  return all
}

describe('the client of the command line', () => {
  it('gets, and posts a body', async () => {
    const client = await clientOf(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      response.end(JSON.stringify({ method: request.method, url: request.url, body }))
    })
    expect(await client.get('/api/tags')).toEqual({ method: 'GET', url: '/api/tags', body: '' })
    expect(await client.post('/api/x', { a: 1 })).toEqual({ method: 'POST', url: '/api/x', body: '{"a":1}' })
  })

  it('reads a stream whose lines and characters are cut anywhere', async () => {
    const bytes = Buffer.from('{"response":"ü"}\n{"response":"€"}\n{"done":true}')
    const client = await clientOf(async (_, response) => {
      for (const byte of bytes) {
        response.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      response.end()
    })
    expect(await collect(client.stream('/x', {}))).toEqual([
      { response: 'ü' },
      { response: '€' },
      { done: true },
    ])
  })

  it('throws what the server says, with its status', async () => {
    const client = await clientOf((_, response) =>
      response.writeHead(404).end('{"error":"model \'x\' not found"}'),
    )
    await expect(client.post('/api/generate', {})).rejects.toMatchObject({
      message: "model 'x' not found",
      status: 404,
    })
  })

  it('names the status where an answer was to be streamed, as Ollama does', async () => {
    const client = await clientOf((_, response) => response.writeHead(500).end('{"error":"no memory"}'))
    await expect(collect(client.stream('/x', {}))).rejects.toThrow('500 Internal Server Error: no memory')
  })

  it('uploads a blob, and gives up at once when it is refused', async () => {
    const client = await clientOf((request, response) => {
      if (request.method === 'HEAD') return void response.writeHead(404).end()
      if (request.url?.includes('bad')) return void response.writeHead(400).end('{"error":"digest mismatch"}')
      request.resume().on('end', () => response.writeHead(201).end())
    })
    expect(await client.hasBlob('sha256:x')).toBe(false)
    await client.putBlob('sha256:good', Readable.from([Buffer.alloc(1e6)]))
    const endless = Readable.from(
      (async function* () {
        for (;;) yield Buffer.alloc(1e5)
      })(),
    )
    await expect(client.putBlob('sha256:bad', endless)).rejects.toThrow('digest mismatch')
  })

  it('throws an error that comes in the middle of a stream', async () => {
    const client = await clientOf((_, response) =>
      response.end('{"response":"a"}\n{"error":"engine ended"}\n'),
    )
    await expect(collect(client.stream('/x', {}))).rejects.toThrow('engine ended')
  })

  it('shows the text of an error that is no JSON, and the status of one without text', async () => {
    const client = await clientOf((request, response) =>
      response.writeHead(502).end(request.url === '/text' ? 'Bad Gateway\n' : '{}'),
    )
    await expect(client.get('/text')).rejects.toThrow('Bad Gateway')
    await expect(client.get('/empty')).rejects.toThrow('HTTP status 502')
  })

  it('says where nothing answers and how to start a server', async () => {
    const client = createClient({ scheme: 'http', address: '127.0.0.1', port: await freePort(), path: '' })
    await expect(client.get('/')).rejects.toThrow(
      /^could not connect to drover server, run 'drover serve' to start it, or set OLLAMA_HOST \(nothing answers at http:\/\/127\.0\.0\.1:\d+\)$/,
    )
  })
})

/** A port on which nobody listens: one that was just given back. */
async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  const refused = await new Promise<boolean>((resolve) => {
    connect(port, '127.0.0.1')
      .once('error', () => resolve(true))
      .once('connect', () => resolve(false))
  })
  expect(refused).toBe(true)
  return port
}
