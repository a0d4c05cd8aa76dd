import { mkdir, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import { codeOf, isMissing } from '../files.ts'
import type { RegistryClient } from './client.ts'
import { dump, HttpError, type HttpReply, header, isPassing, networkError } from './http.ts'
import { openPartial, type Part, type PartialBlob, removePartial } from './partial.ts'
import type { TransferContext } from './settings.ts'

/** Records are written so often; a killed process fetches at most this again for each part. */
const saveEveryMs = 500

export interface BlobDownload {
  client: RegistryClient
  digest: string
  /** Where the blob will be. */
  path: string
  totalBytes: number
  /** Told how far it is. */
  onBytes(completedBytes: number): void
  signal: AbortSignal
}

/**
 * Fetches a blob into its partial file, going on where an earlier attempt stopped, by several connections at once. What
 * it returns checks the blob and gives it its name. Throws when a part brings nothing for several attempts, when the
 * disk is full and when it is cancelled; then the partial file stays, to be resumed.
 */
export async function downloadBlob(
  context: TransferContext,
  download: BlobDownload,
): Promise<() => Promise<void>> {
  const { client, digest, path, totalBytes, signal } = download
  await mkdir(dirname(path), { recursive: true })
  await checkSpace(path, totalBytes)
  const partial = await openPartial(path, totalBytes, context.settings.parts)
  try {
    const report = () => download.onBytes(partial.parts.reduce((sum, { completed }) => sum + completed, 0))
    report()
    const open = partial.parts.filter(({ completed, size }) => completed < size)
    if (open.length > 0) await fetchParts(context, client, digest, partial, open, report, signal)
  } catch (error) {
    await partial.close()
    throw error
  }
  return async () => {
    try {
      await partial.finish(digest, signal)
    } catch (error) {
      // Another process, Ollama perhaps, has finished the same download: what lies under the partial file's name by
      // now is nothing, or the beginning of a third one's.
      if (signal.aborted || (await sizeOf(path)) !== totalBytes) throw error
      await removePartial(path)
    } finally {
      await partial.close()
    }
  }
}

/** Size of a file; undefined when there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Refuses what cannot fit before it fills the disk for everybody. */
async function checkSpace(path: string, totalBytes: number): Promise<void> {
  const { blocks, bavail, bsize } = await statfs(dirname(path))
  const freeBytes = bavail * bsize
  const neededBytes = totalBytes - (await takenBytes(`${path}-partial`))
  // Some network file systems do not know their size.
  if (blocks === 0 || neededBytes <= freeBytes) return
  const problem = `no space left on device: ${neededBytes} bytes are to be fetched, ${freeBytes} are free`
  throw Object.assign(new Error(problem), { code: 'ENOSPC' })
}

/** What a file takes of the disk, which for one with holes is less than its size. */
async function takenBytes(path: string): Promise<number> {
  const blockBytes = 512
  try {
    return (await stat(path)).blocks * blockBytes
  } catch (error) {
    if (isMissing(error)) return 0
    throw error
  }
}

/** The first part that fails for good stops the others; all have recorded how far they are when this throws. */
async function fetchParts(
  context: TransferContext,
  client: RegistryClient,
  digest: string,
  partial: PartialBlob,
  parts: readonly Part[],
  report: () => void,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const source = createSource(client, digest, either)
  const queue = [...parts]
  const worker = async () => {
    for (let part = queue.shift(); part; part = queue.shift()) {
      try {
        await fetchPart(context, source, partial, part, report, either)
      } catch (error) {
        failed.abort(error)
        throw error
      }
    }
  }
  const workers = Array.from({ length: context.settings.parts.count }, worker)
  await Promise.allSettled(workers)
  signal.throwIfAborted()
  failed.signal.throwIfAborted()
}

/** Where the bytes are: often not at the registry, but where that leads to. */
interface Source {
  /** Asks for the bytes from `start` to `end` - 1. */
  open(start: number, end: number): Promise<HttpReply>
  /** Has the way looked up again: addresses that registries lead to are good for a while only. */
  forget(): void
}

function createSource(client: RegistryClient, digest: string, signal: AbortSignal): Source {
  let found: Promise<URL> | undefined
  const ask = (at: string | URL, range: string) =>
    client.send({ method: 'GET', at, headers: { range: `bytes=${range}` }, signal })
  const locate = async () => {
    try {
      const reply = await ask(`blobs/${digest}`, '0-0')
      await dump(reply)
      return reply.url
    } catch (error) {
      // What the registry itself refuses, it will refuse again.
      if (!(error instanceof HttpError) || isPassing(error)) throw error
      throw new DroverError('internal', error.message, { cause: error })
    }
  }
  return {
    async open(start, end) {
      found ??= locate()
      return ask(await found, `${start}-${end - 1}`)
    },
    forget() {
      found = undefined
    },
  }
}

/** Fetches what a part lacks, as often as it brings something, and some times more. */
async function fetchPart(
  { settings, clock, log }: TransferContext,
  source: Source,
  partial: PartialBlob,
  part: Part,
  report: () => void,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; part.completed < part.size; ) {
    const before = part.completed
    try {
      await fetchRest(source, partial, part, report)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof HttpError)) throw error
      if (part.completed > before) failures = 0
      log.info({ part: part.n, reason: error.message }, error.stalled ? 'part stalled' : 'part failed')
      source.forget()
      if (error.stalled) continue
      failures++
      if (failures >= settings.tries) {
        throw new HttpError(`max retries exceeded: ${error.message}`, { cause: error })
      }
      await clock.sleep(settings.retryDelayMs * 2 ** (failures - 1), signal)
    }
  }
}

/** One connection's worth of a part, recorded on the way and, whatever happens, at the end. */
async function fetchRest(
  source: Source,
  partial: PartialBlob,
  part: Part,
  report: () => void,
): Promise<void> {
  const start = part.offset + part.completed
  const reply = await source.open(start, part.offset + part.size)
  let skip = await bytesBefore(reply, start)
  let savedAtMs = performance.now()
  try {
    for await (const chunk of chunksOf(reply)) {
      const skipped = Math.min(skip, chunk.length)
      skip -= skipped
      const wanted = chunk.subarray(skipped, skipped + part.size - part.completed)
      if (wanted.length > 0) await partial.append(part, wanted)
      report()
      if (part.completed === part.size) return
      if (performance.now() - savedAtMs > saveEveryMs) {
        await partial.save(part)
        savedAtMs = performance.now()
      }
    }
    throw new HttpError(`${reply.url.origin} ended the answer too early`)
  } finally {
    await partial.save(part)
  }
}

/** How much comes before the wanted bytes: a server that knows no ranges sends the whole blob. */
async function bytesBefore(reply: HttpReply, start: number): Promise<number> {
  if (reply.status === 200) return start
  const range = header(reply, 'content-range')
  if (reply.status === 206 && range?.startsWith(`bytes ${start}-`)) return 0
  await dump(reply)
  const answer = `status ${reply.status}, content-range ${range ?? 'missing'}`
  throw new HttpError(`${reply.url.origin} sent another part than was asked for (${answer})`)
}

/** A body whose errors are told from those of the disk: what the reader throws does not come by here. */
async function* chunksOf(reply: HttpReply): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of reply.body) yield chunk
  } catch (error) {
    throw networkError('GET', reply.url, error)
  }
}

/** Whether writing failed, and not the network. */
export function isDiskError(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO', 'EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'EEXIST'].includes(
    codeOf(error) ?? '',
  )
}
