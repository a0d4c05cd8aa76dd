import { createHash } from 'node:crypto'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOfFile } from './digest.ts'

const never = new AbortController().signal
let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-digest-'))
  path = join(folder, 'file')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the digest of a file', () => {
  it('is that of its bytes, in this thread or in one of its own', async () => {
    for (const size of [0, 10, 40 * 2 ** 20]) {
      await writeFile(path, '')
      await truncate(path, size)
      const expected = createHash('sha256').update(Buffer.alloc(size)).digest('hex')
      expect(await digestOfFile(path, never)).toBe(`sha256:${expected}`)
    }
  })

  it('of a large file can be given up', async () => {
    await writeFile(path, '')
    await truncate(path, 4 * 2 ** 30)
    const cancel = new AbortController()
    const startedAt = performance.now()
    const digest = digestOfFile(path, cancel.signal)
    setTimeout(() => cancel.abort(), 50)
    await expect(digest).rejects.toThrow('abort')
    expect(performance.now() - startedAt).toBeLessThan(1500)
  })

  it('of a file that is not there is an error that names it', async () => {
    await expect(digestOfFile(path, never)).rejects.toThrow(path)
  })
})
