import { createHash } from 'node:crypto'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ModelStore } from './contract.ts'
import { storeUnreadable, sweepTemporary } from './files.ts'
import { gguf } from './gguf/write.ts'
import { openStore } from './store.ts'
import { writeTinyGguf } from './testing.ts'

let folder: string
let root: string
let source: string
let warnings: string[]
let store: ModelStore

const open = (at: string) =>
  openStore({ root: at, log: { warn: (_facts, text) => void warnings.push(text) } })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-store-'))
  root = join(folder, 'models')
  source = join(folder, 'source.gguf')
  warnings = []
  await writeTinyGguf(source)
  store = await open(root)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const manifestPath = (...segments: string[]) => join(root, 'manifests', 'registry.ollama.ai', ...segments)
const allBlobs = () => readdir(join(root, 'blobs'))

/** Every file below a folder, with its content's digest and time. */
async function snapshot(): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const described = files.map(async (path) => {
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    return `${path} ${digest} ${(await stat(path)).mtimeMs}`
  })
  return (await Promise.all(described)).sort()
}

/** Writes a manifest as Ollama does, with layers of these kinds and texts. */
async function writeManifest(name: string, config: unknown, layers: [kind: string, content: string][]) {
  const put = async (mediaType: string, content: string) => {
    const hex = createHash('sha256').update(content).digest('hex')
    await mkdir(join(root, 'blobs'), { recursive: true })
    await writeFile(join(root, 'blobs', `sha256-${hex}`), content)
    return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(content) }
  }
  const manifest = {
    schemaVersion: 2,
    config: await put('application/vnd.docker.container.image.v1+json', JSON.stringify(config)),
    layers: await Promise.all(
      layers.map(([kind, text]) => put(`application/vnd.ollama.image.${kind}`, text)),
    ),
  }
  await mkdir(manifestPath('library', name), { recursive: true })
  await writeFile(manifestPath('library', name, 'latest'), JSON.stringify(manifest))
}

