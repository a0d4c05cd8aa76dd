import { cp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { until } from '../support/drover.ts'
import { insecure, never, useRegistry, weightBytes } from '../support/registry-fixture.ts'
import {
  allOf,
  blobPath,
  contentOf,
  manifestPath,
  openRegistry,
  partialsOf,
  writeRandomModel,
} from '../support/registry-models.ts'

const at = useRegistry()

/** Everything but the weights is there already. */
async function copyWithoutWeights() {
  await rm(at.target, { recursive: true, force: true })
  await cp(at.source, at.target, { recursive: true })
  await rm(blobPath(at.target, at.weights))
}

describe('a pull', () => {
  beforeEach(() => at.push())

  it('goes on behind every cut, with only what is missing', async () => {
    at.proxy.mischief = (request) => (at.isPart(request) ? { cutAt: 70_000 } : undefined)
    await at.pull()
    await at.expectWhole()
    const ranges = at.ranges()
    expect(ranges.length).toBeGreaterThanOrEqual(weightBytes / 70_000)
    // Each connection brings something, and the next begins behind it; a few bring nothing on a busy machine.
    expect(new Set(ranges).size).toBeGreaterThan(ranges.length * 0.8)
  })

  it('asks again where nothing comes, however often', async () => {
    let stalls = 0
    at.proxy.mischief = (request) => {
      if (!at.isPart(request) || !request.headers.range?.startsWith('bytes=0-') || stalls === 3)
        return undefined
      stalls++
      return { stallAt: 0 }
    }
    const { registry } = await openRegistry(at.target, { tries: 2 })
    await allOf(registry.pull(at.name, insecure, never))
    await at.expectWhole()
    expect(stalls).toBe(3)
  })

  it('survives servers that fail for a while, and says why when they go on failing', async () => {
    const asked = new Set<string>()
    at.proxy.mischief = ({ path, headers }) => {
      const request = `${path} ${headers.range}`
      if (asked.has(request)) return undefined
      asked.add(request)
      return { status: 503, body: 'not now' }
    }
    await at.pull()
    await at.expectWhole()
    await rm(at.target, { recursive: true })
    at.proxy.mischief = (request) => (at.isPart(request) ? { status: 500, body: 'broken' } : undefined)
    await expect(at.pull()).rejects.toThrow('max retries exceeded: 500: broken')
    at.proxy.mischief = (request) => (at.isPart(request) ? { status: 416 } : undefined)
    await expect(at.pull()).rejects.toThrow('max retries exceeded: 416')
    at.proxy.mischief = (request) => (at.isWeights(request) ? { status: 403, body: 'not you' } : undefined)
    await expect(at.pull()).rejects.toThrow('403: not you')
    at.proxy.mischief = () => undefined
    await at.pull()
    await at.expectWhole()
  })

  it('never stores a blob with another digest, and begins it anew', async () => {
    at.proxy.mischief = (request) => (at.isPart(request) ? { corruptAt: 1000 } : undefined)
    const lines: string[] = []
    const { registry } = await openRegistry(at.target)
    const pulling = async () => {
      for await (const { status } of registry.pull(at.name, insecure, never)) lines.push(status)
    }
    await expect(pulling()).rejects.toThrow(
      new RegExp(
        `^digest mismatch, file must be downloaded again: want ${at.weights}, got sha256:[0-9a-f]{64}$`,
      ),
    )
    expect(lines.at(-1)).toBe('verifying sha256 digest')
    await expect(stat(blobPath(at.target, at.weights))).rejects.toThrow('ENOENT')
    await expect(stat(manifestPath(at.target, at.name))).rejects.toThrow('ENOENT')
    expect(await partialsOf(at.target)).toEqual([])
    at.proxy.mischief = () => undefined
    await allOf(registry.pull(at.name, insecure, never))
    await at.expectWhole()
  })

  it('understands servers that know no ranges', async () => {
    at.proxy.mischief = ({ path, headers }) => {
      if (path.endsWith(at.weights)) delete headers.range
      return undefined
    }
    await at.pull()
    await at.expectWhole()
  })

  it('that is cancelled ends at once, and the next one goes on from there', async () => {
    at.proxy.mischief = (request) => (at.isPart(request) ? { stallAt: 100_000 } : undefined)
    const cancel = new AbortController()
    const { registry } = await openRegistry(at.target)
    let cancelledAt = 0
    const pulling = async () => {
      for await (const { completed = 0 } of registry.pull(at.name, insecure, cancel.signal)) {
        if (completed < 700_000) continue
        cancelledAt = performance.now()
        cancel.abort()
      }
    }
    await expect(pulling()).rejects.toThrow('abort')
    expect(performance.now() - cancelledAt).toBeLessThan(700)
    const saved = await savedBytes()
    expect(saved).toBeGreaterThanOrEqual(700_000)
    at.proxy.requests.length = 0
    at.proxy.mischief = () => undefined
    await at.pull()
    await at.expectWhole()
    const ranges = at.ranges().map((range) => range?.match(/\d+/g) ?? [])
    const askedBytes = ranges.reduce((sum, [from, to]) => sum + Number(to) - Number(from) + 1, 0)
    expect(askedBytes).toBe(weightBytes - saved)
  })

  async function savedBytes(): Promise<number> {
    const records = (await partialsOf(at.target).catch(() => [])).filter((file) => /-partial-\d+$/.test(file))
    const texts = await Promise.all(records.map((file) => readFile(join(at.target, 'blobs', file), 'utf8')))
    return texts.reduce((sum, text) => sum + (JSON.parse(text).Completed as number), 0)
  }

  it('shares a download with every other that wants the same blob', async () => {
    at.proxy.mischief = (request) => (at.isPart(request) ? { bytesPerSecond: 1_000_000 } : undefined)
    const { registry } = await openRegistry(at.target)
    const cancel = new AbortController()
    const cancelled = allOf(registry.pull(at.name, insecure, cancel.signal))
    const others = [1, 2, 3].map(() => allOf(registry.pull(at.name, insecure, never)))
    await until('the parts are asked for', 5000, () => at.proxy.requests.filter(at.isPart).length >= 7)
    cancel.abort()
    await expect(cancelled).rejects.toThrow('abort')
    await Promise.all(others)
    await at.expectWhole()
    expect(at.proxy.requests.filter(at.isPart)).toHaveLength(8)
  })

  it('gets on with another process that fetches the same blob into the same store', async () => {
    at.proxy.mischief = (request) =>
      at.isPart(request) ? { bytesPerSecond: 500_000 + 500_000 * Math.random() } : undefined
    // Each knows nothing of the others' downloads.
    await Promise.all([at.pull(), at.pull(), at.pull()])
    await at.expectWhole()
  })

  it('goes on from what Ollama left', async () => {
    const bytes = await readFile(blobPath(at.source, at.weights))
    const partial = `${blobPath(at.target, at.weights)}-partial`
    await copyWithoutWeights()
    const half = weightBytes / 2
    await writeFile(partial, bytes.subarray(0, half + 300))
    await truncate(partial, weightBytes)
    await writeFile(`${partial}-0`, `{"N":0,"Offset":0,"Size":${half},"Completed":${half}}\n`)
    await writeFile(`${partial}-1`, `{"N":1,"Offset":${half},"Size":${half},"Completed":300}\n`)
    await at.pull()
    await at.expectWhole()
    expect(at.ranges()).toEqual([`bytes=${half + 300}-${weightBytes - 1}`])
  })

  it("makes the best of records that are broken, missing or in each other's way", async () => {
    const bytes = await readFile(blobPath(at.source, at.weights))
    const partial = `${blobPath(at.target, at.weights)}-partial`
    const begin = async (records: Record<number, string>) => {
      await copyWithoutWeights()
      await writeFile(partial, bytes.subarray(0, 500_000))
      for (const [n, text] of Object.entries(records)) await writeFile(`${partial}-${n}`, text)
      at.proxy.requests.length = 0
      await at.pull()
      await at.expectWhole()
      return at.ranges()
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
    await at.pull()
    await truncate(blobPath(at.target, at.weights), 1000)
    await at.pull()
    await at.expectWhole()
    await writeFile(
      `${blobPath(at.target, at.weights)}-partial-0`,
      '{"N":0,"Offset":0,"Size":1,"Completed":0}',
    )
    await at.pull()
    await at.expectWhole()
  })

  it('onto a full disk says so, and loses nothing that was there', async () => {
    await at.pull()
    const before = await contentOf(at.target)
    const keptName = manifestPath(at.target, at.name)
    at.weights = await writeRandomModel(at.source, at.name, weightBytes)
    await at.push()
    // Every write to this device fails as on a full disk.
    await symlink('/dev/full', `${blobPath(at.target, at.weights)}-partial`)
    await expect(at.pull()).rejects.toMatchObject({
      code: 'store_unreadable',
      message: expect.stringMatching(/ENOSPC: no space left on device.*free some space/),
    })
    const kept = (await contentOf(at.target)).filter((line) => !line.includes('-partial'))
    expect(kept).toEqual(expect.arrayContaining(before))
    expect(kept).toHaveLength(before.length)
    await rm(`${blobPath(at.target, at.weights)}-partial`)
    await at.pull()
    expect(await readFile(keptName)).toEqual(await readFile(manifestPath(at.source, at.name)))
    expect(await partialsOf(at.target)).toEqual([])
  })
})
