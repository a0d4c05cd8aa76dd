import { cp, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type DockerRegistry, digestOf, startDockerRegistry } from '../support/docker-registry.ts'
import { until } from '../support/drover.ts'
import { type HostileProxy, startHostileProxy } from '../support/hostile-proxy.ts'
import {
  allOf,
  contentOf,
  manifestPath,
  openRegistry,
  partialsOf,
  statusesOf,
  writeRandomModel,
} from '../support/registry-models.ts'

const never = new AbortController().signal
const insecure = { insecure: true }

let docker: DockerRegistry
let proxy: HostileProxy
let folder: string
/** The store that models are pushed from, and the one that they are pulled into. */
let source: string
let target: string
/** Of the model at the registry. */
let name: string
let weights: string
let count = 0

const weightBytes = 2_000_000

beforeAll(async () => {
  docker = await startDockerRegistry()
})
afterAll(() => docker.stop())

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-pull-'))
  source = join(folder, 'source')
  target = join(folder, 'target')
  proxy = await startHostileProxy(docker.host)
  name = `${proxy.host}/some/model${count++}:q4`
  weights = await writeRandomModel(source, name, weightBytes)
})
afterEach(async () => {
  await proxy.stop()
  await rm(folder, { recursive: true, force: true })
})

const blobPath = (root: string, digest: string) => join(root, 'blobs', digest.replace(':', '-'))
const isWeights = ({ method, path }: { method: string; path: string }) =>
  method === 'GET' && path.endsWith(weights)
/** The requests for parts, without the one that asks where they are. */
const isPart = (request: { method: string; path: string; headers: { range?: string | undefined } }) =>
  isWeights(request) && request.headers.range !== 'bytes=0-0'

async function push(text = name) {
  const { registry } = await openRegistry(source)
  return allOf(registry.push(text, insecure, never))
}

async function pull(text = name, signal = never) {
  const { registry } = await openRegistry(target)
  return allOf(registry.pull(text, insecure, signal))
}

