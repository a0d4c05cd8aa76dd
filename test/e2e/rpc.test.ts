import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createLlamaCppEngine, type Engine, type InstanceSpec } from '../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { isAlive, until } from '../support/drover.ts'
import { asked, specOf } from '../support/engine-contract/bench.ts'
import { openHosts, type TestHosts } from '../support/hosts.ts'
import { answerOf, begin, never } from '../support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../support/llama-server.ts'
import { startRpcWorkerOn, type TestRpcWorker } from '../support/rpc-workers.ts'

const bundled = join(import.meta.dirname, '../../assets/drover-tiny.gguf')

let folder: string
let hosts: TestHosts
let workers: TestRpcWorker[] = []
let engine: Engine
/** The bundled model four times as large, in F32: whose answers no rounding changes. */
let modelPath: string
const said: string[] = []

const startWorkers = (memory?: string) =>
  Promise.all(
    hosts.hosts.map((host) =>
      startRpcWorkerOn(host, {
        folder,
        keyFile: join(folder, 'key'),
        ...(memory !== undefined && { memory }),
      }),
    ),
  )
async function stopWorkers(): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()))
  workers = []
}
const addresses = () => workers.map(({ address }) => address)

/** The model's four layers and its head over both hosts; or all of it on the first. */
function split(changes: Partial<InstanceSpec> = {}): InstanceSpec {
  return specOf(modelPath, {
    slots: 1,
    contextLength: 2048,
    batchSize: 128,
    gpuLayers: 'auto',
    rpcWorkers: addresses(),
    split: { mode: 'layer', devices: ['RPC0', 'RPC1'], weights: [3, 2] },
    ...changes,
  })
}
const onFirstOnly = (): InstanceSpec =>
  split({ rpcWorkers: addresses().slice(0, 1), split: { mode: 'none', devices: ['RPC0'], weights: [5] } })

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-rpc-'))
  hosts = await openHosts(2)
  const serverPath = await ensureLlamaServer()
  modelPath = join(folder, 'large.gguf')
  await promisify(execFile)(join(dirname(serverPath), 'llama-quantize'), [
    '--allow-requantize',
    bundled,
    modelPath,
    'F32',
  ])
  const [first] = hosts.hosts
  // The first writes the key that all have.
  if (first) await (await startRpcWorkerOn(first, { folder, keyFile: join(folder, 'key') })).stop()
  engine = createLlamaCppEngine({
    serverPath,
    enginesDir: testEnginesDir,
    runDir: join(folder, 'run'),
    rpcKeyFile: join(folder, 'key'),
    log: (message) => said.push(message),
  })
})
afterEach(stopWorkers)
afterAll(async () => {
  await hosts?.remove()
  await rm(folder, { recursive: true, force: true })
})

