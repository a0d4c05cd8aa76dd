import { mkdir, readdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { randomHex } from '../../core/index.ts'
import type { SavedSession } from '../../engines/index.ts'
import type { PrefixBlocks } from '../prefix/contract.ts'
import type { FoundSession, SessionCache, SessionCacheOptions } from './contract.ts'

const suffix = '.session'

interface Entry {
  saved: SavedSession
  /** One key a block; the last tells the whole prompt. */
  keys: readonly string[]
  lastUsed: number
  /** Restores that read the file now; it is deleted after the last of them. */
  readers: number
  removed: boolean
}

/** The cache of saved sessions in a folder; see `SessionCache`. Throws where the folder cannot be made or read. */
export async function createSessionCache(options: SessionCacheOptions): Promise<SessionCache> {
  const { dir, budgetBytes, reserveBytes, warn } = options
  await mkdir(dir, { recursive: true, mode: 0o700 })
  // Nobody knows any more whose they are: the index of an earlier run is gone, and its salts with it.
  const old = (await readdir(dir)).filter((name) => name.endsWith(suffix))
  await Promise.all(old.map((name) => rm(join(dir, name), { force: true })))

  const entries = new Set<Entry>()
  const byBlock = new Map<string, Set<Entry>>()
  const writing = new Set<string>()
  const counts = { hits: 0, misses: 0, restoredTokens: 0, saved: 0, evicted: 0, failed: 0 }
  let bytes = 0
  let uses = 0
  let full = false
  let closed = false

  function longest(keys: readonly string[]): { entry: Entry; blocks: number } | undefined {
    for (let blocks = keys.length; blocks > 0; blocks--) {
      const holders = byBlock.get(keys[blocks - 1] ?? '')
      const [entry] = [...(holders ?? [])].sort((a, b) => a.saved.bytes - b.saved.bytes)
      if (entry) return { entry, blocks }
    }
    return undefined
  }

  function add(saved: SavedSession, keys: readonly string[]): void {
    const entry: Entry = { saved, keys, lastUsed: ++uses, readers: 0, removed: false }
    entries.add(entry)
    bytes += saved.bytes
    for (const key of keys) {
      const holders = byBlock.get(key)
      if (holders) holders.add(entry)
      else byBlock.set(key, new Set([entry]))
    }
  }

  async function remove(entry: Entry): Promise<void> {
    if (!entries.delete(entry)) return
    entry.removed = true
    bytes -= entry.saved.bytes
    for (const key of entry.keys) {
      const holders = byBlock.get(key)
      holders?.delete(entry)
      if (holders?.size === 0) byBlock.delete(key)
    }
    if (entry.readers === 0) await deleteFile(entry.saved.path)
  }

  async function deleteFile(path: string): Promise<void> {
    try {
      await rm(path, { force: true })
    } catch (error) {
      warn(`the saved session ${path} cannot be deleted: ${wordsOf(error)}`)
    }
  }

  async function makeRoom(): Promise<void> {
    const oldest = [...entries].sort((a, b) => a.lastUsed - b.lastUsed)
    for (const entry of oldest) {
      if (bytes <= budgetBytes) return
      counts.evicted++
      await remove(entry)
    }
  }

  /** Whether the disk has room, told when it changes. */
  async function hasDisk(): Promise<boolean> {
    let freeBytes = 0
    try {
      const { bavail, bsize } = await statfs(dir)
      freeBytes = bavail * bsize
    } catch (error) {
      warn(`the folder of saved sessions ${dir} is gone: ${wordsOf(error)}`)
      return false
    }
    const wasFull = full
    full = freeBytes < reserveBytes
    if (full && !wasFull) {
      warn(
        `KV caches are no longer saved: ${dir} has ${freeBytes} bytes free, of which ${reserveBytes} are to be left`,
      )
    }
    if (!full && wasFull) warn(`KV caches are saved again: ${dir} has ${freeBytes} bytes free`)
    return !full
  }

  async function keep(
    path: string,
    keys: readonly string[],
    write: (path: string) => Promise<SavedSession | undefined>,
  ): Promise<boolean> {
    try {
      if (!(await hasDisk())) return false
      const saved = await write(path)
      if (!saved) return false
      if (closed || saved.bytes > budgetBytes) {
        await deleteFile(saved.path)
        return false
      }
      counts.saved++
      add(saved, keys)
      await makeRoom()
      return true
    } catch {
      // The engine has said why to its log; a full disk is told here, and no request fails for want of a cache.
      counts.failed++
      await deleteFile(path)
      await hasDisk()
      return false
    }
  }

  return {
    find(prompt, fingerprint): FoundSession | undefined {
      const found = longest(keysOf(prompt, fingerprint))
      return found && { saved: found.entry.saved, blocks: found.blocks }
    },

    async save(prompt, fingerprint, write) {
      const keys = keysOf(prompt, fingerprint)
      const whole = keys.at(-1)
      if (closed || whole === undefined || byBlock.has(whole) || writing.has(whole)) return false
      writing.add(whole)
      const kept = await keep(join(dir, `${randomHex(16)}${suffix}`), keys, write)
      writing.delete(whole)
      return kept
    },

    async restore(prompt, fingerprint, read) {
      const found = longest(keysOf(prompt, fingerprint))
      if (!found) {
        counts.misses++
        return 0
      }
      const { entry } = found
      counts.hits++
      entry.lastUsed = ++uses
      entry.readers++
      try {
        const tokens = await read(entry.saved)
        counts.restoredTokens += tokens
        return tokens
      } catch {
        // A file that cannot be read is worth nothing: the prompt is computed.
        counts.failed++
        await remove(entry)
        return 0
      } finally {
        entry.readers--
        if (entry.removed && entry.readers === 0) await deleteFile(entry.saved.path)
      }
    },

    stats: () => ({ sessions: entries.size, bytes, budgetBytes, ...counts, full }),

    async close() {
      closed = true
      for (const entry of [...entries]) await remove(entry)
    },
  }
}

function keysOf({ hashes }: PrefixBlocks, fingerprint: string): string[] {
  return hashes.map((hash) => `${fingerprint} ${hash}`)
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
