import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { importDemoModel } from '../../src/server/demo.ts'
import { startDrover, until } from '../support/drover.ts'
import { engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'
import { askInTurn, differing, keepAsking, knownPrompts, layoutOf, placesOf } from '../support/streams.ts'

let modelsDir: string
let prompts: string[]
beforeAll(async () => {
  modelsDir = await mkdtemp(join(tmpdir(), 'drover-auto-'))
  const store = await openStore({ root: modelsDir, log: quietLog })
  const { modelPath } = await importDemoModel(store)
  const path = join(modelsDir, 'twin.gguf')
  await writeFile(path, Buffer.concat([await readFile(modelPath), Buffer.alloc(64)]))
  await store.importGguf('twin', { path, parameters: { temperature: 0 } })
  prompts = await knownPrompts(24)
})
afterAll(() => rm(modelsDir, { recursive: true, force: true }))

const start = async (env: Record<string, string>) =>
  startDrover({
    modelsDir,
    env: {
      ...(await engineEnv('llama.cpp')),
      DROVER_DEVICES: 'cpu:0,cpu:1',
      OLLAMA_CONTEXT_LENGTH: '512',
      DROVER_JOIN_REQUESTS: 'false',
      DROVER_HAND_OVER_AFTER: '0s',
      ...env,
    },
  })

const load = (url: string, model: string, pin?: string) =>
  fetch(`${url}/api/generate`, {
    method: 'POST',
    body: JSON.stringify({ model, prompt: 'hello', stream: false, options: { num_predict: 1 } }),
    headers: pin === undefined ? {} : { 'x-drover-pin': pin },
  }).then((response) => response.text())

describe('without being asked', () => {
  it('a model has its instances with the strategy data, and none when it is let go', async () => {
    const drover = await start({ OLLAMA_GPU_STRATEGY: 'data', OLLAMA_KEEP_ALIVE: '12s' })
    try {
      await load(drover.url, 'drover')
      const both = 'drover:latest cpu:0,drover:latest cpu:1'
      await until('there are two', 20_000, async () => (await placesOf(drover.url)).join() === both)
      const { moves } = await layoutOf(drover.url)
      expect(moves).toMatchObject([
        { from: [], state: 'done', reason: expect.stringContaining('2 instances') },
      ])
      await until('both have gone', 40_000, async () => (await layoutOf(drover.url)).instances.length === 0)
    } finally {
      await drover.stop()
    }
  }, 90_000)

  it('one of two busy models leaves the device that both are on, and no answer changes', async () => {
    const drover = await start({ OLLAMA_NUM_PARALLEL: '8' })
    const { url } = drover
    const models = ['drover', 'twin']
    try {
      for (const model of models) await load(url, model, 'cpu:0')
      expect(await placesOf(url)).toEqual(['drover:latest cpu:0', 'twin:latest cpu:0'])
      const before = await askInTurn({ url, models, prompts })
      // Neither has all of its slots taken: nothing but the device has too much to do.
      const asking = keepAsking({ url, models, prompts, streams: 11 })
      await until('one has moved', 60_000, async () => {
        const { moves } = await layoutOf(url)
        return moves.some(
          ({ from, to, state }) => state === 'done' && from[0] === 'cpu:0' && to[0] === 'cpu:1',
        )
      })
      const seen = await asking.stop()
      expect(seen.errors).toEqual([])
      expect(differing(before, seen)).toEqual([])
      const { moves } = await layoutOf(url)
      expect(moves.at(-1)?.reason).toMatch(/^cpu:0 has a load of 1\.\d\d, cpu:1 one of 0\.00$/)
    } finally {
      await drover.stop()
    }
  }, 120_000)
})