describe('a model over two machines', () => {
  it('that the memory of one refuses runs, and says what it says unsplit', async () => {
    const questions = ['What is the capital of France?', 'What is 3 plus 4?', 'Who wrote Hamlet?'].map(asked)
    const local = await engine.launch(
      { ...split(), rpcWorkers: [], split: undefined, gpuLayers: 0 } as never,
      never,
    )
    const expected = []
    for (const prompt of questions) expected.push((await answerOf(local, { prompt, maxTokens: 80 })).text)
    await local.close()

    workers = await startWorkers()
    const whole = await engine.launch(onFirstOnly(), never)
    const neededBytes = whole.memory.vramBytes
    await whole.close()
    await stopWorkers()

    workers = await startWorkers(String(Math.round(neededBytes * 0.85)))
    await expect(engine.launch(onFirstOnly(), never)).rejects.toMatchObject({
      code: 'insufficient_memory',
      message: expect.stringMatching(/allocate/),
    })
    said.length = 0
    const both = await engine.launch(split(), never)
    const answers = []
    for (const prompt of questions) answers.push((await answerOf(both, { prompt, maxTokens: 80 })).text)
    expect(answers).toEqual(expected)
    // It lies as it was told to.
    expect(said.filter((line) => line.includes('not as planned'))).toEqual([])
    const devices = both.memory.devices?.filter(({ name }) => name.startsWith('RPC')) ?? []
    expect(devices.map(({ name }) => name).toSorted()).toEqual(['RPC0', 'RPC1'])
    expect(devices.every(({ modelBytes }) => modelBytes > 2 ** 20)).toBe(true)
    await both.close()
    await until('nothing of it is left', 5000, async () => (await runningWorkers()).length === 0)
  })

  it('is fetched once: the second time its weights lie there', async () => {
    workers = await startWorkers()
    const path = join(folder, 'wide.gguf')
    // llama.cpp keeps tensors of more than 10 MiB.
    await writeSyntheticGguf(path, { type: 'F16', layers: 2, dim: 1024, heads: 8, ffn: 6144 })
    const sent = async () => {
      const before = await Promise.all(hosts.hosts.map((host) => host.sentBytes()))
      const wide = { ...split(), modelPath: path }
      const instance = await engine.launch(
        { ...wide, split: { mode: 'layer', devices: ['RPC0', 'RPC1'], weights: [1, 2] } },
        never,
      )
      await instance.close()
      const after = await Promise.all(hosts.hosts.map((host) => host.sentBytes()))
      return after.reduce<number>((sum, bytes, index) => sum + (bytes ?? 0) - (before[index] ?? 0), 0)
    }
    const first = await sent()
    const second = await sent()
    const kept = await readdir(join(workers[0]?.home ?? '', 'rpc-cache/rpc'))
    expect(kept.length).toBeGreaterThan(0)
    if (hosts.kind === 'namespaces') {
      expect(first).toBeGreaterThan((await stat(path)).size / 2)
      expect(second).toBeLessThan(first / 2)
    }
  })
})

describe('an instance whose worker is lost', () => {
  it('ends at once with the worker named, and leaves nothing', async () => {
    workers = await startWorkers()
    const instance = await engine.launch(split(), never)
    const { begun, ended } = begin(instance)
    await begun
    const [pid = 0] = (await workers[1]?.workers()) ?? []
    process.kill(-pid, 'SIGKILL')
    const exit = await instance.exited
    const lost = `worker ${workers[1]?.address} lost: signal SIGKILL`
    expect(exit).toEqual({ kind: 'crashed', reason: lost, killed: true })
    expect(await ended).toMatchObject({ code: 'engine_crashed', message: expect.stringContaining(lost) })
    expect(isAlive(instance.pid)).toBe(false)
    await until('the other worker has ended', 5000, async () => (await runningWorkers()).length === 0)

    // A worker of the same machine takes its place.
    const again = await engine.launch(split(), never)
    expect((await answerOf(again, { prompt: asked('What is 3 plus 4?'), maxTokens: 80 })).text).toContain('7')
    await again.close()
  })

  it('ends when the machine dies, and runs without it where it divides by itself', async () => {
    workers = await startWorkers()
    const instance = await engine.launch(split(), never)
    await workers[1]?.crash()
    expect((await instance.exited).reason).toMatch(`worker ${workers[1]?.address} lost: `)
    await expect(engine.launch(split(), never)).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining(`worker ${workers[1]?.address} cannot be used`),
    })
    const { split: _, ...free } = split()
    said.length = 0
    const smaller = await engine.launch(free, never)
    expect((await answerOf(smaller, { prompt: asked('What is 3 plus 4?'), maxTokens: 80 })).text).toContain(
      '7',
    )
    expect(said.join('\n')).toMatch(/cannot be used: .*; contract is loaded without it/)
    await smaller.close()
  })

  it('ends when the machine falls silent', async () => {
    workers = await startWorkers()
    const instance = await engine.launch(split(), never)
    workers[0]?.freeze()
    expect(await instance.exited).toMatchObject({
      kind: 'crashed',
      reason: `worker ${workers[0]?.address} lost: it said nothing for 10 s`,
    })
    await until('the other worker has ended', 5000, async () => (await workers[1]?.workers())?.length === 0)
    await workers[0]?.crash()
  })
})

async function runningWorkers(): Promise<number[]> {
  return (await Promise.all(workers.map((worker) => worker.workers()))).flat()
}
