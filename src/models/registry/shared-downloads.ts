import { join } from 'node:path'
import { blobName } from '../manifest.ts'
import type { RegistryClient } from './client.ts'
import { downloadBlob } from './download.ts'
import type { TransferContext } from './settings.ts'

/** How something ended; a value, so that nobody has to be listening when it fails. */
export interface Outcome {
  error?: unknown
}

/** Something on its way whose bytes are counted. */
export interface Transfer {
  totalBytes: number
  completedBytes(): number
  /** All bytes are over. */
  ended: Promise<Outcome>
}

/** A download that several pulls may wait for. */
export interface SharedDownload extends Transfer {
  /** The blob is checked and has its name. */
  stored: Promise<Outcome>
  /** To be called once by everybody who got it: when the last one goes, what is still running is cancelled. */
  release(): Promise<void>
}

export type SharedDownloads = (
  client: RegistryClient,
  digest: string,
  totalBytes: number,
) => Promise<SharedDownload>

interface Running {
  download: Omit<SharedDownload, 'release'>
  users: number
  cancel: AbortController
}

/** Makes one download out of all that want the same blob at the same time. */
export function createSharedDownloads(context: TransferContext, root: string): SharedDownloads {
  const running = new Map<string, Running>()

  function start(client: RegistryClient, digest: string, totalBytes: number): Running {
    const cancel = new AbortController()
    let completedBytes = 0
    const fetched = downloadBlob(context, {
      client,
      digest,
      path: join(root, 'blobs', blobName(digest)),
      totalBytes,
      onBytes: (bytes) => {
        completedBytes = bytes
      },
      signal: cancel.signal,
    })
    const entry: Running = {
      download: {
        totalBytes,
        completedBytes: () => completedBytes,
        ended: outcomeOf(fetched),
        stored: outcomeOf(fetched.then((finish) => finish())),
      },
      users: 0,
      cancel,
    }
    entry.download.stored.then(() => {
      if (running.get(digest) === entry) running.delete(digest)
    })
    return entry
  }

  return async (client, digest, totalBytes) => {
    let entry = running.get(digest)
    // One that has been cancelled is not joined, but waited for: two must not write the same file.
    while (entry?.cancel.signal.aborted) {
      await entry.download.stored
      entry = running.get(digest)
    }
    if (entry === undefined) {
      entry = start(client, digest, totalBytes)
      running.set(digest, entry)
    }
    const joined = entry
    joined.users++
    return {
      ...joined.download,
      async release() {
        joined.users--
        if (joined.users > 0) return
        joined.cancel.abort()
        await joined.download.stored
      },
    }
  }
}

/** How a promise ended. */
export function outcomeOf(promise: Promise<unknown>): Promise<Outcome> {
  return promise.then(
    () => ({}),
    (error: unknown) => ({ error }),
  )
}
