import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Engine, EngineInstance, InstanceMemory, InstanceSpec } from '../engines/index.ts'
import type { Logger } from '../observability/index.ts'
import { openMemoryBook } from './memory-book.ts'

const key = { model: 'sha256-1', architecture: 'llama', fileType: 'Q8_0', backend: 'llama.cpp cpu' }
const estimated = { weightsBytes: 1000, kvCacheBytes: 500, computeBytes: 100 }
const device = {
  name: 'CPU',
  host: true,
  modelBytes: 1100,
  kvCacheBytes: 500,
  computeBytes: 110,
  outputBytes: 10,
}
const memory: InstanceMemory = { vramBytes: 0, hostBytes: 1720, devices: [device] }

/** An engine whose instances say that they took so much. */
function engineThatTakes(taken: InstanceMemory): Engine {
  return {
    name: 'llama.cpp',
    probe: () => Promise.resolve({ available: false, reason: 'a test' }),
    launch: (spec) =>
      spec.modelName === 'broken'
        ? Promise.reject(new Error('no memory'))
        : Promise.resolve({ id: spec.id, memory: taken } as EngineInstance),
  }
}

const specOf = (id: string, more: Partial<InstanceSpec> = {}) =>
  ({ id, modelName: 'm', projectorPaths: [], ...more }) as InstanceSpec
const never = new AbortController().signal

describe('the book of learned memory', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'drover-memory-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  const warnings: string[] = []
  const log = { warn: (_: object, message: string) => warnings.push(message) } as unknown as Logger

  it('learns of each launch, and knows it in the next run', async () => {
    const path = join(folder, 'book.json')
    const book = await openMemoryBook(path, log)
    const engine = book.watch(engineThatTakes(memory))
    expect(book.correctionsFor(key)).toEqual({ weights: 1, kvCache: 1, compute: 1 })
    book.expect('7', key, estimated)
    await engine.launch(specOf('7'), never)
    expect(book.correctionsFor(key)).toEqual({ weights: 1.1, kvCache: 1, compute: 1.2 })
    await book.saved()
    expect((await openMemoryBook(path, log)).correctionsFor(key)).toEqual(book.correctionsFor(key))
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ version: 1 })
    expect(warnings).toEqual([])
  })

  it('learns nothing of a launch that failed, of what the estimate leaves out, or of an engine that tells too little', async () => {
    const path = join(folder, 'nothing.json')
    const book = await openMemoryBook(path, log)
    for (const id of ['1', '2', '3', '4', '5']) book.expect(id, key, estimated)
    const engine = book.watch(engineThatTakes(memory))
    await expect(engine.launch(specOf('1', { modelName: 'broken' }), never)).rejects.toThrow('no memory')
    await engine.launch(specOf('2', { projectorPaths: ['p'] }), never)
    await book.watch(engineThatTakes({ vramBytes: 1, hostBytes: 2 })).launch(specOf('3'), never)
    await engine.launch(specOf('unexpected'), never)
    const gpu = { ...device, name: 'CUDA0', host: false }
    const launchOn = (id: string, devices: InstanceMemory['devices'] & object) =>
      book.watch(engineThatTakes({ ...memory, devices })).launch(specOf(id), never)
    await launchOn('4', [gpu, { ...gpu, name: 'CUDA1' }])
    await launchOn('5', [gpu, device])
    expect(book.correctionsFor(key)).toEqual({ weights: 1, kvCache: 1, compute: 1 })
  })

  it('warns of a file that cannot be used, and begins anew', async () => {
    const path = join(folder, 'broken.json')
    await writeFile(path, '{"learned": ')
    const book = await openMemoryBook(path, log)
    expect(warnings).toEqual([expect.stringMatching(/broken\.json cannot be used and is begun anew/)])
    book.expect('7', key, estimated)
    await book.watch(engineThatTakes(memory)).launch(specOf('7'), never)
    await book.saved()
    expect((await openMemoryBook(path, log)).correctionsFor(key).weights).toBe(1.1)
  })
})
