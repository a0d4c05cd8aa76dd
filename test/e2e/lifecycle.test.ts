import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { instancesOf } from '../support/cut-answers.ts'
import {
  getJson,
  killDescendants,
  ndjson,
  post,
  startDrover,
  type TestDrover,
  until,
} from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'

/** A store with the small models `one`, `two` and `three` in it. */
async function storeOfThree(modelsDir: string): Promise<void> {
  const store = await openStore({ root: modelsDir, log: quietLog })
  for (const [index, name] of ['one', 'two', 'three'].entries()) {
    const path = join(modelsDir, `${name}.gguf`)
    await writeSyntheticGguf(path, {
      architecture: 'llama',
      layers: 2,
      dim: 64,
      heads: 2,
      context: 8192,
      endless: true,
      seed: index + 1,
    })
    await store.importGguf(name, { path })
    await rm(path)
  }
}

interface Running {
  name: string
  context_length: number
}

describe.each(bothEngines)('the lifecycle of models on the %s engine', (engine) => {
  let home: string
  let drover: TestDrover
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'drover-lifecycle-'))
    await storeOfThree(home)
    drover = await startDrover({
      modelsDir: home,
      demo: false,
      env: { ...(await engineEnv(engine)), OLLAMA_MAX_LOADED_MODELS: '2', OLLAMA_NUM_PARALLEL: '2' },
    })
  })
  afterAll(async () => {
    await drover.stop()
    await rm(home, { recursive: true })
  })

  const generate = (model: string, more: object = {}) =>
    post(`${drover.url}/api/generate`, {
      model,
      prompt: 'hello',
      stream: false,
      ...more,
      options: { num_predict: 4, ...('options' in more ? (more.options as object) : {}) },
    })
  const running = async () => (await getJson<{ models: Running[] }>(`${drover.url}/api/ps`)).models
  const names = async () => (await running()).map((model) => model.name)
  const unloadAll = async () => {
    for (const name of await names()) await post(`${drover.url}/api/generate`, { model: name, keep_alive: 0 })
    await until('all models are unloaded', 10_000, async () => (await running()).length === 0)
  }

  it('loads once for many who ask at the same time', async () => {
    await unloadAll()
    const answers = await Promise.all(Array.from({ length: 8 }, () => generate('one')))
    expect(answers.map((answer) => answer.status)).toEqual(Array(8).fill(200))
    expect(drover.output().match(/model loaded/g)).toHaveLength(1)
  })

  it('keeps a model as long as the request says', async () => {
    await generate('one', { keep_alive: '1s' })
    expect(await names()).toContain('one:latest')
    await until('the model is unloaded', 5000, async () => !(await names()).includes('one:latest'))
  })

  it('serves a smaller context by the larger instance, and reloads for a larger one', async () => {
    await unloadAll()
    await generate('two', { options: { num_ctx: 2048 } })
    const [first] = await running()
    expect(first?.context_length).toBe(2048)
    const pids = async () => (await instancesOf(drover, 'two')).map(({ pid }) => pid)
    const before = await pids()
    await generate('two', { options: { num_ctx: 512 } })
    expect(before).toHaveLength(1)
    expect(await pids()).toEqual(before)
    await generate('two', { options: { num_ctx: 4096 } })
    expect((await running())[0]?.context_length).toBe(4096)
  })

  it('evicts the least valuable model when a third one is wanted', async () => {
    await unloadAll()
    await generate('one', { keep_alive: -1 })
    await generate('two')
    await generate('three')
    expect((await names()).sort()).toEqual(['one:latest', 'three:latest'])
  })

  it('brings a crashed engine back and answers the next request', async () => {
    await unloadAll()
    await generate('one')
    await killDescendants(drover.pid)
    const answer = await generate('one')
    expect(answer.status).toBe(200)
  })

  it('goes on with a stream whose engine dies in the middle, to its last token', async () => {
    await unloadAll()
    await generate('one')
    const response = await fetch(`${drover.url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({
        model: 'one',
        prompt: 'hello',
        raw: true,
        options: { num_predict: 400, num_ctx: 8192 },
      }),
    })
    expect(response.status).toBe(200)
    let text = ''
    let killed = false
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (!killed) {
        killed = true
        await killDescendants(drover.pid)
      }
    }
    const last = ndjson<{ error?: string; done?: boolean; eval_count?: number }>(text).at(-1)
    expect(last?.error).toBeUndefined()
    expect(last).toMatchObject({ done: true, done_reason: 'length', eval_count: 400 })
  })

  it('reports a crash loop with its reason instead of hiding it', async () => {
    // An engine may be back before anybody could see it gone; the log misses none.
    const crashes = () => {
      const lines = drover.output().split('\n')
      return lines.filter((line) => line.includes('engine ended') && line.includes('three')).length
    }
    // Loaded and never used: one that had answered is no loop when it crashes.
    const load = () => post(`${drover.url}/api/generate`, { model: 'three' })
    for (let crash = 0; crash < 3; crash++) {
      await until('the model is up again', 20_000, async () => (await load()).status === 200)
      const before = crashes()
      await killDescendants(drover.pid)
      await until('the crash is noticed', 5000, () => crashes() > before)
    }
    const answer = await generate('three')
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.text).error).toMatch(
      /keeps crashing: \d times in the last 5 minutes, last because: .*SIGKILL/,
    )
    expect(drover.output()).toMatch(/keeps crashing/)
  })
})
