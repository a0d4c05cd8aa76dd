/** Programs that Drover starts itself, by a program that takes their command lines and answers as they do. */
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAlive } from '../../../test/support/drover.ts'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never, request } from '../../../test/support/llama-bench.ts'
import type { InstanceSpec } from '../contract.ts'
import { createExllamaEngine } from '../exllama/index.ts'
import { createSglangEngine } from '../sglang/index.ts'
import { createVllmEngine } from '../vllm/index.ts'

const script = join(import.meta.dirname, '../../../test/support/replay-program.ts')
let folder: string
let runDir: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-spawn-'))
  runDir = join(folder, 'run')
  await program('vllm', 'vllm')
  await program('vllm-with-events', 'vllm-with-events')
  await program('python', 'python')
  await mkdir(join(folder, 'tabby/venv/bin'), { recursive: true })
  await program('tabby/venv/bin/python', 'tabby')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function program(name: string, personality: string): Promise<void> {
  const path = join(folder, name)
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${script}' ${personality} "$@"\n`)
  await chmod(path, 0o755)
}

const options = (name: string, modelFolders: [string, string][] = []) => ({
  program: join(folder, name),
  targets: [],
  modelFolders: new Map(modelFolders),
  runDir,
  log: () => undefined,
})
const vllm = (modelFolders?: [string, string][]) => createVllmEngine(options('vllm', modelFolders))
const spec = (name: string, changes: Partial<InstanceSpec> = {}) => specOf(`/models/${name}`, changes)

interface Told {
  args: string[]
  cwd: string
  loaded?: string
  env: Record<string, string>
}

