import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { quietLog } from '../../test/support/quiet-log.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import type { ModelStore } from './contract.ts'
import { openStore } from './store.ts'

const never = new AbortController().signal
const digestOf = (content: Uint8Array) => `sha256:${createHash('sha256').update(content).digest('hex')}`

let root: string
let store: ModelStore
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'drover-changes-'))
  store = await openStore({ root, log: quietLog })
})
afterEach(() => rm(root, { recursive: true }))

const add = async (name: string, seed = 1, system?: string) => {
  const path = join(root, `${seed}.gguf`)
  await writeSyntheticGguf(path, { layers: 1, dim: 32, heads: 1, vocab: 259, seed })
  await store.importGguf(name, { path, ...(system !== undefined && { system }) })
  await rm(path)
}
const blobs = async () => (await readdir(join(root, 'blobs'))).sort()
const names = async () => (await store.list()).map(({ displayName }) => displayName).sort()
const age = (path: string, hours: number) => {
  const then = new Date(Date.now() - hours * 3_600_000)
  return utimes(path, then, then)
}

async function* chunks(...parts: (string | Error)[]) {
  for (const part of parts) {
    if (part instanceof Error) throw part
    yield Buffer.from(part)
  }
}

describe('a copy', () => {
  it('is the same manifest under a second name', async () => {
    await add('one')
    await store.copy('ONE', 'me/two:x')
    expect(await names()).toEqual(['me/two:x', 'one:latest'])
    const [one, two] = [await store.find('one'), await store.find('me/two:x')]
    expect(two?.digest).toBe(one?.digest)
  })

  it('replaces a model whose name differs only in case, and leaves one name', async () => {
    await add('one', 1)
    await add('Two', 2)
    await store.copy('one', 'two')
    expect(await names()).toEqual(['Two:latest', 'one:latest'])
    expect((await store.find('two'))?.digest).toBe((await store.find('one'))?.digest)
  })

  it('of nothing, or to a name that is none, is refused', async () => {
    await add('one')
    await expect(store.copy('none', 'x')).rejects.toMatchObject({ code: 'model_not_found' })
    await expect(store.copy('one', '../x')).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

describe('a removal', () => {
  it('takes the blobs along that nothing else uses, and the empty folders', async () => {
    await add('one', 1, 'Be brief.')
    await add('me/two', 2, 'Be brief.')
    const before = await blobs()
    await store.remove('Me/Two')
    expect(await names()).toEqual(['one:latest'])
    expect((await blobs()).length).toBeLessThan(before.length)
    expect(await readdir(join(root, 'manifests', 'registry.ollama.ai'))).toEqual(['library'])
    await expect(store.describe((await store.find('one')) as never)).resolves.toBeDefined()
    await store.remove('one')
    expect(await blobs()).toEqual([])
  })

  it('keeps what a copy still uses', async () => {
    await add('one')
    await store.copy('one', 'two')
    const before = await blobs()
    await store.remove('one')
    expect(await blobs()).toEqual(before)
  })

  it('of a model whose manifest is broken removes the manifest and no blob', async () => {
    await add('one')
    const before = await blobs()
    await writeFile(join(root, 'manifests/registry.ollama.ai/library/one/latest'), '{"layers":')
    await store.remove('one')
    expect([await names(), await blobs()]).toEqual([[], before])
  })

  it('of nothing is refused', async () => {
    await expect(store.remove('none')).rejects.toMatchObject({ message: "model 'none' not found" })
  })
})

describe('changes at the same time', () => {
  it('never leave a model without one of its blobs', async () => {
    await add('base', 1, 'Be brief.')
    const manifest = (await store.readManifest('base')) ?? ''
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.allSettled([
        store.writeManifest('new', manifest),
        store.remove('base'),
        store.copy('new', 'other'),
        store.remove('new'),
      ])
      expect(outcomes.length).toBe(4)
      for (const stored of await store.list()) await store.describe(stored)
      await add('base', 1, 'Be brief.')
    }
  })

  it('refuse a manifest whose blobs are gone', async () => {
    await add('base')
    const manifest = (await store.readManifest('base')) ?? ''
    await store.remove('base')
    await expect(store.writeManifest('new', manifest)).rejects.toThrow(/was removed meanwhile/)
    expect(await store.find('new')).toBeUndefined()
  })
})

describe('a blob', () => {
  const content = Buffer.from('some content')
  const digest = digestOf(content)

  it('is there after it was put, and not read a second time', async () => {
    expect(await store.blobSize(digest)).toBeUndefined()
    expect(await store.putBlob(digest, chunks('some ', 'content'), never)).toBe(true)
    expect(await store.blobSize(digest)).toBe(content.length)
    expect(await store.putBlob(digest, chunks(new Error('was read')), never)).toBe(false)
    expect(await blobs()).toEqual([digest.replace(':', '-')])
  })

  it('with another digest than it was said to have is not stored', async () => {
    const other = digestOf(Buffer.from('other'))
    await expect(store.putBlob(other, chunks('some content'), never)).rejects.toMatchObject({
      code: 'invalid_request',
      message: `digest mismatch, expected "${other}", got "${digest}"`,
    })
    expect(await blobs()).toEqual([])
  })

  it('whose sender breaks off, or goes away, is not stored', async () => {
    await expect(store.putBlob(digest, chunks('some ', new Error('reset')), never)).rejects.toThrow('reset')
    const leaving = new AbortController()
    async function* slow() {
      yield Buffer.from('some ')
      leaving.abort(new Error('left'))
      await sleep(20)
      yield Buffer.from('content')
    }
    await expect(store.putBlob(digest, slow(), leaving.signal)).rejects.toThrow('left')
    expect(await blobs()).toEqual([])
  })

  it.each(['', 'sha256:00', 'sha256:../../etc/passwd', 'md5:00'])('has no digest %j', async (bad) => {
    const refused = { code: 'invalid_request', message: 'invalid digest format' }
    await expect(store.blobSize(bad)).rejects.toMatchObject(refused)
    await expect(store.putBlob(bad, chunks(), never)).rejects.toMatchObject(refused)
  })
})

describe('pruning', () => {
  const orphan = async (suffix = '') => {
    const name = `${digestOf(randomBytes(8)).replace(':', '-')}${suffix}`
    await mkdir(join(root, 'blobs'), { recursive: true })
    await writeFile(join(root, 'blobs', name), 'x')
    return name
  }

  it('removes what no model uses and is older than an hour, and nothing else', async () => {
    await add('one')
    const used = await blobs()
    for (const name of used) await age(join(root, 'blobs', name), 100)
    const [old, young, partial, oldPartial, temporary] = [
      await orphan(),
      await orphan(),
      await orphan('-partial'),
      await orphan('-partial-0'),
      '.drover-left',
    ]
    await writeFile(join(root, 'blobs', temporary), 'x')
    await writeFile(join(root, 'blobs', 'notes.txt'), 'of the owner')
    await age(join(root, 'blobs', old), 2)
    await age(join(root, 'blobs', partial), 24)
    await age(join(root, 'blobs', oldPartial), 24 * 8)
    await store.prune()
    expect(await blobs()).toEqual([...used, young, partial, temporary, 'notes.txt'].sort())
  })

  it('removes empty folders of manifests', async () => {
    await add('one')
    await mkdir(join(root, 'manifests/registry.ollama.ai/me/gone'), { recursive: true })
    await store.prune()
    expect(await readdir(join(root, 'manifests/registry.ollama.ai'))).toEqual(['library'])
  })

  it('spares every blob while a manifest cannot be read', async () => {
    await add('one')
    const old = await orphan()
    await age(join(root, 'blobs', old), 48)
    const broken = join(root, 'manifests/registry.ollama.ai/library/broken/latest')
    await mkdir(dirname(broken), { recursive: true })
    await writeFile(broken, '')
    await store.prune()
    expect(await blobs()).toContain(old)
    expect(await readFile(broken, 'utf8')).toBe('')
  })

  it('of a store that does not exist yet does nothing', async () => {
    const empty = await openStore({ root: join(root, 'none'), log: quietLog })
    await empty.prune()
    expect(await readdir(root)).not.toContain('none')
  })
})
