import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What goes wrong with one answer. Bytes count from the beginning of its body. */
export interface Fault {
  /** Answered instead of what the server says. */
  status?: number
  headers?: Record<string, string>
  body?: string
  delayMs?: number
  /** The connection ends here. */
  cutAt?: number
  /** Nothing more comes from here on, and the connection stays. */
  stallAt?: number
  /** This byte is changed. */
  corruptAt?: number
  /** The connection ends when so much of the request's body has come. */
  cutRequestAt?: number
  bytesPerSecond?: number
}

export interface ProxiedRequest {
  method: string
  path: string
  headers: IncomingMessage['headers']
  /** Requests before this one. */
  index: number
}

/** Decides what goes wrong with a request; undefined lets it pass. */
export type Mischief = (request: ProxiedRequest) => Fault | undefined

/** A server in front of another one that does to its answers what `mischief` says. */
export interface HostileProxy {
  /** `127.0.0.1:<port>` */
  host: string
  /** Everything that was asked, in order. */
  requests: ProxiedRequest[]
  mischief: Mischief
  stop(): Promise<void>
}

/**
 * Starts the proxy. As a forward proxy (`http_proxy`) it takes every host for the one behind it, by tunnels as well,
 * so that names like `hf.co` lead here.
 */
export async function startHostileProxy(target: string): Promise<HostileProxy> {
  const sockets = new Set<Socket>()
  const proxy: HostileProxy = {
    host: '',
    requests: [],
    mischief: () => undefined,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  const server = createServer((request, response) => {
    const { method = 'GET', url = '/', headers } = request
    const path = url.startsWith('http:') ? url.replace(/^http:\/\/[^/]+/, '') : url
    const seen = { method, path, headers, index: proxy.requests.length }
    proxy.requests.push(seen)
    pass(target, path, proxy.mischief(seen) ?? {}, request, response).catch(() => response.destroy())
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('connect', (_request, socket: Socket) => {
    const { port } = server.address() as AddressInfo
    const back = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      back.pipe(socket).pipe(back)
    })
    for (const [one, other] of [
      [back, socket],
      [socket, back],
    ] as const)
      one.on('error', () => other.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return proxy
}

async function pass(
  target: string,
  path: string,
  fault: Fault,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fault.delayMs !== undefined) await sleep(fault.delayMs)
  if (fault.status !== undefined) {
    request.resume()
    response.writeHead(fault.status, fault.headers ?? {}).end(fault.body ?? '')
    return
  }
  const upstream = httpRequest(`http://${target}${path}`, {
    method: request.method,
    headers: request.headers,
  })
  response.once('close', () => upstream.destroy())
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    upstream.once('response', resolve).once('error', reject)
  })
  forward(request, upstream, response, fault.cutRequestAt)
  const answer = await answered
  response.writeHead(answer.statusCode ?? 502, answer.headers)
  response.flushHeaders()
  await relay(answer, response, fault)
}

function forward(
  request: IncomingMessage,
  upstream: ReturnType<typeof httpRequest>,
  response: ServerResponse,
  cutAt = Number.POSITIVE_INFINITY,
): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes >= cutAt) response.socket?.destroy()
    else if (!upstream.write(chunk)) {
      request.pause()
      upstream.once('drain', () => request.resume())
    }
  })
  request.on('end', () => upstream.end())
}

async function relay(answer: IncomingMessage, response: ServerResponse, fault: Fault): Promise<void> {
  const { cutAt = Number.POSITIVE_INFINITY, stallAt = Number.POSITIVE_INFINITY, corruptAt = -1 } = fault
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const end = bytes + chunk.length
    if (corruptAt >= bytes && corruptAt < end)
      chunk[corruptAt - bytes] = (chunk[corruptAt - bytes] ?? 0) ^ 0xff
    const until = Math.min(end, cutAt, stallAt) - bytes
    await write(response, chunk.subarray(0, until))
    if (fault.bytesPerSecond) await sleep((chunk.length * 1000) / fault.bytesPerSecond)
    if (end >= stallAt) return
    if (end >= cutAt) return void response.socket?.destroy()
    bytes = end
  }
  response.end()
}

async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  if (response.destroyed) throw new Error('the client has gone')
  await new Promise<void>((resolve, reject) =>
    response.write(bytes, (error) => (error ? reject(error) : resolve())),
  )
}
