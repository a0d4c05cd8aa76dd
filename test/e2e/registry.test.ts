import { cp, readFile, stat, writeFile } from 'node:fs/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { ndjson, post, startDrover } from '../support/drover.ts'
import { insecure, never, useRegistry, weightBytes } from '../support/registry-fixture.ts'
import {
  allOf,
  blobPath,
  manifestPath,
  openRegistry,
  statusesOf,
  writeRandomModel,
} from '../support/registry-models.ts'

const at = useRegistry()

describe('push and pull', () => {
  it("bring over a model byte for byte, in Ollama's words and order", async () => {
    const pushed = await at.push()
    const short = (digest: string) => digest.slice(7, 19)
    const manifest = JSON.parse(await readFile(manifestPath(at.source, at.name), 'utf8'))
    const digests: string[] = [...manifest.layers, manifest.config].map(({ digest }) => digest)
    expect(statusesOf(pushed)).toEqual([
      'retrieving manifest',
      ...digests.map((digest) => `pushing ${short(digest)}`),
      'pushing manifest',
      'success',
    ])
    const pulled = await at.pull()
    expect(statusesOf(pulled)).toEqual([
      'pulling manifest',
      ...digests.map((digest) => `pulling ${short(digest)}`),
      'verifying sha256 digest',
      'writing manifest',
      'success',
    ])
    await at.expectWhole()
    const last = pulled.findLast(({ digest }) => digest === at.weights)
    expect(last).toEqual({
      status: `pulling ${short(at.weights)}`,
      digest: at.weights,
      total: weightBytes,
      completed: weightBytes,
    })
    const { headers } = at.proxy.requests.find(({ path }) => path.includes('/manifests/')) ?? {}
    expect(headers?.['user-agent']).toMatch(/^ollama\/0\.33\.0 \(\w+ \w+\) Go\//)
  })

  it('send and fetch only what is not there yet', async () => {
    await at.push()
    await at.pull()
    at.proxy.requests.length = 0
    const pushed = await at.push()
    expect(at.proxy.requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'HEAD', 'HEAD', 'PUT'])
    expect(pushed.find(({ digest }) => digest === at.weights)).toMatchObject({ completed: weightBytes })
    at.proxy.requests.length = 0
    const pulled = await at.pull()
    expect(at.proxy.requests.map(({ path }) => path.split('/').at(-2))).toEqual(['manifests'])
    expect(pulled.filter(({ digest }) => digest === at.weights)).toEqual([
      {
        status: `pulling ${at.weights.slice(7, 19)}`,
        digest: at.weights,
        total: weightBytes,
        completed: weightBytes,
      },
    ])
  })

  it('take a layer from another model of the registry instead of sending it', async () => {
    await at.push()
    const other = `${at.proxy.host}/some/other${Date.now()}:q4`
    const manifest = JSON.parse(await readFile(manifestPath(at.source, at.name), 'utf8'))
    manifest.layers[0].from = at.name
    await cp(manifestPath(at.source, at.name), manifestPath(at.source, other), { recursive: true })
    await writeFile(manifestPath(at.source, other), JSON.stringify(manifest))
    at.proxy.requests.length = 0
    await at.push(other)
    const uploads = at.proxy.requests.filter(({ path }) => path.includes('/blobs/uploads/'))
    expect(uploads[0]?.path).toContain(`mount=${encodeURIComponent(at.weights)}&from=some%2Fmodel`)
    expect(uploads[1]?.path).not.toContain('mount=')
    expect(uploads.filter(({ method }) => method === 'PATCH')).toHaveLength(3)
  })

  it('keep the case in which a model is already there', async () => {
    await at.push()
    const capitals = at.name.replace('some/model', 'Some/Model')
    await writeRandomModel(at.target, capitals, 1000)
    await at.pull()
    const written = manifestPath(at.target, capitals)
    expect(await readFile(written)).toEqual(await readFile(manifestPath(at.source, at.name)))
    await expect(stat(manifestPath(at.target, at.name))).rejects.toThrow('ENOENT')
  })

  it('replace a tag and remove what nothing uses any more', async () => {
    await at.push()
    const { registry, removed } = await openRegistry(at.target)
    await allOf(registry.pull(at.name, insecure, never))
    expect(removed).toEqual([])
    const old = at.weights
    at.weights = await writeRandomModel(at.source, at.name, 1000)
    await at.push()
    const pulled = await allOf(registry.pull(at.name, insecure, never))
    expect(statusesOf(pulled).slice(-3)).toEqual(['writing manifest', 'removing unused layers', 'success'])
    expect(removed).toHaveLength(2)
    expect(removed).toContain(old)
    await expect(stat(blobPath(at.target, old))).rejects.toThrow('ENOENT')
  })

  it("refuse what is not there in Ollama's words", async () => {
    await expect(at.pull()).rejects.toMatchObject({
      code: 'internal',
      message: 'pull model manifest: file does not exist',
    })
    const told: string[] = []
    const { registry } = await openRegistry(at.target)
    const pushing = async () => {
      for await (const { status } of registry.push(at.name, insecure, never)) told.push(status)
    }
    await expect(pushing()).rejects.toThrow(
      `open ${manifestPath(at.target, at.name)}: no such file or directory`,
    )
    expect(told).toEqual(['retrieving manifest', "couldn't retrieve manifest"])
    await expect(allOf(registry.pull(`http://${at.name}`, {}, never))).rejects.toThrow(
      'insecure protocol http',
    )
    await expect(allOf(registry.push(`http://${at.name}`, {}, never))).rejects.toThrow(
      'insecure protocol http',
    )
    await expect(allOf(registry.pull('a b', {}, never))).rejects.toThrow('invalid model name')
    await at.proxy.stop()
    await expect(at.pull()).rejects.toThrow(/^pull model manifest: Get "http:\/\/127.*ECONNREFUSED/)
  })
})

describe('a server', () => {
  it('pulls and pushes by its API', async () => {
    await at.push()
    const drover = await startDrover({ demo: false, modelsDir: at.target })
    try {
      const body = { model: at.name, insecure: true }
      const pulled = await post(`${drover.url}/api/pull`, body)
      expect(ndjson(pulled.text)).toContainEqual({
        status: `pulling ${at.weights.slice(7, 19)}`,
        digest: at.weights,
        total: weightBytes,
        completed: weightBytes,
      })
      expect(ndjson(pulled.text).at(-1)).toEqual({ status: 'success' })
      await at.expectWhole()
      const pushed = await post(`${drover.url}/api/push`, { ...body, stream: false })
      expect(JSON.parse(pushed.text)).toEqual({ status: 'success' })
      const missing = await post(`${drover.url}/api/pull`, { ...body, model: `${at.name}x` })
      expect(ndjson(missing.text)).toEqual([
        { status: 'pulling manifest' },
        { error: 'pull model manifest: file does not exist' },
      ])
    } finally {
      await drover.stop()
    }
  })
})

describe('a pull', () => {
  beforeEach(() => at.push())

  it('of what cannot fit is refused before it fills the disk', async () => {
    const manifest = JSON.parse(await readFile(manifestPath(at.source, at.name), 'utf8'))
    manifest.layers[0].size = 2 ** 52
    at.proxy.mischief = ({ path }) =>
      path.includes('/manifests/') ? { status: 200, body: JSON.stringify(manifest) } : undefined
    await expect(at.pull()).rejects.toThrow(
      /no space left on device: 4503599627370496 bytes are to be fetched/,
    )
    expect(at.proxy.requests.filter(at.isPart)).toEqual([])
  })

  it('of a manifest that is none, or leads out of the store, is refused', async () => {
    const answer = (body: string) => {
      at.proxy.mischief = ({ path }) => (path.includes('/manifests/') ? { status: 200, body } : undefined)
      return expect(at.pull()).rejects
    }
    await answer('<html>').toThrow(/^pull model manifest: .* sent something else than a manifest$/)
    const digest = '../../../../etc/passwd'
    const layers = [{ mediaType: 'x', digest, size: 1 }]
    await answer(JSON.stringify({ config: layers[0], layers })).toThrow('something else than a manifest')
    const tensor = { mediaType: 'application/vnd.ollama.image.tensor', digest: at.weights, size: 1 }
    await answer(JSON.stringify({ config: tensor, layers: [tensor] })).toThrow(
      'this model requires MLX support',
    )
  })
})
