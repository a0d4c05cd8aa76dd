import { promisify } from 'node:util'
import { constants, zstdDecompress } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import { DecodeError, decodeJson, type Schema } from '../go-json/index.ts'

/** Decompressed bodies stop here, as in Ollama. */
const maxDecompressedBytes = 20 * 1024 * 1024

/** How long, and how many more bytes, a client may go on sending a body that was refused, so that it reads why. */
const lingerMs = 2000
const lingerBytes = 64 * 1024 * 1024

const decompress = promisify(zstdDecompress)

/** Memory for the bodies that are being read at one time. */
export interface BodyBudget {
  maxBodyBytes: number
  bodyTimeoutMs: number
  /** Bytes still free for all bodies together. */
  freeBytes: number
}

/** So many bodies of the largest size may arrive at once; more are told to come again. */
const largestBodiesAtOnce = 4

/** The budget of one server. */
export function createBodyBudget(maxBodyBytes: number, bodyTimeoutMs: number): BodyBudget {
  return { maxBodyBytes, bodyTimeoutMs, freeBytes: largestBodiesAtOnce * maxBodyBytes }
}

/**
 * The request's body, decoded by `schema`; whatever `Content-Type` says. Throws `DroverError`: `invalid_request` with
 * Go's words, `body_too_large`, `busy` when too many large ones come at once, `cancelled` when the client leaves
 * before the end.
 */
export async function readJson<T extends object>(
  { bodies }: { bodies: BodyBudget },
  request: FastifyRequest,
  schema: Schema<T>,
  options: { acceptZstd?: boolean; acceptEmpty?: boolean } = {},
): Promise<Partial<T>> {
  const body = await readBody(request, bodies)
  if (options.acceptEmpty && body.length === 0) return {}
  const zstd = options.acceptZstd === true && request.headers['content-encoding'] === 'zstd'
  try {
    return decodeJson(zstd ? await unpack(body) : body, schema) ?? {}
  } catch (thrown) {
    if (thrown instanceof DecodeError) throw new DroverError('invalid_request', thrown.message)
    throw thrown
  }
}

/** The body's type, as it was sent: the parsed headers have lost it, since other routes take any type for JSON. */
export function contentTypeOf({ raw: { rawHeaders } }: FastifyRequest): string {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type')
  return at < 0 ? '' : (rawHeaders[at + 1] ?? '')
}

/** The request's body as it came. Throws `body_too_large`, `busy` and `cancelled` as `readJson` does. */
export function readBytes({ bodies }: { bodies: BodyBudget }, request: FastifyRequest): Promise<Buffer> {
  return readBody(request, bodies)
}

async function unpack(body: Buffer): Promise<Buffer> {
  if (body.length === 0) return body
  try {
    return await decompress(body, {
      maxOutputLength: maxDecompressedBytes,
      params: { [constants.ZSTD_d_windowLogMax]: 23 },
    })
  } catch (thrown) {
    const tooLarge = thrown instanceof Error && 'code' in thrown && thrown.code === 'ERR_BUFFER_TOO_LARGE'
    throw new DecodeError(tooLarge ? 'http: request body too large' : 'failed to decompress zstd body')
  }
}

function readBody({ raw }: FastifyRequest, budget: BodyBudget): Promise<Buffer> {
  const announced = Number(raw.headers['content-length'] ?? 0)
  if (announced > budget.maxBodyBytes) return Promise.reject(tooLarge(budget.maxBodyBytes))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (act: () => void) => {
      clearTimeout(timer)
      raw.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
      budget.freeBytes += size
      act()
    }
    const timer = setTimeout(() => settle(() => reject(tooSlow(budget.bodyTimeoutMs))), budget.bodyTimeoutMs)
    const onData = (chunk: Buffer) => {
      size += chunk.length
      budget.freeBytes -= chunk.length
      if (size > budget.maxBodyBytes) settle(() => reject(tooLarge(budget.maxBodyBytes)))
      else if (budget.freeBytes < 0) settle(() => reject(tooMany()))
      else chunks.push(chunk)
    }
    const onEnd = () =>
      settle(() => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
    const onGone = () => settle(() => reject(new DroverError('cancelled', 'request canceled')))
    raw.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  })
}

const tooSlow = (timeoutMs: number) =>
  new DroverError('body_timeout', `the request's body did not arrive within ${timeoutMs / 1000} s`)

const tooMany = () =>
  new DroverError('busy', 'server busy, please try again.  too many large requests at once')

function tooLarge(maxBytes: number): DroverError {
  return new DroverError(
    'body_too_large',
    `request body is larger than ${maxBytes} bytes; send fewer or smaller images, or raise the server's limit`,
  )
}

/**
 * Answers a request whose body was not read to its end. A connection that is closed while the client is still
 * sending is reset, and the answer lost; so what comes is thrown away for a little while, then the connection ends.
 */
export function refuseBody(request: FastifyRequest, reply: FastifyReply, json: string, status: number): void {
  reply.hijack()
  const { raw: incoming } = request
  const { raw: outgoing } = reply
  const finish = () => {
    clearTimeout(timer)
    if (!outgoing.writableEnded) outgoing.end()
  }
  const timer = setTimeout(finish, lingerMs)
  let thrownAway = 0
  incoming.on('data', (chunk: Buffer) => {
    thrownAway += chunk.length
    if (thrownAway > lingerBytes) finish()
  })
  incoming.once('end', finish).once('close', finish)
  // The connection may break at any time now; nothing is left to be told about it.
  incoming.on('error', finish)
  outgoing.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(json),
    connection: 'close',
  })
  outgoing.write(json)
  request.exchange.answered = true
}
