import { createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DroverError } from '../../inference/index.ts'
import { isDiskFull } from './database.ts'

const partial = '.partial'

/** The contents of files, by id, in one folder. */
export interface Contents {
  path(id: string): string
  /**
   * Writes a whole file; it is there under its id, and on the disk, only once all of it is. How many bytes it has is
   * returned. Throws what `content` throws, `body_too_large`, `storage_full`.
   */
  write(id: string, content: AsyncIterable<Uint8Array | string>, maxBytes: number): Promise<number>
  remove(id: string): Promise<void>
  /** Removes what is not `known`: of a process that ended between writing and keeping. */
  sweep(known: ReadonlySet<string>): Promise<void>
  /** Free bytes of the disk. */
  freeBytes(): Promise<number>
}

/** Opens the folder, which it makes. */
export async function openContents(folder: string): Promise<Contents> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const path = (id: string) => join(folder, id)

  return {
    path,
    async write(id, content, maxBytes) {
      const unfinished = path(id) + partial
      let bytes = 0
      const count = new Transform({
        transform(chunk: Uint8Array, _encoding, done) {
          bytes += chunk.length
          done(bytes > maxBytes ? tooLarge(maxBytes) : null, chunk)
        },
      })
      try {
        await pipeline(
          Readable.from(content, { objectMode: false }),
          count,
          createWriteStream(unfinished, { mode: 0o600 }),
        )
        await flush(unfinished)
        await rename(unfinished, path(id))
        await flush(folder)
        return bytes
      } catch (thrown) {
        await rm(unfinished, { force: true })
        if (isDiskFull(thrown)) throw new DroverError('storage_full', 'the disk is full', { cause: thrown })
        throw thrown
      }
    },
    remove: (id) => rm(path(id), { force: true }),
    async sweep(known) {
      for (const name of await readdir(folder)) if (!known.has(name)) await rm(path(name), { force: true })
    },
    async freeBytes() {
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    },
  }
}

/** Has the system write it to the disk: a file, or a folder's list of names. */
async function flush(path: string): Promise<void> {
  await using file = await open(path)
  await file.sync()
}

const tooLarge = (maxBytes: number) =>
  new DroverError('body_too_large', `the file is larger than ${maxBytes} bytes: split it`)
