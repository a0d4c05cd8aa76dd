import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient, createLineSplitter, type OllamaLine } from './client.ts'

describe('NDJSON', () => {
  it('gives the same values wherever the bytes are cut', () => {
    const values = fc.array(fc.record({ response: fc.string({ unit: 'binary' }), done: fc.boolean() }))
    fc.assert(
      fc.property(values, fc.array(fc.nat(2_000), { maxLength: 20 }), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
        const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
          (a, b) => a - b,
        )
        const split = createLineSplitter()
        const read: OllamaLine[] = at.flatMap((start, index) => split(bytes.subarray(start, at[index + 1])))
        expect(read).toEqual(JSON.parse(JSON.stringify(lines)))
      }),
    )
  })

  it('passes over empty lines, and keeps what has no end yet', () => {
    const split = createLineSplitter()
    expect(split(Buffer.from('\n{"a":1}\n\n{"b"'))).toEqual([{ a: 1 }])
    expect(split(Buffer.from(':2}\n'))).toEqual([{ b: 2 }])
  })
})

describe('a client', () => {
  const open: (() => Promise<unknown>)[] = []
  afterEach(() => Promise.all(open.splice(0).map((close) => close())))

  async function served(listener: RequestListener, prefix = '', login = '') {
    const server = createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const client = createClient(`http://${login}127.0.0.1:${port}${prefix}`)
    open.push(() => client.close().then(() => new Promise((resolve) => server.close(resolve))))
    return client
  }

  it('asks below the path of its URL, with the name and password that it carries', async () => {
    const client = await served(
      ({ url, headers }, response) => response.end(JSON.stringify({ url, login: headers.authorization })),
      '/ollama/',
      'me:p%40ss@',
    )
    expect(await client.json('GET', '/api/ps')).toEqual({
      url: '/ollama/api/ps',
      login: `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
    })
  })

  it.each([
    ['{"error":"no room"}', 'no room'],
    ['<html>502</html>', '<html>502</html>'],
    ['', 'status 502'],
  ])('tells a refusal that reads %j', async (body, message) => {
    const client = await served((_request, response) => response.writeHead(502).end(body))
    await expect(client.json('POST', '/api/generate', {})).rejects.toMatchObject({ status: 502, message })
  })

  it('closes the connection of a stream that is not read to its end', async () => {
    let closed: () => void = () => undefined
    const over = new Promise<void>((resolve) => {
      closed = resolve
    })
    const client = await served((_request, response) => {
      response.on('close', closed)
      response.write('{"response":"a"}\n')
    })
    const { signal } = new AbortController()
    for await (const lines of client.lines('/api/generate', {}, signal)) {
      expect(lines).toEqual([{ response: 'a' }])
      break
    }
    await over
  })

  it('reads no faster than its lines are taken', async () => {
    let written = 0
    const line = `${JSON.stringify({ response: 'x'.repeat(10_000) })}\n`
    const client = await served((_request, response) => {
      const write = () => {
        while (written < 100_000_000 && response.write(line)) written += line.length
      }
      response.on('drain', write)
      write()
    })
    const stream = client.lines('/api/generate', {}, new AbortController().signal)[Symbol.asyncIterator]()
    await stream.next()
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(written).toBeLessThan(20_000_000)
    await stream.return?.()
  })
})