describe('a store', () => {
  it('that does not exist is empty, and is made by the first import', async () => {
    expect(await store.list()).toEqual([])
    expect(await store.find('tiny')).toBeUndefined()
    await expect(stat(root)).rejects.toThrow('ENOENT')
    await store.importGguf('tiny', { path: source })
    expect((await store.list()).map(({ displayName }) => displayName)).toEqual(['tiny:latest'])
  })

  it('that is not a folder is refused with the path and what to do', async () => {
    await expect(open(source)).rejects.toMatchObject({
      code: 'store_unreadable',
      message: `model store ${source} cannot be used (not a directory): it is not a folder: set OLLAMA_MODELS to one`,
    })
    await expect(open(join(source, 'models'))).rejects.toMatchObject({ code: 'store_unreadable' })
  })

  it('that may not be read is refused with the path and what to do', async () => {
    await mkdir(root)
    await chmod(root, 0o000)
    // Root may read everything, so as root this is tried as the user `nobody`.
    const isRoot = process.getuid?.() === 0
    await chmod(folder, 0o755)
    if (isRoot) process.seteuid?.(65534)
    try {
      const refused = expect.objectContaining({
        code: 'store_unreadable',
        message: expect.stringMatching(/models cannot be used \(EACCES.*give this user the right to use it/),
      })
      await expect(open(root)).rejects.toEqual(refused)
      await expect(store.list()).rejects.toEqual(refused)
      await expect(store.find('tiny')).rejects.toEqual(refused)
      await expect(store.importGguf('tiny', { path: source })).rejects.toEqual(refused)
    } finally {
      if (isRoot) process.seteuid?.(0)
      await chmod(root, 0o755)
    }
  })

  it('names every reason for which it cannot be used', () => {
    const problem = (code: string) => storeUnreadable('/m', Object.assign(new Error(code), { code })).message
    expect(problem('ENOSPC')).toContain('the disk is full')
    expect(problem('EROFS')).toContain('read-only')
    expect(problem('EIO')).toContain('check the disk')
    expect(storeUnreadable('/m', 'odd').message).toContain('(odd)')
  })
})

describe('an import', () => {
  it('lays the model out as Ollama does', async () => {
    const stored = await store.importGguf('Me/tiny:q4', {
      path: source,
      template: '{{ .Prompt }}',
      system: 'Be brief.',
      parameters: { temperature: 0, stop: ['</s>'] },
      license: 'MIT',
    })
    const text = await readFile(manifestPath('Me', 'tiny', 'q4'), 'utf8')
    const manifest = JSON.parse(text)
    expect(manifest).toMatchObject({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'application/vnd.docker.container.image.v1+json' },
    })
    const kinds = manifest.layers.map(({ mediaType }: { mediaType: string }) => mediaType.split('.').at(-1))
    expect(kinds).toEqual(['model', 'template', 'system', 'params', 'license'])
    for (const { digest, size } of [manifest.config, ...manifest.layers]) {
      const content = await readFile(join(root, 'blobs', digest.replace(':', '-')))
      expect([`sha256:${createHash('sha256').update(content).digest('hex')}`, content.length]).toEqual([
        digest,
        size,
      ])
    }
    const bytes = await readFile(source)
    expect(await readFile(stored.modelPath)).toEqual(bytes)
    expect(stored).toMatchObject({
      displayName: 'Me/tiny:q4',
      fullName: 'registry.ollama.ai/Me/tiny:q4',
      digest: createHash('sha256').update(text).digest('hex'),
      template: '{{ .Prompt }}',
      system: 'Be brief.',
      parameters: { temperature: 0, stop: ['</s>'] },
      licenses: ['MIT'],
      config: { model_format: 'gguf', model_family: 'llama', model_type: '12K', file_type: 'Q4_K_M' },
    })
    const sizes = manifest.layers.map(({ size }: { size: number }) => size)
    expect(stored.sizeBytes).toBe(sizes.reduce((a: number, b: number) => a + b, manifest.config.size))
    expect(await allBlobs()).toHaveLength(6)
  })

  it('done again changes nothing, not even a time', async () => {
    const first = await store.importGguf('tiny', { path: source, system: 'A' })
    const before = await snapshot()
    expect(await store.importGguf('tiny', { path: source, system: 'A' })).toEqual(first)
    expect(await snapshot()).toEqual(before)
  })

  it('with another text changes the manifest and keeps the model', async () => {
    const first = await store.importGguf('tiny', { path: source, system: 'A' })
    const second = await store.importGguf('tiny', { path: source, system: 'B' })
    expect(second.modelPath).toBe(first.modelPath)
    expect(second.system).toBe('B')
    expect((await store.find('tiny'))?.system).toBe('B')
  })

  it('keeps its copy when the source is changed in place', async () => {
    const { modelPath } = await store.importGguf('tiny', { path: source })
    const before = await readFile(modelPath)
    await writeFile(source, 'something else')
    expect(await readFile(modelPath)).toEqual(before)
  })

  it('puts a blob right that lost bytes', async () => {
    const { modelPath } = await store.importGguf('tiny', { path: source })
    await writeFile(modelPath, 'cut')
    await store.importGguf('tiny', { path: source })
    expect(await readFile(modelPath)).toEqual(await readFile(source))
  })

  it('takes the case of a name that is there already', async () => {
    await store.importGguf('Tiny', { path: source })
    const stored = await store.importGguf('tINY', { path: source, system: 'B' })
    expect(stored.displayName).toBe('Tiny:latest')
    expect(await store.list()).toHaveLength(1)
  })

  it('refuses what is no whole model, and leaves nothing behind', async () => {
    const bad = join(folder, 'bad.gguf')
    await writeFile(bad, 'not a model at all, but long enough')
    const part = join(folder, 'part.gguf')
    await writeTinyGguf(part, { 'split.count': gguf.uint32(3) })
    await expect(store.importGguf('x', { path: bad })).rejects.toMatchObject({ code: 'model_corrupt' })
    await expect(store.importGguf('x', { path: part })).rejects.toMatchObject({ code: 'unsupported' })
    await expect(store.importGguf('x', { path: folder })).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(store.importGguf('x', { path: join(folder, 'none') })).rejects.toMatchObject({
      code: 'invalid_request',
      message: `file ${join(folder, 'none')} does not exist`,
    })
    await expect(store.importGguf('../x', { path: source })).rejects.toThrow('invalid model name')
    expect(await store.list()).toEqual([])
    expect(await readdir(root)).toEqual([])
  })

  it('sweeps what a process that died left behind, and nothing that is in use or of others', async () => {
    const blobs = join(root, 'blobs')
    await mkdir(blobs, { recursive: true })
    await writeFile(join(blobs, '.drover-left'), 'x')
    await writeFile(join(blobs, 'sha256-0-partial'), 'x')
    await store.importGguf('tiny', { path: source })
    expect(await allBlobs()).toContain('.drover-left')
    await sweepTemporary(blobs, Date.now() + 2 * 60 * 60 * 1000)
    expect(await allBlobs()).not.toContain('.drover-left')
    expect(await allBlobs()).toContain('sha256-0-partial')
    expect(await allBlobs()).toHaveLength(3)
  })

  it('by several at once ends with whole models and no temporary files', async () => {
    const names = ['a', 'b', 'c', 'd', 'a', 'b']
    await Promise.all(names.map((name) => store.importGguf(name, { path: source, system: name })))
    expect((await store.list()).map(({ name }) => name.model).sort()).toEqual(['a', 'b', 'c', 'd'])
    expect((await allBlobs()).filter((name) => !/^sha256-[0-9a-f]{64}$/.test(name))).toEqual([])
  })
})

