import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine, EngineInstance, InstanceSpec } from '../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { descendants, getJson, isAlive, startDrover, type TestDrover, until } from '../support/drover.ts'
import { asked, specOf } from '../support/engine-contract/bench.ts'
import { engineContract } from '../support/engine-contract.ts'
import { answerOf, begin, never } from '../support/llama-bench.ts'
import { byPath, openOllamaBench } from '../support/ollama.ts'

const tinyPath = join(import.meta.dirname, '../../assets/drover-tiny.gguf')
const bench = await openOllamaBench()
const other = join(bench.folder, 'other.gguf')

beforeAll(async () => {
  await writeSyntheticGguf(other, { endless: true, layers: 2, seed: 9 })
  await bench.add('tiny', tinyPath)
  await bench.add('other', other)
})
afterAll(bench.remove)

const tiny = (changes: Partial<InstanceSpec> = {}) =>
  specOf(tinyPath, { modelName: 'tiny:latest', slots: 2, ...changes })
const france = { prompt: asked('What is the capital of France?'), maxTokens: 60 }
const loadedIn = async (url: string) =>
  (await getJson<{ models: { name: string }[] }>(`${url}/api/ps`)).models.map(({ name }) => name)

engineContract('Ollama', async () => byPath(bench), tinyPath, { tokens: false, details: false, files: false })

describe('an ollama serve of its own', () => {
  const first = (set: string): Partial<InstanceSpec> => ({ env: { CUDA_VISIBLE_DEVICES: set } })
  const portOf = async (pid: number) =>
    Number(/127\.0\.0\.1:(\d+)/.exec((await environ(pid))['OLLAMA_HOST'] ?? '')?.[1])

  it('is one for each device set, which its models share, on the first ports that nobody has', async () => {
    const blocker = createServer().listen(21_501, '127.0.0.1')
    const engine = bench.engine({ firstPort: 21_500 })
    const [one, two, three] = await Promise.all([
      engine.launch(tiny(first('GPU-a')), never),
      engine.launch(specOf(other, { modelName: 'other', slots: 2, ...first('GPU-a') }), never),
      engine.launch(tiny(first('GPU-b')), never),
    ])
    blocker.close()
    expect(two.pid).toBe(one.pid)
    expect(three.pid).not.toBe(one.pid)
    expect((await Promise.all([one.pid, three.pid].map(portOf))).sort()).toEqual([21_500, 21_502])
    expect(await environ(three.pid)).toMatchObject({
      CUDA_VISIBLE_DEVICES: 'GPU-b',
      OLLAMA_MODELS: bench.modelsDir,
      OLLAMA_KEEP_ALIVE: '-1',
      OLLAMA_NUM_PARALLEL: '2',
      OLLAMA_NOPRUNE: '1',
      OLLAMA_KV_CACHE_TYPE: 'f16',
    })
    const url = `http://127.0.0.1:${await portOf(one.pid)}`
    expect((await loadedIn(url)).sort()).toEqual(['other:latest', 'tiny:latest'])
    for (const instance of [one, three]) expect((await answerOf(instance, france)).text).toContain('Paris')

    await one.close()
    expect(await loadedIn(url)).toEqual(['other:latest'])
    expect(isAlive(one.pid)).toBe(true)
    await Promise.all([two.close(), three.close()])
    expect([one.pid, three.pid].map(isAlive)).toEqual([false, false])
    expect(await readdir(bench.runDir)).toEqual([])
  })

  it('that dies or hangs takes its instances with it, and the next launch starts another', async () => {
    const engine = bench.engine({ firstPort: 21_520 })
    const [one, two] = await Promise.all([
      engine.launch(tiny(), never),
      engine.launch(specOf(other, { modelName: 'other', slots: 2 }), never),
    ])
    const reading = begin(two)
    await reading.begun
    process.kill(one.pid, 'SIGSTOP')
    await expect(one.ping(AbortSignal.timeout(300))).rejects.toThrow(/timeout|aborted/i)
    one.kill('it did not answer')
    expect(await Promise.all([one.exited, two.exited])).toEqual([
      { kind: 'hung', reason: 'it did not answer' },
      { kind: 'hung', reason: 'it did not answer' },
    ])
    expect(await reading.ended).toMatchObject({ code: 'engine_crashed' })
    const again = await engine.launch(tiny(), never)
    expect(again.pid).not.toBe(one.pid)
    await again.ping(never)
    await again.close()
    await Promise.all([one.close(), two.close()])
    expect(await readdir(bench.runDir)).toEqual([])
  })

  it('whose model is missing or broken says so, and leaves nothing', async () => {
    const engine = bench.engine({ firstPort: 21_530 })
    await expect(engine.launch(tiny({ modelName: 'nobody/has-this' }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('has no model nobody/has-this: pull it there'),
    })
    const blob = `/nowhere/sha256-${'a'.repeat(64)}`
    await expect(engine.launch(tiny({ modelPath: blob }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('has another tiny:latest'),
    })
    expect(await serversBelow(process.pid)).toEqual([])
    expect(await readdir(bench.runDir)).toEqual([])
  })

  it('that stops while it loads is given up after the time that a load may stand still', async () => {
    const engine = bench.engine({ firstPort: 21_540 })
    const held = await engine.launch(tiny(), never)
    process.kill(held.pid, 'SIGSTOP')
    const stalled = engine.launch(specOf(other, { modelName: 'other', stallTimeoutMs: 1_500 }), never)
    await expect(stalled).rejects.toMatchObject({ code: 'load_stalled' })
    expect(await held.exited).toMatchObject({ kind: 'hung' })
    await held.close()
    expect(await readdir(bench.runDir)).toEqual([])
  })

  it('that cannot start says why', async () => {
    const program = join(bench.folder, 'broken')
    await writeFile(
      program,
      '#!/bin/sh\n[ "$1" = --version ] && echo ollama version is 0.9.1 && exit\necho no such GPU; exit 3\n',
      {
        mode: 0o755,
      },
    )
    const engine = bench.engine({ program })
    expect(await engine.probe()).toMatchObject({ available: true, version: '0.9.1', path: program })
    await expect(engine.launch(tiny(), never)).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringContaining('no such GPU (exit code 3)'),
    })
    const missing = bench.engine({ program: join(bench.folder, 'nothing') })
    expect(await missing.probe()).toMatchObject({
      available: false,
      reason: expect.stringMatching(/nothing: .*ENOENT.*Correct the configured path/),
    })
    await expect(missing.launch(tiny(), never)).rejects.toMatchObject({ code: 'engine_unavailable' })
    const itself = bench.engine({ program: join(bench.folder, 'link/ollama') })
    expect(await itself.probe()).toMatchObject({ reason: expect.stringContaining('it is Drover itself') })
  })
})

