import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type PeerCertificate } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { isAlive, until } from '../../../../test/support/drover.ts'
import { ensureLlamaServer, testEnginesDir } from '../../../../test/support/llama-server.ts'
import { askProtocol } from './hello.ts'
import { clientTls, ensureTunnelKey, readTunnelKey, tunnelKey } from './key.ts'
import { measureNetwork } from './measure.ts'
import { openTunnel, parseAddress } from './open-tunnel.ts'
import { findRpcProgram } from './program.ts'
import { serveTunnel, type TunnelServer } from './serve-tunnel.ts'
import { type RpcWorker, startRpcWorker } from './worker.ts'

const key = tunnelKey(randomUUID())
const program = await findRpcProgram({ serverPath: await ensureLlamaServer(), enginesDir: testEnginesDir })
const started: RpcWorker[] = []
const limits: (number | undefined)[] = []
const said: string[] = []
let server: TunnelServer

async function serve(memoryBytes?: number): Promise<TunnelServer> {
  return serveTunnel({
    host: '127.0.0.1',
    port: 0,
    key,
    engineVersion: program.version,
    ...(memoryBytes !== undefined && { memoryBytes }),
    startWorker: async (bytes) => {
      limits.push(bytes)
      const worker = await startRpcWorker(program, { threads: 1 })
      started.push(worker)
      return worker
    },
    log: (message) => said.push(message),
  })
}

beforeAll(async () => {
  server = await serve()
})
afterAll(() => server?.close())

