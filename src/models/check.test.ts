import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkStore } from './check.ts'
import { openStore } from './store.ts'
import { writeTinyGguf } from './testing.ts'

let root = ''
beforeEach(async () => {
  const home = await mkdtemp(join(tmpdir(), 'drover-check-'))
  root = join(home, 'models')
  await mkdir(root)
  await writeTinyGguf(join(home, 'tiny.gguf'))
  const store = await openStore({ root, log: { warn: () => undefined } })
  await store.importGguf('tiny', { path: join(home, 'tiny.gguf'), system: 'Be brief.' })
})
afterEach(() => rm(join(root, '..'), { recursive: true, force: true }))

const check = (digests = false) => checkStore(root, { digests, signal: AbortSignal.timeout(30_000) })
const kinds = async (digests = false) =>
  (await check(digests)).models.map(({ name, problems }) => [name, ...problems.map(({ kind }) => kind)])

/** The largest blob is the model. */
async function modelBlob(): Promise<string> {
  const { models } = await check()
  expect(models).toHaveLength(1)
  const manifest = await (await openStore({ root, log: { warn: () => undefined } })).find('tiny')
  return manifest?.modelPath ?? ''
}

describe('the check of a store', () => {
  it('finds nothing wrong with a model as it was imported', async () => {
    expect(await kinds(true)).toEqual([['tiny:latest']])
    expect(await check()).toMatchObject({ unused: { blobs: 0 }, partial: { blobs: 0 } })
  })

  it('tells a missing blob, one that was cut and one that was changed', async () => {
    const path = await modelBlob()
    const [before] = (await check()).models
    await truncate(path, 100)
    expect(await kinds()).toEqual([['tiny:latest', 'wrong_size']])
    await truncate(path, 0)
    await rm(path)
    const [model] = (await check()).models
    expect(model?.problems[0]).toMatchObject({
      kind: 'missing_blob',
      advice: expect.stringContaining('pull'),
    })
    expect(model?.sizeBytes).toBe(before?.sizeBytes)
  })

  it('reads contents only where digests are asked for', async () => {
    const path = await modelBlob()
    const bytes = Buffer.alloc((await import('node:fs')).statSync(path).size)
    await writeFile(path, bytes)
    expect(await kinds()).toEqual([['tiny:latest']])
    expect(await kinds(true)).toEqual([['tiny:latest', 'wrong_digest']])
  })

  it('tells manifests that cannot be read, blobs that nobody uses, and broken-off downloads', async () => {
    const folder = join(root, 'manifests/registry.ollama.ai/library')
    await mkdir(join(folder, 'broken'))
    await writeFile(join(folder, 'broken/latest'), '{"layers":')
    await writeFile(join(folder, '.DS_Store'), 'x')
    await writeFile(join(root, 'blobs', `sha256-${'0'.repeat(64)}`), 'old')
    await writeFile(join(root, 'blobs', `sha256-${'1'.repeat(64)}-partial`), 'begun')
    expect(await kinds()).toEqual([['broken:latest', 'bad_manifest'], ['tiny:latest']])
    expect(await check()).toMatchObject({ unused: { blobs: 1, bytes: 3 }, partial: { blobs: 1, bytes: 5 } })
    expect(await readdir(join(root, 'blobs'))).toContain(`sha256-${'0'.repeat(64)}`)
  })

  it('is refused where there is no such folder', async () => {
    await expect(
      checkStore(join(root, 'none'), { digests: false, signal: AbortSignal.timeout(1000) }),
    ).rejects.toThrow(/none/)
  })
})