describe('push and pull', () => {
  it("bring over a model byte for byte, in Ollama's words and order", async () => {
    const pushed = await push()
    const short = (digest: string) => digest.slice(7, 19)
    const manifest = JSON.parse(await readFile(manifestPath(source, name), 'utf8'))
    const digests: string[] = [...manifest.layers, manifest.config].map(({ digest }) => digest)
    expect(statusesOf(pushed)).toEqual([
      'retrieving manifest',
      ...digests.map((digest) => `pushing ${short(digest)}`),
      'pushing manifest',
      'success',
    ])
    const pulled = await pull()
    expect(statusesOf(pulled)).toEqual([
      'pulling manifest',
      ...digests.map((digest) => `pulling ${short(digest)}`),
      'verifying sha256 digest',
      'writing manifest',
      'success',
    ])
    expect(await contentOf(target)).toEqual(await contentOf(source))
    const last = pulled.findLast(({ digest }) => digest === weights)
    expect(last).toEqual({
      status: `pulling ${short(weights)}`,
      digest: weights,
      total: weightBytes,
      completed: weightBytes,
    })
    const { headers } = proxy.requests.find(({ path }) => path.includes('/manifests/')) ?? {}
    expect(headers?.['user-agent']).toMatch(/^ollama\/0\.33\.0 \(\w+ \w+\) Go\//)
  })

  it('send and fetch only what is not there yet', async () => {
    await push()
    await pull()
    proxy.requests.length = 0
    const pushed = await push()
    expect(proxy.requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'HEAD', 'HEAD', 'PUT'])
    expect(pushed.find(({ digest }) => digest === weights)).toMatchObject({ completed: weightBytes })
    proxy.requests.length = 0
    const pulled = await pull()
    expect(proxy.requests.map(({ path }) => path.split('/').at(-2))).toEqual(['manifests'])
    expect(pulled.filter(({ digest }) => digest === weights)).toEqual([
      {
        status: `pulling ${weights.slice(7, 19)}`,
        digest: weights,
        total: weightBytes,
        completed: weightBytes,
      },
    ])
  })

  it('take a layer from another model of the registry instead of sending it', async () => {
    await push()
    const other = `${proxy.host}/some/other${count}:q4`
    const manifest = JSON.parse(await readFile(manifestPath(source, name), 'utf8'))
    manifest.layers[0].from = name
    await cp(manifestPath(source, name), manifestPath(source, other), { recursive: true })
    await writeFile(manifestPath(source, other), JSON.stringify(manifest))
    proxy.requests.length = 0
    await push(other)
    const uploads = proxy.requests.filter(({ path }) => path.includes('/blobs/uploads/'))
    expect(uploads[0]?.path).toContain(`mount=${encodeURIComponent(weights)}&from=some%2Fmodel`)
    expect(uploads[1]?.path).not.toContain('mount=')
    expect(uploads.filter(({ method }) => method === 'PATCH')).toHaveLength(3)
  })

  it('keep the case in which a model is already there', async () => {
    await push()
    const capitals = name.replace('some/model', 'Some/Model')
    await writeRandomModel(target, capitals, 1000)
    await pull()
    const written = manifestPath(target, capitals)
    expect(await readFile(written)).toEqual(await readFile(manifestPath(source, name)))
    await expect(stat(manifestPath(target, name))).rejects.toThrow('ENOENT')
  })

  it('replace a tag and remove what nothing uses any more', async () => {
    await push()
    const { registry, removed } = await openRegistry(target)
    await allOf(registry.pull(name, insecure, never))
    expect(removed).toEqual([])
    const old = weights
    weights = await writeRandomModel(source, name, 1000)
    await push()
    const pulled = await allOf(registry.pull(name, insecure, never))
    expect(statusesOf(pulled).slice(-3)).toEqual(['writing manifest', 'removing unused layers', 'success'])
    expect(removed).toHaveLength(2)
    expect(removed).toContain(old)
    await expect(stat(blobPath(target, old))).rejects.toThrow('ENOENT')
  })

  it("refuse what is not there in Ollama's words", async () => {
    await expect(pull()).rejects.toMatchObject({
      code: 'internal',
      message: 'pull model manifest: file does not exist',
    })
    const told: string[] = []
    const { registry } = await openRegistry(target)
    const pushing = async () => {
      for await (const { status } of registry.push(name, insecure, never)) told.push(status)
    }
    await expect(pushing()).rejects.toThrow(`open ${manifestPath(target, name)}: no such file or directory`)
    expect(told).toEqual(['retrieving manifest', "couldn't retrieve manifest"])
    await expect(allOf(registry.pull(`http://${name}`, {}, never))).rejects.toThrow('insecure protocol http')
    await expect(allOf(registry.push(`http://${name}`, {}, never))).rejects.toThrow('insecure protocol http')
    await expect(allOf(registry.pull('a b', {}, never))).rejects.toThrow('invalid model name')
    await proxy.stop()
    await expect(pull()).rejects.toThrow(/^pull model manifest: Get "http:\/\/127.*ECONNREFUSED/)
    proxy = await startHostileProxy(docker.host)
  })
})

describe('a pull', () => {
  beforeEach(() => push())

  const expectWhole = async () => {
    expect(await contentOf(target)).toEqual(await contentOf(source))
  }

  it('goes on behind every cut, with only what is missing', async () => {
    proxy.mischief = (request) => (isPart(request) ? { cutAt: 70_000 } : undefined)
    await pull()
    await expectWhole()
    const ranges = proxy.requests.filter(isPart).map(({ headers }) => headers.range)
    expect(ranges.length).toBeGreaterThanOrEqual(weightBytes / 70_000)
    // Nothing is asked for twice: each connection brought something, and the next began behind it.
    expect(new Set(ranges).size).toBe(ranges.length)
  })

  it('asks again where nothing comes, however often', async () => {
    let stalls = 0
    proxy.mischief = (request) => {
      if (!isPart(request) || !request.headers.range?.startsWith('bytes=0-') || stalls === 3) return undefined
      stalls++
      return { stallAt: 0 }
    }
    const { registry } = await openRegistry(target, { tries: 2 })
    await allOf(registry.pull(name, insecure, never))
    await expectWhole()
    expect(stalls).toBe(3)
  })

  it('survives servers that fail for a while, and says why when they go on failing', async () => {
    const asked = new Set<string>()
    proxy.mischief = ({ path, headers }) => {
      const request = `${path} ${headers.range}`
      if (asked.has(request)) return undefined
      asked.add(request)
      return { status: 503, body: 'not now' }
    }
    await pull()
    await expectWhole()
    await rm(target, { recursive: true })
    proxy.mischief = (request) => (isPart(request) ? { status: 500, body: 'broken' } : undefined)
    await expect(pull()).rejects.toThrow('max retries exceeded: 500: broken')
    proxy.mischief = (request) => (isPart(request) ? { status: 416 } : undefined)
    await expect(pull()).rejects.toThrow('max retries exceeded: 416')
    proxy.mischief = (request) => (isWeights(request) ? { status: 403, body: 'not you' } : undefined)
    await expect(pull()).rejects.toThrow('403: not you')
    proxy.mischief = () => undefined
    await pull()
    await expectWhole()
  })

  it('never stores a blob with another digest, and begins it anew', async () => {
    proxy.mischief = (request) => (isPart(request) ? { corruptAt: 1000 } : undefined)
    const lines: string[] = []
    const { registry } = await openRegistry(target)
    const pulling = async () => {
      for await (const { status } of registry.pull(name, insecure, never)) lines.push(status)
    }
    await expect(pulling()).rejects.toThrow(
      new RegExp(
        `^digest mismatch, file must be downloaded again: want ${weights}, got sha256:[0-9a-f]{64}$`,
      ),
    )
    expect(lines.at(-1)).toBe('verifying sha256 digest')
    await expect(stat(blobPath(target, weights))).rejects.toThrow('ENOENT')
    await expect(stat(manifestPath(target, name))).rejects.toThrow('ENOENT')
    expect(await partialsOf(target)).toEqual([])
    proxy.mischief = () => undefined
    await allOf(registry.pull(name, insecure, never))
    await expectWhole()
  })

  it('understands servers that know no ranges', async () => {
    const bytes = await readFile(blobPath(source, weights))
    proxy.mischief = ({ path, headers }) => {
      if (path.endsWith(weights)) delete headers.range
      return undefined
    }
    const before = await openRegistry(target, { leastBytes: 700_000 })
    await allOf(before.registry.pull(name, insecure, never))
    expect(digestOf(bytes)).toBe(weights)
    await expectWhole()
  })

  it('that is cancelled ends at once, and the next one goes on from there', async () => {
    proxy.mischief = (request) => (isPart(request) ? { stallAt: 100_000 } : undefined)
    const cancel = new AbortController()
    const pulling = pull(name, cancel.signal)
    await until(
      'some bytes are there',
      5000,
      async () => (await savedBytes()) === 0 && proxy.requests.filter(isPart).length >= 8,
    )
    await new Promise((resolve) => setTimeout(resolve, 100))
    const startedAt = performance.now()
    cancel.abort()
    await expect(pulling).rejects.toThrow('abort')
    expect(performance.now() - startedAt).toBeLessThan(200)
    const saved = await savedBytes()
    expect(saved).toBeGreaterThanOrEqual(700_000)
    proxy.requests.length = 0
    proxy.mischief = () => undefined
    await pull()
    await expectWhole()
    const asked = proxy.requests.filter(isPart).map(({ headers }) => {
      const [, from = 0, to = 0] = (/bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? []).map(Number)
      return to - from + 1
    })
    expect(asked.reduce((sum, bytes) => sum + bytes, 0)).toBe(weightBytes - saved)
  })

  async function savedBytes(): Promise<number> {
    const records = (await partialsOf(target).catch(() => [])).filter((file) => /-partial-\d+$/.test(file))
    const texts = await Promise.all(records.map((file) => readFile(join(target, 'blobs', file), 'utf8')))
    return texts.reduce((sum, text) => sum + (JSON.parse(text).Completed as number), 0)
  }

  it('shares a download with every other that wants the same blob', async () => {
    proxy.mischief = (request) => (isPart(request) ? { bytesPerSecond: 1_000_000 } : undefined)
    const { registry } = await openRegistry(target)
    const cancel = new AbortController()
    const cancelled = allOf(registry.pull(name, insecure, cancel.signal))
    const others = [1, 2, 3].map(() => allOf(registry.pull(name, insecure, never)))
    await until('the parts are asked for', 5000, () => proxy.requests.filter(isPart).length >= 7)
    cancel.abort()
    await expect(cancelled).rejects.toThrow('abort')
    await Promise.all(others)
    await expectWhole()
    expect(proxy.requests.filter(isPart)).toHaveLength(8)
  })

  it('gets on with another process that fetches the same blob into the same store', async () => {
    proxy.mischief = (request) =>
      isPart(request) ? { bytesPerSecond: 500_000 + 500_000 * Math.random() } : undefined
    // Each knows nothing of the others' downloads.
    await Promise.all([pull(), pull(), pull()])
    await expectWhole()
  })

  it('goes on from what Ollama left', async () => {
    const bytes = await readFile(blobPath(source, weights))
    const partial = `${blobPath(target, weights)}-partial`
    await cp(source, target, { recursive: true })
    await rm(blobPath(target, weights))
    await rm(manifestPath(target, name))
    const half = weightBytes / 2
    await writeFile(partial, bytes.subarray(0, half + 300))
    await truncate(partial, weightBytes)
    await writeFile(`${partial}-0`, `{"N":0,"Offset":0,"Size":${half},"Completed":${half}}\n`)
    await writeFile(`${partial}-1`, `{"N":1,"Offset":${half},"Size":${half},"Completed":300}\n`)
    await pull()
    await expectWhole()
    expect(proxy.requests.filter(isPart).map(({ headers }) => headers.range)).toEqual([
      `bytes=${half + 300}-${weightBytes - 1}`,
    ])
  })

  it("makes the best of records that are broken, missing or in each other's way", async () => {
    const bytes = await readFile(blobPath(source, weights))
    const partial = `${blobPath(target, weights)}-partial`
    const begin = async (records: Record<number, string>) => {
      await rm(target, { recursive: true, force: true })
      await cp(source, target, { recursive: true })
      await rm(blobPath(target, weights))
      await writeFile(partial, bytes.subarray(0, 500_000))
      for (const [n, text] of Object.entries(records)) await writeFile(`${partial}-${n}`, text)
      proxy.requests.length = 0
      await pull()
      await expectWhole()
      return proxy.requests.filter(isPart).map(({ headers }) => headers.range)
    }
    const first = '{"N":0,"Offset":0,"Size":500000,"Completed":500000}'
    expect(await begin({ 0: first, 1: '' })).toEqual([`bytes=500000-${weightBytes - 1}`])
    const beyond = '{"N":1,"Offset":500000,"Size":1500000,"Completed":1500000}'
    expect(await begin({ 0: first, 1: beyond })).toEqual([`bytes=500000-${weightBytes - 1}`])
    const overlapping = '{"N":1,"Offset":400000,"Size":1600000,"Completed":0}'
    expect(await begin({ 0: first, 1: overlapping })).toHaveLength(8)
    const tooLong = '{"N":0,"Offset":0,"Size":3000000,"Completed":500000}'
    expect(await begin({ 0: tooLong })).toHaveLength(8)
  })

  it('replaces a blob that has been cut short, and what a killed process left beside a whole one', async () => {
    await pull()
    await truncate(blobPath(target, weights), 1000)
    await pull()
    await expectWhole()
    await writeFile(`${blobPath(target, weights)}-partial-0`, '{"N":0,"Offset":0,"Size":1,"Completed":0}')
    await pull()
    await expectWhole()
  })

  it('onto a full disk says so, and loses nothing that was there', async () => {
    await pull()
    const before = await contentOf(target)
    const keptName = manifestPath(target, name)
    weights = await writeRandomModel(source, name, weightBytes)
    await push()
    // Every write to this device fails as on a full disk.
    await symlink('/dev/full', `${blobPath(target, weights)}-partial`)
    await expect(pull()).rejects.toMatchObject({
      code: 'store_unreadable',
      message: expect.stringMatching(/ENOSPC: no space left on device.*free some space/),
    })
    const kept = (await contentOf(target)).filter((line) => !line.includes('-partial'))
    expect(kept).toEqual(expect.arrayContaining(before))
    expect(kept).toHaveLength(before.length)
    await rm(`${blobPath(target, weights)}-partial`)
    await pull()
    expect(await readFile(keptName)).toEqual(await readFile(manifestPath(source, name)))
    expect(await partialsOf(target)).toEqual([])
  })

  it('of what cannot fit is refused before it fills the disk', async () => {
    const manifest = JSON.parse(await readFile(manifestPath(source, name), 'utf8'))
    manifest.layers[0].size = 2 ** 52
    proxy.mischief = ({ path }) =>
      path.includes('/manifests/') ? { status: 200, body: JSON.stringify(manifest) } : undefined
    await expect(pull()).rejects.toThrow(/no space left on device: 4503599627370496 bytes are to be fetched/)
    expect(proxy.requests.filter(isPart)).toEqual([])
  })

  it('of a manifest that is none, or leads out of the store, is refused', async () => {
    const answer = (body: string) => {
      proxy.mischief = ({ path }) => (path.includes('/manifests/') ? { status: 200, body } : undefined)
      return expect(pull()).rejects
    }
    await answer('<html>').toThrow(/^pull model manifest: .* sent something else than a manifest$/)
    const digest = '../../../../etc/passwd'
    const layers = [{ mediaType: 'x', digest, size: 1 }]
    await answer(JSON.stringify({ config: layers[0], layers })).toThrow('something else than a manifest')
    const tensor = { mediaType: 'application/vnd.ollama.image.tensor', digest: weights, size: 1 }
    await answer(JSON.stringify({ config: tensor, layers: [tensor] })).toThrow(
      'this model requires MLX support',
    )
  })
})
