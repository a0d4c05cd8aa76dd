/** Against libzmq, as vLLM and SGLang publish with it, and against what is no ZeroMQ at all. */
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type EventPublisher, publishEvents, socketPlace } from '../../../test/support/kv-events.ts'
import { subscribe } from './zmtp.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})
const kept = <T extends { close(): unknown }>(one: T): T => {
  open.push(one)
  return one
}

/** A subscriber that notes what it gets; `next` resolves with the next of that. */
function noting(endpoint: string, topic = '') {
  const noted: (string[] | 'subscribed' | Error)[] = []
  let wake: () => void = () => undefined
  const note = (one: (typeof noted)[number]) => {
    noted.push(one)
    wake()
  }
  kept(
    subscribe({
      endpoint,
      topic,
      onMessage: (frames) => note(frames.map((frame) => frame.toString('latin1'))),
      onSubscribed: () => note('subscribed'),
      onLost: (reason) => note(new Error(reason)),
    }),
  )
  return {
    async next() {
      while (noted.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      return noted.shift()
    },
  }
}

async function publisher(endpoint: string): Promise<EventPublisher> {
  return kept(await publishEvents(endpoint))
}

async function ipc(): Promise<string> {
  const place = await socketPlace()
  kept({ close: place.remove })
  return place.endpoint
}

describe('a subscriber', () => {
  it.each([
    ['tcp', async () => 'tcp://127.0.0.1:*'],
    ['ipc', ipc],
  ])('gets messages over %s with all their frames, of every size, in order', async (_, place) => {
    const events = await publisher(await place())
    const inbox = noting(events.endpoint)
    expect(await inbox.next()).toBe('subscribed')
    await events.subscribed()
    // Around the bounds between short and long frames, and larger than any chunk of a socket.
    const frames = [0, 1, 255, 256, 65_536, 3_000_000].map((size, at) => `${at}`.repeat(size))
    await events.send('one')
    await events.send(...frames)
    await events.send('two', 'three')
    expect(await inbox.next()).toEqual(['one'])
    expect((await inbox.next()) as string[]).toEqual(frames)
    expect(await inbox.next()).toEqual(['two', 'three'])
  })

  it('gets what begins with its topic', async () => {
    const events = await publisher(await ipc())
    const inbox = noting(events.endpoint, 'kv')
    await events.subscribed()
    expect(await inbox.next()).toBe('subscribed')
    await events.send('other', 'a')
    await events.send('kv-events', 'b')
    expect(await inbox.next()).toEqual(['kv-events', 'b'])
  })

  it('subscribes again when its publisher has come back, and when it comes late', async () => {
    const endpoint = await ipc()
    const inbox = noting(endpoint)
    expect(await inbox.next()).toMatchObject({ message: expect.stringContaining('ENOENT') })
    for (const word of ['first', 'second']) {
      const events = await publishEvents(endpoint)
      await events.subscribed()
      await events.send(word)
      let said = await inbox.next()
      while (said instanceof Error) said = await inbox.next()
      expect(said).toBe('subscribed')
      expect(await inbox.next()).toEqual([word])
      events.close()
      expect(await inbox.next()).toBeInstanceOf(Error)
    }
  })
})

describe('a peer that', () => {
  /** Says this to whoever comes. */
  async function peer(talk: (socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>()
    const server: Server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      talk(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    kept({
      close: () => {
        for (const socket of sockets) socket.destroy()
        server.close()
      },
    })
    const address = server.address()
    return `tcp://127.0.0.1:${typeof address === 'object' && address?.port}`
  }

  const greeting = Buffer.alloc(64)
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1])
  greeting.write('NULL', 12)
  const changed = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(greeting)
    change(bytes)
    return bytes
  }
  const command = (name: string, rest = '') => {
    const body = Buffer.from(String.fromCharCode(name.length) + name + rest, 'latin1')
    return Buffer.concat([Buffer.of(4, body.length), body])
  }

  it.each([
    [
      'is no ZeroMQ socket',
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'what answers there is no ZeroMQ socket',
    ],
    ['is too old', changed((bytes) => bytes.fill(2, 10, 11)), 'speaks version 2 of ZMTP'],
    ['wants a key', changed((bytes) => bytes.write('CURVE', 12)), 'wants security by CURVE'],
    ['refuses', Buffer.concat([greeting, command('ERROR', '\x04busy')]), 'the publisher refuses: busy'],
    [
      'announces a frame beyond all bounds',
      Buffer.concat([greeting, command('READY'), Buffer.of(2, 0, 0, 1, 0, 0, 0, 0, 0)]),
      `a frame of ${2 ** 40} bytes is announced`,
    ],
  ])('%s is left, and tried again', async (_, bytes, reason) => {
    const inbox = noting(await peer((socket) => socket.write(bytes)))
    for (let tries = 0; tries < 2; tries++) {
      let said = await inbox.next()
      if (said === 'subscribed') said = await inbox.next()
      expect(said).toMatchObject({ message: expect.stringContaining(reason) })
    }
  })

  it('asks whether anybody is there gets its words back, whatever bytes they come by', async () => {
    let answer: (bytes: Buffer) => void = () => undefined
    const answered = new Promise<Buffer>((resolve) => {
      answer = resolve
    })
    const endpoint = await peer((socket) => {
      let heard = Buffer.alloc(0)
      socket.on('data', (chunk) => {
        heard = Buffer.concat([heard, chunk])
        if (heard.includes('words')) answer(heard)
      })
      const all = Buffer.concat([greeting, command('READY'), command('PING', '\x00\x0awords')])
      for (let at = 0; at < all.length; at += 5) socket.write(all.subarray(at, at + 5))
    })
    const inbox = noting(endpoint)
    expect(await inbox.next()).toBe('subscribed')
    expect((await answered).subarray(-12)).toEqual(command('PONG', 'words'))
  })
})
