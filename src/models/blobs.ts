import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { DroverError } from '../inference/index.ts'
import { isMissing, syncFolder, temporaryPath } from './files.ts'
import { blobName } from './manifest.ts'

/** Path of a blob. Throws `invalid_request` ("invalid digest format") for what is no digest. */
export function blobPath(root: string, digest: string): string {
  if (!/^sha256[:-][0-9a-f]{64}$/i.test(digest)) {
    throw new DroverError('invalid_request', 'invalid digest format')
  }
  return join(root, 'blobs', blobName(digest.toLowerCase()))
}

/** Size of a blob; undefined when the store does not have it. */
export async function sizeOfBlob(root: string, digest: string): Promise<number | undefined> {
  try {
    return (await stat(blobPath(root, digest))).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/**
 * Stores what comes under its digest, by way of a temporary file: others see the whole blob or none. False when it was
 * there already. Throws `invalid_request` where the content has another digest, the signal's reason, and the system's
 * error (a full disk); nothing is left then.
 */
export async function writeBlob(
  root: string,
  digest: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<boolean> {
  const path = blobPath(root, digest)
  if ((await sizeOfBlob(root, digest)) !== undefined) return false
  const folder = join(root, 'blobs')
  await mkdir(folder, { recursive: true })
  const temporary = temporaryPath(folder)
  const hash = createHash('sha256')
  try {
    await pipeline(
      content,
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(temporary, { flags: 'wx', flush: true }),
      { signal },
    )
    const got = `sha256:${hash.digest('hex')}`
    if (blobName(got) !== blobName(digest.toLowerCase())) {
      throw new DroverError('invalid_request', `digest mismatch, expected "${digest}", got "${got}"`)
    }
    await rename(temporary, path)
    await syncFolder(folder)
    return true
  } catch (error) {
    // A client that goes away breaks the stream in one of several ways; why it is given up is the same.
    signal.throwIfAborted()
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
}