describe('a vLLM of its own', () => {
  it('is found with its version and flags, started for its devices, and gone without a trace', async () => {
    const engine = vllm()
    expect(await engine.probe()).toEqual({
      available: true,
      version: '0.11.0',
      path: join(folder, 'vllm'),
      devices: [],
      flags: new Set(['--runner', '--enable-prefix-caching', '--no-enable-prefix-caching']),
    })
    const parallel = { tensor: 2, pipeline: 2, data: 1, stageLayers: [20, 12] }
    const instance = await engine.launch(
      spec('llama', { parallel, env: { CUDA_VISIBLE_DEVICES: 'GPU-1,GPU-2' } }),
      never,
    )
    expect(instance).toMatchObject({
      engine: 'vllm',
      slots: 4,
      contextLength: 512,
      memory: { vramBytes: 4 * 18 * 2 ** 30, hostBytes: 0 },
    })
    const { text, done } = await answerOf(instance)
    const told = JSON.parse(text) as Told
    expect(told.args.slice(0, 4)).toEqual(['serve', '/models/llama', '--served-model-name', 'contract'])
    expect(told.env).toMatchObject({
      CUDA_VISIBLE_DEVICES: 'GPU-1,GPU-2',
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      VLLM_PP_LAYER_PARTITION: '20,12',
      TMPDIR: expect.stringContaining(runDir),
    })
    // The key is nothing that everybody may read.
    expect(told.args.join(' ')).not.toContain('key')
    expect(told.env['DROVER_HOME']).toBeUndefined()
    expect(done.usage).toMatchObject({ promptTokens: 3, outputTokens: 2 })
    await instance.ping(never)
    await instance.close()
    expect(await instance.exited).toMatchObject({ kind: 'closed' })
    expect(isAlive(instance.pid)).toBe(false)
    expect(await readdir(runDir)).toEqual([])
  })

  it('publishes what its cache evicts, on a socket that goes with it', async () => {
    const instance = await createVllmEngine(options('vllm-with-events')).launch(spec('llama'), never)
    const { promise: told, resolve } = Promise.withResolvers<number>()
    for await (const _ of instance.generate(request(), never, resolve)) {
      // To its end.
    }
    expect(await told).toBe(0)
    await instance.close()
    expect(await readdir(runDir)).toEqual([])
  })

  it('has as long to load as it shows signs of life', async () => {
    const instance = await vllm().launch(spec('slow', { stallTimeoutMs: 1_500 }), never)
    await instance.close()
    await expect(vllm().launch(spec('silent', { stallTimeoutMs: 1_000 }), never)).rejects.toMatchObject({
      code: 'load_stalled',
      message: expect.stringContaining('its last words: (EngineCore_DP0 pid=7) INFO Starting to load model'),
    })
    expect(await readdir(runDir)).toEqual([])
  })

  it.each([
    ['oom', 'insufficient_memory', 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9.00 GiB.'],
    [
      'broken',
      'load_failed',
      "ValueError: Model architectures ['Unknown'] are not supported for now. (exit code 1)",
    ],
  ])('that cannot load (%s) says %s in its own words', async (name, code, words) => {
    await expect(vllm().launch(spec(name), never)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`vLLM ended while it loaded contract: ${words}`),
    })
    expect(await readdir(runDir)).toEqual([])
  })

  it('is given up when nobody wants it any more', async () => {
    const control = new AbortController()
    const launched = vllm().launch(spec('silent'), control.signal)
    setTimeout(() => control.abort(new Error('not wanted')), 200)
    await expect(launched).rejects.toThrow('not wanted')
    expect(await readdir(runDir)).toEqual([])
  })

  it('that is killed, or dies under a request, fails it and says how it ended', async () => {
    const killed = await vllm().launch(spec('llama'), never)
    process.kill(killed.pid, 'SIGKILL')
    expect(await killed.exited).toMatchObject({
      kind: 'crashed',
      killed: true,
      reason: expect.stringContaining('SIGKILL'),
    })
    await expect(answerOf(killed)).rejects.toMatchObject({ code: 'engine_crashed' })
    const dying = await vllm().launch(spec('llama'), never)
    await expect(answerOf(dying, { prompt: 'die' })).rejects.toMatchObject({
      code: 'engine_crashed',
      message: expect.stringContaining('exit code 139'),
    })
    const hung = await vllm().launch(spec('llama'), never)
    hung.kill('it did not answer')
    expect(await hung.exited).toEqual({ kind: 'hung', reason: 'it did not answer' })
    expect(await readdir(runDir)).toEqual([])
  })

  it('runs folders, which are named for models whose file it cannot read', async () => {
    const file = join(folder, 'model.gguf')
    await writeFile(file, 'GGUF')
    await expect(vllm().launch(specOf(file), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('name its folder (modelFolders: ["contract=/path/to/folder"])'),
    })
    const named = vllm([['contract', 'meta-llama/Llama-3.1-8B-Instruct']])
    expect(named.commands?.(specOf(file))[0]?.argv.slice(0, 3)).toEqual([
      'vllm',
      'serve',
      'meta-llama/Llama-3.1-8B-Instruct',
    ])
    const instance = await named.launch(specOf(file), never)
    expect(JSON.parse((await answerOf(instance)).text)).toMatchObject({
      args: expect.arrayContaining(['meta-llama/Llama-3.1-8B-Instruct']),
    })
    await instance.close()
  })

  it('over several machines is shown, and not started', async () => {
    const nodes = ['10.0.0.1', '10.0.0.2'].map((address) => ({ node: address, address }))
    const grouped = spec('llama', { parallel: { tensor: 2, pipeline: 1, data: 1, nodes } })
    expect(vllm().commands?.(grouped)).toHaveLength(2)
    await expect(vllm().launch(grouped, never)).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('that is not here says what to do', async () => {
    const missing = createVllmEngine(options('nothing'))
    expect(await missing.probe()).toMatchObject({
      available: false,
      reason: expect.stringContaining('is no program'),
    })
    await expect(missing.launch(spec('llama'), never)).rejects.toMatchObject({ code: 'engine_unavailable' })
    expect(await createSglangEngine(options('vllm')).probe()).toMatchObject({ available: true })
    const bare = createExllamaEngine({ targets: [], modelFolders: new Map(), runDir, log: () => undefined })
    expect(await bare.probe()).toMatchObject({
      available: false,
      reason: expect.stringContaining("TabbyAPI's folder is not known. Give the folder"),
    })
  })
})

it('an SGLang of its own is started by its Python, and answers by its own route', async () => {
  const engine = createSglangEngine(options('python'))
  expect(await engine.probe()).toMatchObject({
    available: true,
    version: '0.5.5',
    flags: new Set(['--enable-metrics', '--incremental-streaming-output']),
  })
  const instance = await engine.launch(spec('qwen'), never)
  expect(await answerOf(instance)).toMatchObject({ text: 'sglang', tokens: [5], done: { reason: 'stop' } })
  await instance.close()
  expect(await readdir(runDir)).toEqual([])
})

it('a TabbyAPI of its own runs in its folder, and loads the model by its API', async () => {
  const engine = createExllamaEngine(options('tabby'))
  expect(await engine.probe()).toMatchObject({ available: true, version: 'exllamav3 0.0.12' })
  const instance = await engine.launch(spec('llama-exl3'), never)
  const told = JSON.parse((await answerOf(instance)).text) as Told
  expect(told).toMatchObject({ cwd: join(folder, 'tabby'), loaded: 'llama-exl3' })
  expect(told.args.slice(0, 2)).toEqual(['main.py', '--config'])
  await instance.close()
  expect(await readdir(runDir)).toEqual([])
})
