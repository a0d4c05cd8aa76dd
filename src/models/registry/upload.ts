import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Clock } from '../../core/index.ts'
import { parseModelReference } from '../names.ts'
import { type RegistryClient, retrying } from './client.ts'
import { dump, HttpError, type HttpReply, header } from './http.ts'
import type { TransferContext } from './settings.ts'
import { type Outcome, outcomeOf } from './shared-downloads.ts'

/** A registry checks, and perhaps moves, the whole blob before it answers the last request. */
export const commitTimeoutMs = 15 * 60_000

/** Parts sent at once to where the registry leads to. */
const mostParallel = 16

/** Bytes read at a time. */
const chunkBytes = 2 ** 18

export interface BlobUpload {
  client: RegistryClient
  digest: string
  path: string
  totalBytes: number
  /** The model that the layer came from: the registry may have the blob there. */
  from?: string | undefined
  /** Told how far it is. */
  onBytes(completedBytes: number): void
  signal: AbortSignal
}

/** A stretch of the blob; `md5` of what was sent, when it has been. */
interface Part {
  offset: number
  size: number
  sentBytes: number
  md5?: Buffer
}

/**
 * Sends a blob. A registry that keeps the parts itself gets them in order, and after a failure the whole blob again:
 * how much of the part it has kept cannot be relied on. One that leads elsewhere (`X-Redirect-Uploads`) gets many at
 * once, and each again by itself.
 */
export async function uploadBlob(context: TransferContext, upload: BlobUpload): Promise<void> {
  const { settings, clock } = context
  const retries = { tries: settings.tries, delayMs: settings.retryDelayMs, signal: upload.signal }
  await retrying(clock, retries, async () => {
    upload.onBytes(0)
    const session = await begin(upload)
    if (session === undefined) upload.onBytes(upload.totalBytes)
    else await sendAll(context, upload, session)
  })
}

/** Where the first part goes; undefined where the registry took the blob from another of its models. */
async function begin({ client, digest, from, signal }: BlobUpload): Promise<URL | undefined> {
  const query = new URLSearchParams()
  const origin = from === undefined ? undefined : parseModelReference(from)?.name
  if (origin) {
    query.set('mount', digest)
    query.set('from', `${origin.namespace}/${origin.model}`)
  }
  const at = origin ? `blobs/uploads/?${query}` : 'blobs/uploads/'
  const reply = await client.send({ method: 'POST', at, headers: { 'content-length': '0' }, signal })
  await dump(reply)
  return reply.status === 201 ? undefined : nextUrl(reply)
}

async function sendAll(context: TransferContext, upload: BlobUpload, first: URL): Promise<void> {
  const { client, digest, signal } = upload
  const parts = cut(upload.totalBytes, context.settings.parts)
  const report = () => upload.onBytes(parts.reduce((sum, { sentBytes }) => sum + sentBytes, 0))
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const elsewhere: Promise<Outcome>[] = []
  const sendElsewhere = async (part: Part, target: URL) => {
    part.sentBytes = 0
    try {
      await dump(await sendPart(context, upload, 'PUT', target, part, report, either, true))
    } catch (error) {
      failed.abort(error)
    }
  }
  let url = first
  try {
    for (const part of parts) {
      const reply = await sendPart(context, upload, 'PATCH', url, part, report, either, elsewhere.length > 0)
      await dump(reply)
      url = nextUrl(reply)
      if (reply.status !== 307) continue
      elsewhere.push(outcomeOf(sendElsewhere(part, new URL(header(reply, 'location') ?? '', reply.url))))
      if (elsewhere.length >= mostParallel) await elsewhere[elsewhere.length - mostParallel]
    }
    await Promise.all(elsewhere)
    either.throwIfAborted()
  } finally {
    failed.abort()
    await Promise.all(elsewhere)
  }
  url.searchParams.append('digest', digest)
  url.searchParams.append('etag', etagOf(parts))
  const headers = { 'content-type': 'application/octet-stream', 'content-length': '0' }
  const { retryDelayMs: delayMs, tries } = context.settings
  await retrying(context.clock, { tries, delayMs, signal }, async () =>
    dump(await client.send({ method: 'PUT', at: url, headers, answerTimeoutMs: commitTimeoutMs, signal })),
  )
}

/** Sends one part; `retries` where doing it twice is harmless. */
async function sendPart(
  { clock, settings }: TransferContext,
  { client, path }: BlobUpload,
  method: 'PATCH' | 'PUT',
  at: URL,
  part: Part,
  report: () => void,
  signal: AbortSignal,
  retries: boolean,
): Promise<HttpReply> {
  const { tries, retryDelayMs: delayMs } = settings
  return retrying(clock, { tries: retries ? tries : 1, delayMs, signal }, async () => {
    const watch = watchStall(clock, settings.stallTimeoutMs, signal)
    const hash = createHash('md5')
    const content = async function* () {
      part.sentBytes = 0
      const end = part.offset + part.size - 1
      for await (const chunk of createReadStream(path, {
        start: part.offset,
        end,
        highWaterMark: chunkBytes,
      })) {
        watch.alive()
        hash.update(chunk)
        yield chunk
        part.sentBytes += chunk.length
        report()
      }
      part.md5 = hash.digest()
      // From here on the registry works, for which it has its own time.
      watch.end()
    }
    const range = {
      'x-redirect-uploads': '1',
      'content-range': `${part.offset}-${part.offset + part.size - 1}`,
    }
    try {
      return await client.send({
        method,
        at,
        headers: {
          'content-type': 'application/octet-stream',
          'content-length': String(part.size),
          ...(method === 'PATCH' && range),
        },
        body: () => Readable.from(content()),
        answerTimeoutMs: commitTimeoutMs,
        signal: watch.signal,
      })
    } catch (error) {
      signal.throwIfAborted()
      throw watch.signal.aborted ? watch.signal.reason : error
    } finally {
      watch.end()
    }
  })
}

/** A signal that also fires when nobody has said `alive` for a while. */
function watchStall(clock: Clock, timeoutMs: number, signal: AbortSignal) {
  const stalled = new AbortController()
  const problem = Object.assign(new Error(`nothing could be sent for ${timeoutMs} ms`), { code: 'ETIMEDOUT' })
  const start = () =>
    clock.after(timeoutMs, () => stalled.abort(new HttpError(problem.message, { cause: problem })))
  let stop = start()
  return {
    signal: AbortSignal.any([signal, stalled.signal]),
    alive() {
      stop()
      stop = start()
    },
    end: () => stop(),
  }
}

function cut(totalBytes: number, limits: { count: number; leastBytes: number; mostBytes: number }): Part[] {
  const size = Math.min(Math.max(Math.floor(totalBytes / limits.count), limits.leastBytes), limits.mostBytes)
  return Array.from({ length: Math.ceil(totalBytes / size) }, (_, index) => ({
    offset: index * size,
    size: Math.min(size, totalBytes - index * size),
    sentBytes: 0,
  }))
}

/** As S3 makes it of an object that came in parts: the MD5 of all their MD5s, and how many they are. */
function etagOf(parts: readonly Part[]): string {
  const all = createHash('md5')
  for (const { md5 } of parts) if (md5) all.update(md5)
  return `${all.digest('hex')}-${parts.length}`
}

/** Where the next request of an upload goes. */
function nextUrl(reply: HttpReply): URL {
  const location = header(reply, 'docker-upload-location') || header(reply, 'location')
  if (!location) throw new HttpError(`${reply.url.origin} did not say where to send the blob`)
  return new URL(location, reply.url)
}