/** A way to a server that takes so long for each piece, and carries no more than so much. */
async function slowLine(wished: { host: string; port: number; bytesPerS: number; delayMs: number }) {
  let bytes = 0
  const slowly = (from: Socket, to: Socket) => {
    let freeAtMs = 0
    from.on('data', (chunk) => {
      bytes += chunk.length
      const nowMs = performance.now()
      freeAtMs = Math.max(freeAtMs, nowMs) + (chunk.length / wished.bytesPerS) * 1000
      setTimeout(() => to.write(chunk), freeAtMs - nowMs + wished.delayMs)
    })
    from.on('error', () => from.destroy())
    from.on('close', () => to.destroy())
  }
  const listener = createServer((near) => {
    const far = connect(wished)
    slowly(near, far)
    slowly(far, near)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const bound = listener.address()
  const port = typeof bound === 'object' && bound ? bound.port : 0
  return { address: `127.0.0.1:${port}`, bytes: () => bytes, close: () => listener.close() }
}

describe('a tunnel', () => {
  it('leads to a worker of its own, which ends with it', async () => {
    const first = await openTunnel({ address: server.address, key })
    const second = await openTunnel({ address: server.address, key })
    const workers = started.slice(-2)
    expect(server.sessions()).toBe(2)
    expect(first.worker).toMatchObject({ engineVersion: program.version, devices: workers[0]?.devices })
    expect(await askProtocol(first.port, 2000)).toBe(first.worker.protocol)
    expect(await askProtocol(second.port, 2000)).toBe(second.worker.protocol)
    await first.close()
    await until('the worker has ended', 5000, () => !isAlive(workers[0]?.pid ?? 0))
    expect(isAlive(workers[1]?.pid ?? 0)).toBe(true)
    await second.close()
    await until('the other has ended too', 5000, () => !isAlive(workers[1]?.pid ?? 0))
    await expect(askProtocol(first.port, 500)).rejects.toThrow()
    expect(server.sessions()).toBe(0)
  })

  it('is measured by what it carries, on the way that engines take', async () => {
    const network = await measureNetwork(server.address, key)
    // Nothing near what either machine can do: a loopback of a busy machine, and no network.
    expect(network?.roundTripMs).toBeGreaterThan(0.005)
    expect(network?.roundTripMs).toBeLessThan(200)
    expect(network?.bytesPerS).toBeGreaterThan(1e4)
    expect(network?.bytesPerS).toBeLessThan(100e9)
    expect(await measureNetwork(server.address, tunnelKey(randomUUID()))).toBeUndefined()
  })

  it('is measured as the slow line that lies between', async () => {
    const [host = '', port = ''] = server.address.split(':')
    const line = await slowLine({ host, port: Number(port), bytesPerS: 2e6, delayMs: 5 })
    const startMs = performance.now()
    const network = await measureNetwork(line.address, key)
    expect(performance.now() - startMs).toBeLessThan(5_000)
    expect(network?.roundTripMs).toBeGreaterThanOrEqual(9.5)
    expect(network?.bytesPerS).toBeLessThan(4e6)
    expect(line.bytes()).toBeLessThan(5 * 2 ** 20)
    line.close()
  })

  it('tells at once when its worker is lost', async () => {
    const tunnel = await openTunnel({ address: server.address, key })
    process.kill(-(started.at(-1)?.pid ?? 0), 'SIGKILL')
    expect(await tunnel.lost).toBe('signal SIGKILL')
    await expect(askProtocol(tunnel.port, 500)).rejects.toThrow()
  })

  it('is refused for a while where one worker after the other crashes as soon as it runs', async () => {
    const next = await openTunnel({ address: server.address, key })
    process.kill(-(started.at(-1)?.pid ?? 0), 'SIGKILL')
    await next.lost
    await expect(openTunnel({ address: server.address, key })).rejects.toThrow(
      /^worker 127\.0\.0\.1:\d+ cannot be used: its workers crash as soon as they run: the next is started in 1 s/,
    )
    await vi.waitFor(async () => (await openTunnel({ address: server.address, key })).close(), 5000)
  })

  it('gives each worker what the others have left of the memory', async () => {
    const small = await serve(100 * 2 ** 20)
    const first = await openTunnel({ address: small.address, key })
    const second = await openTunnel({ address: small.address, key })
    expect(first.worker.memoryBytes).toBe(100 * 2 ** 20)
    const [all, rest = 0] = limits.slice(-2)
    expect(all).toBe(100 * 2 ** 20)
    expect(rest).toBeLessThan(100 * 2 ** 20)
    expect(rest).toBeGreaterThan(10 * 2 ** 20)
    await small.close()
    expect(await first.lost).not.toBe('')
    expect(await second.lost).not.toBe('')
    expect(started.filter(({ pid }) => isAlive(pid))).toEqual([])
  })
})

describe('nobody without the key', () => {
  it('gets a worker, and is told why', async () => {
    const before = started.length
    await expect(openTunnel({ address: server.address, key: tunnelKey('another') })).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: `worker ${server.address} cannot be used: it has another key (both ends need the same key file)`,
    })
    expect(started).toHaveLength(before)
    await vi.waitFor(() => expect(said.at(-1)).toBe('turned 127.0.0.1 away: it has another key'))
  })

  it('gets an answer to anything that is not encrypted', async () => {
    const { host, port } = parseAddress(server.address)
    const socket = connect({ host, port })
    const answer: Buffer[] = []
    socket.on('data', (chunk) => answer.push(chunk))
    socket.on('error', () => undefined)
    socket.write('{"open":"session"}\n')
    await new Promise((resolve) => socket.once('close', resolve))
    // At most a TLS alert (type 21).
    expect(Buffer.concat(answer)[0] ?? 21).toBe(21)
  })

  it('is taken for a worker, whatever it answers or shows', async () => {
    const stranger = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400\r\n\r\n'))
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const bound = stranger.address()
    const address = `127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}`
    await expect(openTunnel({ address, key })).rejects.toMatchObject({ code: 'engine_unavailable' })
    stranger.close()
    const { checkServerIdentity, minVersion } = clientTls(key)
    expect(minVersion).toBe('TLSv1.3')
    expect(checkServerIdentity?.('any', {} as PeerCertificate)).toBeInstanceOf(Error)
  })

  it('finds a session of which it has not the name', async () => {
    const tunnel = await openTunnel({ address: server.address, key })
    const socket = connectTls({ ...clientTls(key), ...parseAddress(server.address) })
    socket.on('error', () => undefined)
    socket.write('{"open":"data","session":"0000"}\n')
    await new Promise((resolve) => socket.once('close', resolve))
    expect(await askProtocol(tunnel.port, 2000)).toBe(tunnel.worker.protocol)
    await tunnel.close()
  })
})

describe('a key file', () => {
  it('is written once, for its user only, and read after that', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'drover-key-'))
    const path = join(folder, 'key')
    const made = await ensureTunnelKey(path)
    expect(made.isNew).toBe(true)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const again = await ensureTunnelKey(path)
    expect(again).toEqual({ key: made.key, isNew: false })
    expect(await readTunnelKey(path)).toEqual(made.key)
    expect(made.key.secret).toHaveLength(32)
    await rm(folder, { recursive: true })
    await expect(readTunnelKey(path)).rejects.toThrow('the key of RPC workers cannot be read')
  })

  it('is refused when it is too short to be one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'drover-key-'))
    await writeFile(join(folder, 'key'), 'secret\n')
    await expect(readTunnelKey(join(folder, 'key'))).rejects.toThrow('holds 6 characters, too few')
    await rm(folder, { recursive: true })
  })
})

it('an address is host and port', () => {
  expect(parseAddress('gpu-box:50052')).toEqual({ host: 'gpu-box', port: 50052 })
  expect(parseAddress('[fd00::1]:1')).toEqual({ host: 'fd00::1', port: 1 })
  for (const bad of ['gpu-box', 'fd00::1', ':1', 'a:99999', 'http://a:1']) {
    expect(() => parseAddress(bad)).toThrow(`"${bad}" is no address of an RPC worker: write host:port`)
  }
})
