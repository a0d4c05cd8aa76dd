import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SavedSession } from '../../engines/index.ts'
import type { PrefixBlocks } from '../prefix/contract.ts'
import type { SessionCache } from './contract.ts'
import { createSessionCache } from './session-cache.ts'

let dir = ''
let warnings: string[] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drover-session-cache-'))
  warnings = []
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const open = (changes: { budgetBytes?: number; reserveBytes?: number } = {}): Promise<SessionCache> =>
  createSessionCache({
    dir,
    budgetBytes: 1_000,
    reserveBytes: 0,
    warn: (message) => warnings.push(message),
    ...changes,
  })

const blocks = (...hashes: number[]): PrefixBlocks => ({
  hashes,
  blockTokens: 32,
  promptTokens: hashes.length * 32,
})

/** Writes a file as an engine would. */
const writer =
  (bytes = 100) =>
  async (path: string): Promise<SavedSession> => {
    await writeFile(path, Buffer.alloc(bytes))
    return { path, tokens: bytes, bytes, fingerprint: 'model' }
  }
const tokensOf = async (saved: SavedSession) => saved.tokens

describe('the cache of sessions', () => {
  it('finds the one with the longest common beginning, and the smallest of several', async () => {
    const cache = await open()
    await cache.save(blocks(1, 2), 'model', writer(10))
    await cache.save(blocks(1, 2, 3, 4), 'model', writer(40))
    await cache.save(blocks(1, 2, 5), 'model', writer(30))
    expect(cache.find(blocks(1, 2, 3, 9), 'model')).toMatchObject({ blocks: 3, saved: { bytes: 40 } })
    expect(cache.find(blocks(1, 2, 8), 'model')).toMatchObject({ blocks: 2, saved: { bytes: 10 } })
    expect(cache.find(blocks(7, 8), 'model')).toBeUndefined()
    expect(await readdir(dir)).toHaveLength(3)
  })

  it('keeps models and tenants apart: hashes and fingerprint are all that counts', async () => {
    const cache = await open()
    await cache.save(blocks(1, 2), 'model', writer())
    expect(cache.find(blocks(1, 2), 'other')).toBeUndefined()
    expect(await cache.restore(blocks(1, 2), 'other', tokensOf)).toBe(0)
    // The same text of another tenant has other hashes.
    expect(cache.find(blocks(11, 12), 'model')).toBeUndefined()
  })

  it('saves a prompt once, also while it is being written, and not one of no whole block', async () => {
    const cache = await open()
    const both = [1, 2].map(() => cache.save(blocks(1, 2), 'model', writer()))
    expect(await Promise.all(both)).toEqual([true, false])
    expect(await cache.save(blocks(1), 'model', writer())).toBe(false)
    expect(await cache.save(blocks(), 'model', writer())).toBe(false)
    expect(cache.stats()).toMatchObject({ sessions: 1, saved: 1, bytes: 100 })
  })

  it('stays within its budget, the least recently used first, with their files', async () => {
    const cache = await open({ budgetBytes: 250 })
    await cache.save(blocks(1), 'model', writer())
    await cache.save(blocks(2), 'model', writer())
    expect(await cache.restore(blocks(1), 'model', tokensOf)).toBe(100)
    await cache.save(blocks(3), 'model', writer())
    expect([1, 2, 3].map((hash) => cache.find(blocks(hash), 'model') !== undefined)).toEqual([
      true,
      false,
      true,
    ])
    expect(await cache.save(blocks(4), 'model', writer(251))).toBe(false)
    expect(await readdir(dir)).toHaveLength(2)
    expect(cache.stats()).toMatchObject({ bytes: 200, evicted: 1, hits: 1, misses: 0, restoredTokens: 100 })
  })

  it('does not delete a file that is being read', async () => {
    const cache = await open({ budgetBytes: 150 })
    await cache.save(blocks(1), 'model', writer())
    const tokens = await cache.restore(blocks(1), 'model', async (saved) => {
      await cache.save(blocks(2), 'model', writer())
      expect(cache.find(blocks(1), 'model')).toBeUndefined()
      expect(await readdir(dir)).toHaveLength(2)
      return saved.tokens
    })
    expect(tokens).toBe(100)
    expect(await readdir(dir)).toHaveLength(1)
  })

  it('forgets what cannot be read, and leaves nothing of what could not be written', async () => {
    const cache = await open()
    await cache.save(blocks(1), 'model', writer())
    expect(await cache.restore(blocks(1), 'model', () => Promise.reject(new Error('broken')))).toBe(0)
    expect(cache.find(blocks(1), 'model')).toBeUndefined()
    const half = async (path: string) => {
      await writeFile(path, 'half')
      throw new Error('no space left on device')
    }
    expect(await cache.save(blocks(2), 'model', half)).toBe(false)
    expect(await cache.save(blocks(3), 'model', async () => undefined)).toBe(false)
    expect(await readdir(dir)).toEqual([])
    expect(cache.stats()).toMatchObject({ sessions: 0, bytes: 0, failed: 2 })
  })

  it('stops saving while the disk is full, says so once, and still reads', async () => {
    const roomy = await open()
    await roomy.save(blocks(1), 'model', writer())
    await roomy.close()
    const cache = await open({ reserveBytes: Number.MAX_SAFE_INTEGER })
    let asked = 0
    const write = async () => {
      asked++
      return undefined
    }
    expect(await cache.save(blocks(1), 'model', write)).toBe(false)
    expect(await cache.save(blocks(2), 'model', write)).toBe(false)
    expect(asked).toBe(0)
    expect(warnings).toEqual([expect.stringContaining('KV caches are no longer saved')])
    expect(cache.stats().full).toBe(true)
  })

  it('begins and ends with an empty folder, and touches no other files', async () => {
    await writeFile(join(dir, 'left.session'), 'of an earlier run')
    await writeFile(join(dir, 'notes.txt'), 'of somebody else')
    const cache = await open()
    expect(await readdir(dir)).toEqual(['notes.txt'])
    await cache.save(blocks(1), 'model', writer())
    await cache.close()
    expect(await readdir(dir)).toEqual(['notes.txt'])
    expect(await cache.save(blocks(2), 'model', writer())).toBe(false)
    expect(cache.find(blocks(1), 'model')).toBeUndefined()
  })
})