describe('finding a model', () => {
  it('does not mind case, defaults or the source', async () => {
    await store.importGguf('Me/Tiny:Q4', { path: source })
    for (const name of ['Me/Tiny:Q4', 'me/tiny:q4', 'registry.ollama.ai/ME/TINY:Q4', 'me/tiny:q4:local']) {
      expect((await store.find(name))?.displayName).toBe('Me/Tiny:Q4')
    }
    expect(await store.find('tiny:q4')).toBeUndefined()
    expect(await store.find('me/tiny')).toBeUndefined()
    await expect(store.find('me tiny')).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('sees what another program changed, added and removed', async () => {
    await store.importGguf('tiny', { path: source })
    const path = manifestPath('library', 'tiny', 'latest')
    expect((await store.find('TINY'))?.displayName).toBe('tiny:latest')
    const other = await open(root)
    await other.importGguf('tiny', { path: source, system: 'changed' })
    expect((await store.find('TINY'))?.system).toBe('changed')
    await mkdir(manifestPath('library', 'copy'), { recursive: true })
    await cp(path, manifestPath('library', 'copy', 'v1'))
    expect((await store.find('copy:v1'))?.system).toBe('changed')
    await rm(path)
    expect(await store.find('TINY')).toBeUndefined()
  })

  it('takes less than a tenth of a millisecond once it is known', async () => {
    await store.importGguf('Tiny', { path: source })
    const runs = 2000
    for (let round = 0; round < 2; round++) for (let i = 0; i < runs; i++) await store.find('tiny')
    const startMs = performance.now()
    for (let i = 0; i < runs; i++) await store.find('tiny')
    expect((performance.now() - startMs) / runs).toBeLessThan(0.1)
  })
})

describe('listing models', () => {
  it('gives the newest first', async () => {
    for (const [age, name] of ['new', 'middle', 'old'].entries()) {
      await store.importGguf(name, { path: source })
      const at = new Date(Date.UTC(2025, 0, 10 - age))
      await utimes(manifestPath('library', name, 'latest'), at, at)
    }
    const listed = await (await open(root)).list()
    expect(listed.map(({ name }) => name.model)).toEqual(['new', 'middle', 'old'])
    expect(listed[0]?.modifiedAtMs).toBe(Date.UTC(2025, 0, 10))
  })

  it('leaves out what cannot be read, with one warning each, and files that are no manifests', async () => {
    await store.importGguf('good', { path: source })
    const broken: [string, string][] = [
      ['text', 'not json'],
      ['shape', '{"config": 3}'],
      ['digest', `{"config": {"digest": "sha256:../../etc/passwd", "size": 2}, "layers": []}`],
      ['missing', `{"config": {"digest": "sha256:${'0'.repeat(64)}", "size": 2}, "layers": []}`],
      ['huge', `{"config": {"digest": "sha256:${'0'.repeat(64)}", "size": 99999999999}, "layers": []}`],
    ]
    for (const [name, text] of broken) {
      await mkdir(manifestPath('library', name), { recursive: true })
      await writeFile(manifestPath('library', name, 'latest'), text)
    }
    await writeFile(manifestPath('.DS_Store'), '')
    await writeFile(manifestPath('library', 'good', '.tmp'), '')
    await mkdir(manifestPath('library', 'good', 'folder', 'deeper'), { recursive: true })
    for (let times = 0; times < 3; times++) expect(await store.list()).toHaveLength(1)
    expect(warnings).toHaveLength(broken.length)
    for (const [name] of broken) {
      expect(
        warnings.filter((text) => text.includes(`model ${name}:latest cannot be read from`)),
      ).toHaveLength(1)
      await expect(store.find(name)).rejects.toMatchObject({ code: 'model_corrupt' })
    }
  })

  it('reads every layer that Ollama writes', async () => {
    await writeManifest(
      'full',
      { model_format: 'gguf', model_families: null, capabilities: ['vision'], renderer: 'cohere', extra: 1 },
      [
        ['model', 'm'],
        ['projector', 'p1'],
        ['projector', 'p2'],
        ['adapter', 'a'],
        ['draft', 'd'],
        ['prompt', '{{ .Prompt }}'],
        ['system', 'S'],
        ['params', '{"temperature": "0.5", "mirostat": 2}'],
        ['messages', '[{"role": "user", "content": "hi"}]'],
        ['license', 'L1'],
        ['license', 'L2'],
      ],
    )
    const stored = await store.find('full')
    expect(stored).toMatchObject({
      template: '{{ .Prompt }}',
      system: 'S',
      parameters: { temperature: 0.5 },
      messages: [{ role: 'user', content: 'hi' }],
      licenses: ['L1', 'L2'],
      config: { model_families: null, capabilities: ['vision'], renderer: 'cohere' },
    })
    expect(stored?.projectorPaths).toHaveLength(2)
    expect(stored?.adapterPaths.map(dirname)).toEqual([join(root, 'blobs')])
    expect(stored?.draftPath).toContain('sha256-')
    expect(warnings).toEqual(['parameters of full:latest that are not known: mirostat'])
  })
})

describe('describing a model', () => {
  it('says what is wrong with a file that is missing or cut off', async () => {
    const stored = await store.importGguf('tiny', { path: source })
    await writeFile(stored.modelPath, (await readFile(source)).subarray(0, 8000))
    await expect(store.describe(stored)).rejects.toMatchObject({
      code: 'model_corrupt',
      message: expect.stringContaining(stored.modelPath),
    })
    await rm(stored.modelPath)
    await expect(store.describe(stored)).rejects.toThrow('ENOENT')
    await store.importGguf('tiny', { path: source })
    expect((await store.describe(stored)).capabilities).toContain('completion')
  })

  it('reads each file once, for several names of it', async () => {
    const a = await store.importGguf('a', { path: source })
    const b = await store.importGguf('b', { path: source, system: 'B' })
    const [first, second, again] = await Promise.all([
      store.describe(a),
      store.describe(b),
      store.describe(a),
    ])
    expect(again).toBe(first)
    expect(second.file).toBe(first.file)
    expect(second.stored.system).toBe('B')
  })

  it('refuses models that this server does not run, by what they are', async () => {
    await writeManifest('far', { remote_host: 'https://example.com', remote_model: 'm' }, [])
    await writeManifest('tensors', { model_format: 'safetensors' }, [['tensor', 't']])
    const describeNamed = async (name: string) => {
      const stored = await store.find(name)
      if (!stored) throw new Error(`no ${name}`)
      return store.describe(stored)
    }
    await expect(describeNamed('far')).rejects.toThrow('model "far:latest" runs at https://example.com')
    await expect(describeNamed('tensors')).rejects.toThrow('has no GGUF file (its format is safetensors)')
  })

  it('sees through the projector', async () => {
    const projector = join(folder, 'mmproj.gguf')
    await writeTinyGguf(projector, {
      'general.architecture': gguf.string('clip'),
      'clip.has_audio_encoder': gguf.bool(true),
    })
    const stored = await store.importGguf('plain', { path: source })
    const { capabilities, projector: file } = await store.describe({ ...stored, projectorPaths: [projector] })
    expect(capabilities).toEqual(['completion', 'vision', 'audio'])
    expect(file?.shape.architecture).toBe('clip')
  })
})
