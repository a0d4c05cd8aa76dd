import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createClient, createEventSplitter, type ServerEvent } from './client.ts'

function split(bytes: Buffer, cuts: readonly number[]): ServerEvent[] {
  const events: ServerEvent[] = []
  const push = createEventSplitter()
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const to of [...places, bytes.length]) {
    push(bytes.subarray(from, to), events)
    from = to
  }
  return events
}

describe('the splitter of server-sent events', () => {
  it('gives the same events however the bytes are cut, inside characters too', () => {
    const event = fc.record({ content: fc.string({ unit: 'grapheme' }), tokens: fc.array(fc.nat()) })
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.nat()), (events, cuts) => {
        const bytes = Buffer.from(events.map((data) => `data: ${JSON.stringify(data)}\n\n`).join(''))
        expect(split(bytes, cuts)).toEqual(events)
      }),
    )
  })

  it('passes over pings, other fields and the end mark', () => {
    const text = ': ping\n\nevent: x\ndata: {"a":1}\n\ndata: [DONE]\n\ndata: {"unfinished":'
    expect(split(Buffer.from(text), [])).toEqual([{ a: 1 }])
  })
})

describe('the client', () => {
  it('sends a request again when its kept connection turns out to be closed', async () => {
    const served = new WeakSet<object>()
    let dropped = 0
    const server = createServer((request, response) => {
      if (served.has(request.socket)) {
        dropped++
        request.socket.destroy()
        return
      }
      served.add(request.socket)
      response.end(request.url === '/stream' ? 'data: {"a":1}\n\n' : '{"b":2}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = createClient({ port: (server.address() as AddressInfo).port }, 'key', 1)
    for (let round = 0; round < 3; round++) {
      expect(await client.json('POST', '/json', {})).toEqual({ b: 2 })
      const stream = client.stream('/stream', {})
      expect(await stream.next()).toEqual([{ a: 1 }])
      expect(await stream.next()).toBeUndefined()
    }
    expect(dropped).toBe(5)
    await client.close()
    server.close()
  })

  it('tells a server that breaks off in the middle of an answer', async () => {
    const server = createServer((request, response) => {
      response.write('data: {"a":1}\n\n', () => request.socket.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = createClient({ port: (server.address() as AddressInfo).port }, 'key', 1)
    const stream = client.stream('/stream', {})
    expect(await stream.next()).toEqual([{ a: 1 }])
    await expect(stream.next()).rejects.toThrow()
    await client.close()
    server.close()
  })
})
