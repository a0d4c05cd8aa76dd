import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'

/** Files from this size on are hashed in a thread of their own; smaller ones are done before it has begun. */
const threadFromBytes = 32 * 2 ** 20

/** Bytes read at a time. */
const chunkBytes = 2 ** 20

/** `sha256:<hex>` of a file. Throws what reading it throws, and the signal's reason. */
export async function digestOfFile(path: string, signal: AbortSignal): Promise<string> {
  const { size } = await stat(path)
  return size < threadFromBytes ? hashFile(path, signal) : hashInThread(path, signal)
}

/** The same in the thread that calls it. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  const content = createReadStream(path, { highWaterMark: chunkBytes, ...(signal && { signal }) })
  for await (const chunk of content) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}

/** What the thread answers, once. */
export type DigestAnswer = { digest: string } | { error: string }

async function hashInThread(path: string, signal: AbortSignal): Promise<string> {
  const worker = new Worker(new URL('./digest-worker.ts', import.meta.url), { workerData: path })
  const answer = await new Promise<DigestAnswer>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => {
      signal.removeEventListener('abort', onAbort)
      // Without effect after an answer.
      reject(new Error(`the thread that read ${path} ended without an answer`))
    })
    if (signal.aborted) onAbort()
  }).finally(() => worker.terminate())
  if ('error' in answer) throw new Error(answer.error)
  return answer.digest
}
