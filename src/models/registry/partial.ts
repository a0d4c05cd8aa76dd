import { constants } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { isMissing, syncFolder } from '../files.ts'
import { digestOfFile } from './digest.ts'

/*
 * Downloads that are not whole yet, laid out as Ollama does it, so that either goes on where the other stopped:
 * `<blob>-partial` has the bytes at their places, and a `<blob>-partial-<N>` for each part says in JSON how far it is.
 */

/** A stretch of a blob that one connection fetches. `completed` bytes of it are in the file. */
export interface Part {
  n: number
  offset: number
  size: number
  completed: number
}

/** How a blob is cut: `count` parts, none smaller or larger than this but the last. */
export interface PartLimits {
  count: number
  leastBytes: number
  mostBytes: number
}

export interface PartialBlob {
  parts: readonly Part[]
  /** Puts bytes where the part has got to; its record follows by `save`. */
  append(part: Part, bytes: Uint8Array): Promise<void>
  /** Records how far a part is. */
  save(part: Part): Promise<void>
  /**
   * Checks the whole file and gives it its name. Throws `digest mismatch, ...`, and then it is gone with its records.
   */
  finish(digest: string, signal: AbortSignal): Promise<void>
  /** Leaves everything as it is, to be resumed. */
  close(): Promise<void>
}

const record = z
  .object({
    N: z.int().nonnegative(),
    Offset: z.int().nonnegative(),
    Size: z.int().positive(),
    Completed: z.int().nonnegative(),
  })
  .transform(({ N, Offset, Size, Completed }) => ({ n: N, offset: Offset, size: Size, completed: Completed }))
  .refine(({ size, completed }) => completed <= size)

/**
 * Records are written in place with one call and always this long, so that a process killed at any moment leaves the
 * old one or the new one. Blanks behind the value are read over by every JSON parser.
 */
const recordBytes = 128

/** Opens what there is of a blob, or begins it. */
export async function openPartial(
  blobPath: string,
  totalBytes: number,
  limits: PartLimits,
): Promise<PartialBlob> {
  const path = `${blobPath}-partial`
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
  try {
    const { size: fileBytes } = await file.stat()
    const known = await readRecords(blobPath, totalBytes)
    const parts = known.length > 0 ? fillGaps(known, totalBytes) : cut(totalBytes, limits)
    // A part cannot have more than the file has.
    for (const part of parts) if (part.offset + part.completed > fileBytes) part.completed = 0
    await setSize(file, fileBytes, totalBytes)
    for (const part of parts) await saveRecord(blobPath, part)
    return partialBlob(blobPath, file, parts)
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Removes what is left of a download beside a blob that is there. */
export async function removePartial(blobPath: string): Promise<void> {
  for (const name of await recordNames(blobPath)) await rm(join(dirname(blobPath), name), { force: true })
  await rm(`${blobPath}-partial`, { force: true })
}

function partialBlob(blobPath: string, file: FileHandle, parts: readonly Part[]): PartialBlob {
  const path = `${blobPath}-partial`
  return {
    parts,
    async append(part, bytes) {
      for (let done = 0; done < bytes.length; ) {
        const at = part.offset + part.completed
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at)
        part.completed += bytesWritten
        done += bytesWritten
      }
    },
    save: (part) => saveRecord(blobPath, part),
    async finish(digest, signal) {
      await file.sync()
      const found = await digestOfFile(path, signal)
      if (found !== digest) {
        await removePartial(blobPath)
        throw new Error(`digest mismatch, file must be downloaded again: want ${digest}, got ${found}`)
      }
      await rename(path, blobPath)
      await syncFolder(dirname(blobPath))
      await removePartial(blobPath)
    },
    close: () => file.close(),
  }
}

/** Gives the file its full length without its bytes, where the file system can; elsewhere it grows. */
async function setSize(file: FileHandle, fileBytes: number, totalBytes: number): Promise<void> {
  if (fileBytes === totalBytes) return
  try {
    await file.truncate(totalBytes)
  } catch (error) {
    // Writing goes on to the end of what fits, and then says itself what is wrong.
    if (!(error instanceof Error && 'code' in error)) throw error
  }
}

/**
 * Records of a download, by offset; none where they contradict each other or the blob's size. What is not used is
 * removed: Ollama stops at a record that it cannot read.
 */
async function readRecords(blobPath: string, totalBytes: number): Promise<Part[]> {
  const paths = (await recordNames(blobPath)).map((name) => join(dirname(blobPath), name))
  const found: Part[] = []
  for (const path of paths) {
    const part = await readRecord(path)
    if (part) found.push(part)
    else await rm(path, { force: true })
  }
  found.sort((a, b) => a.offset - b.offset)
  const ends = found.map(({ offset, size }) => offset + size)
  const isGood = found.every((part, index) => part.offset >= (ends[index - 1] ?? 0))
  if (isGood && (ends.at(-1) ?? 0) <= totalBytes) return found
  for (const path of paths) await rm(path, { force: true })
  return []
}

/** Undefined for a record that was never written whole. */
async function readRecord(path: string): Promise<Part | undefined> {
  try {
    const { success, data } = record.safeParse(JSON.parse(await readFile(path, 'utf8')))
    return success && path.endsWith(`-partial-${data.n}`) ? data : undefined
  } catch (error) {
    if (error instanceof SyntaxError || isMissing(error)) return undefined
    throw error
  }
}

async function recordNames(blobPath: string): Promise<string[]> {
  const prefix = `${basename(blobPath)}-partial-`
  const names = await readdir(dirname(blobPath))
  return names.filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
}

/** Parts for the stretches that no record speaks of, numbered with what is free from 0 on, as Ollama counts them. */
function fillGaps(known: readonly Part[], totalBytes: number): Part[] {
  const gaps: Omit<Part, 'n'>[] = []
  let end = 0
  for (const { offset, size } of [...known, { offset: totalBytes, size: 0 }]) {
    if (offset > end) gaps.push({ offset: end, size: offset - end, completed: 0 })
    end = offset + size
  }
  const taken = new Set(known.map(({ n }) => n))
  let next = 0
  const numbered = gaps.map((gap) => {
    while (taken.has(next)) next++
    return { n: next++, ...gap }
  })
  return [...known, ...numbered]
}

function cut(totalBytes: number, { count, leastBytes, mostBytes }: PartLimits): Part[] {
  const size = Math.min(Math.max(Math.floor(totalBytes / count), leastBytes), mostBytes)
  return Array.from({ length: Math.ceil(totalBytes / size) }, (_, n) => ({
    n,
    offset: n * size,
    size: Math.min(size, totalBytes - n * size),
    completed: 0,
  }))
}

async function saveRecord(blobPath: string, { n, offset, size, completed }: Part): Promise<void> {
  const text = JSON.stringify({ N: n, Offset: offset, Size: size, Completed: completed })
  const file = await open(`${blobPath}-partial-${n}`, constants.O_RDWR | constants.O_CREAT, 0o644)
  try {
    await file.write(`${text.padEnd(recordBytes - 1)}\n`, 0)
  } finally {
    await file.close()
  }
}
