import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** llama.cpp's worker keeps tensors here, below its cache folder, each named by its content. */
const folderName = 'rpc'

/**
 * Deletes tensors that were not used for longest, until what the worker keeps below `cacheDir` takes `mostBytes` at
 * most. Returns how many bytes went. A worker that wants one of them fetches it again.
 */
export async function pruneTensorCache(cacheDir: string, mostBytes: number): Promise<number> {
  const folder = join(cacheDir, folderName)
  const files = await Promise.all((await namesIn(folder)).map((name) => look(join(folder, name))))
  let excess = files.reduce((sum, { bytes }) => sum + bytes, 0) - mostBytes
  let removed = 0
  for (const { path, bytes } of files.sort((a, b) => a.usedMs - b.usedMs)) {
    if (excess <= 0) break
    await rm(path, { force: true })
    excess -= bytes
    removed += bytes
  }
  return removed
}

async function look(path: string) {
  const { size, atimeMs, mtimeMs } = await stat(path)
  return { path, bytes: size, usedMs: Math.max(atimeMs, mtimeMs) }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