describe('attached Ollamas', () => {
  let servers: TestDrover[]
  let urls: string[]
  let engine: Engine
  beforeAll(async () => {
    const env = { DROVER_ENGINE: 'embedded', OLLAMA_NUM_PARALLEL: '2' }
    servers = await Promise.all([
      startDrover({ demo: false, modelsDir: bench.modelsDir, env }),
      startDrover({ demo: true, env }),
    ])
    urls = servers.map(({ url }) => url)
    engine = bench.engine({ program: '/nowhere', attachUrls: urls })
  })
  afterAll(() => Promise.all(servers.map((server) => server.stop())))

  it('are each a device set of its own, chosen by the model, the load, or by name', async () => {
    expect(await engine.probe()).toMatchObject({
      available: true,
      path: urls[0],
      version: expect.stringMatching(/^\d/),
    })
    const [own] = urls
    // Only the first has it.
    const byModel = [await engine.launch(tiny(), never), await engine.launch(tiny(), never)]
    expect(await loadedIn(own ?? '')).toEqual(['tiny:latest'])
    const named = { modelName: 'drover', env: { OLLAMA_HOST: `${urls[1]}/` } }
    const byName = await engine.launch(tiny(named), never)
    expect(await loadedIn(urls[1] ?? '')).toEqual(['drover:latest'])
    expect([...byModel, byName].map(({ pid }) => pid)).toEqual([0, 0, 0])
    expect((await answerOf(byName, france)).text).toContain('Paris')

    await byModel[0]?.close()
    expect(await loadedIn(own ?? '')).toEqual(['tiny:latest'])
    await byModel[1]?.close()
    expect(await loadedIn(own ?? '')).toEqual([])
    await byName.close()
    expect(await loadedIn(urls[1] ?? '')).toEqual([])
    expect(servers.map(({ pid }) => isAlive(pid))).toEqual([true, true])
    await expect(
      engine.launch(tiny({ env: { OLLAMA_HOST: 'http://nobody:1' } }), never),
    ).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('http://nobody:1'),
    })
  })

  it('keep a model for Drover, whatever their own keep-alive', async () => {
    const instance = await engine.launch(tiny(), never)
    await answerOf(instance, france)
    const [loaded] = (await getJson<{ models: { expires_at: string }[] }>(`${urls[0]}/api/ps`)).models
    expect(new Date(loaded?.expires_at ?? 0).getFullYear()).toBeGreaterThan(2200)
    await instance.close()
  })

  it('that stop are known to be gone within seconds, and what ran there fails', async () => {
    const [, leaving] = servers
    const instance = await engine.launch(
      tiny({ modelName: 'drover', env: { OLLAMA_HOST: urls[1] ?? '' } }),
      never,
    )
    const reading = begin(instance)
    await reading.begun
    leaving?.process.kill('SIGKILL')
    const stoppedMs = performance.now()
    expect(await reading.ended).toMatchObject({ code: 'engine_failed' })
    expect(await instance.exited).toMatchObject({
      kind: 'crashed',
      reason: expect.stringMatching(/did not answer 3 times in a row: .*ECONNREFUSED/),
    })
    expect(performance.now() - stoppedMs).toBeLessThan(6_000)
    await expect(answerOf(instance, france)).rejects.toMatchObject({ code: 'engine_crashed' })
    await instance.close()
    await expect(
      engine.launch(tiny({ modelName: 'drover', env: { OLLAMA_HOST: urls[1] ?? '' } }), never),
    ).rejects.toMatchObject({ code: 'engine_unavailable' })
    expect(await engine.probe()).toMatchObject({ available: true })
  })

  it('that hang are known to be gone after three silent looks', async () => {
    const [hanging] = servers
    const instance: EngineInstance = await engine.launch(tiny(), never)
    hanging?.process.kill('SIGSTOP')
    expect(await instance.exited).toMatchObject({ kind: 'hung' })
    hanging?.process.kill('SIGCONT')
    await instance.close()
    await until('the server answers again', 5_000, async () => (await loadedIn(urls[0] ?? '')).length >= 0)
  })
})

async function environ(pid: number): Promise<Record<string, string>> {
  const text = await readFile(`/proc/${pid}/environ`, 'utf8')
  return Object.fromEntries(
    text
      .split('\0')
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
}

/** Processes below this one that serve: none is left behind. */
async function serversBelow(pid: number): Promise<string[]> {
  const commands = await Promise.all(
    (await descendants(pid)).map((below) => readFile(`/proc/${below}/cmdline`, 'utf8').catch(() => 'ended')),
  )
  return commands.filter((command) => command.includes('link/ollama'))
}
