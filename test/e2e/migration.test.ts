import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { importDemoModel } from '../../src/server/demo.ts'
import { startDrover, type TestDrover, until } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'
import {
  askInTurn,
  change,
  differing,
  keepAsking,
  knownPrompts,
  layoutOf,
  placesOf,
  type Seen,
} from '../support/streams.ts'

const streams = 50
const env = {
  DROVER_DEVICES: 'cpu:0,cpu:1',
  OLLAMA_NUM_PARALLEL: '4',
  OLLAMA_CONTEXT_LENGTH: '512',
  DROVER_JOIN_REQUESTS: 'false',
  DROVER_HAND_OVER_AFTER: '0s',
}

/** The bundled model, and a file of the same with zeros behind it: another model that says the same. */
let modelsDir: string
let prompts: string[]
beforeAll(async () => {
  modelsDir = await mkdtemp(join(tmpdir(), 'drover-migration-'))
  const store = await openStore({ root: modelsDir, log: quietLog })
  const { modelPath } = await importDemoModel(store)
  const path = join(modelsDir, 'twin.gguf')
  await writeFile(path, Buffer.concat([await readFile(modelPath), Buffer.alloc(64)]))
  await store.importGguf('twin', { path, parameters: { temperature: 0 } })
  prompts = await knownPrompts(24)
})
afterAll(() => rm(modelsDir, { recursive: true, force: true }))

function expectUndisturbed(before: Seen, { errors, answers, ...seen }: Seen): void {
  expect(errors.slice(0, 3)).toEqual([])
  expect(answers).toBeGreaterThan(streams)
  expect(differing(before, { errors, answers, ...seen })).toEqual([])
}

describe.each(bothEngines)('50 streams on the %s engine', (engine) => {
  let drover: TestDrover
  beforeAll(async () => {
    drover = await startDrover({ modelsDir, env: { ...env, ...(await engineEnv(engine)) } })
  })
  afterAll(() => drover.stop())
  const lies = (...places: string[]) =>
    until(`it lies on ${places}`, 60_000, async () => (await placesOf(drover.url)).join() === places.join())

  it('see nothing of a model that moves to another device and back', async () => {
    const { url } = drover
    await change(url, 'migrate', { model: 'drover', to: ['cpu:0'] })
    await lies('drover:latest cpu:0')
    const before = await askInTurn({ url, models: ['drover'], prompts })
    const load = keepAsking({ url, models: ['drover'], prompts, streams })
    await until('all are at it', 30_000, () => load.seen.answers > streams)
    const planned = await change(url, 'migrate', { model: 'drover', to: ['cpu:1'], dry_run: true })
    expect(planned).toMatchObject([{ state: 'planned', from: ['cpu:0'], to: ['cpu:1'] }])
    const [move] = await change(url, 'migrate', { model: 'drover', to: ['cpu:1'] })
    expect(move).toMatchObject({ state: 'starting', from: ['cpu:0'], to: ['cpu:1'] })
    await lies('drover:latest cpu:1')
    const allDone = async () => (await layoutOf(url)).moves.every(({ state }) => state === 'done')
    await until('the move is done', 30_000, allDone)
    await change(url, 'undo')
    await until('it is back', 60_000, async () => (await placesOf(url)).includes('drover:latest cpu:0'))
    await until('both moves are done', 30_000, allDone)
    expectUndisturbed(before, await load.stop())
  }, 180_000)

  it('see nothing of two models that are laid out anew', async () => {
    const { url } = drover
    for (const model of ['drover', 'twin']) await change(url, 'migrate', { model, to: ['cpu:0'] })
    await lies('drover:latest cpu:0', 'twin:latest cpu:0')
    const models = ['drover', 'twin']
    const before = await askInTurn({ url, models, prompts })
    const load = keepAsking({ url, models, prompts, streams })
    await until('all are at it', 30_000, () => load.seen.answers > streams)
    const planned = await change(url, 'rebalance', { dry_run: true })
    expect(planned).toMatchObject([{ state: 'planned', from: ['cpu:0'], to: ['cpu:1'] }])
    const moves = await change(url, 'rebalance')
    // Which of them depends on what each has to do just then.
    expect(moves).toMatchObject([{ from: ['cpu:0'], to: ['cpu:1'] }])
    await until('it is done', 60_000, async () => {
      const { moves: all } = await layoutOf(url)
      return all.find(({ id }) => id === moves[0]?.id)?.state === 'done'
    })
    expect(await placesOf(url)).toContain(`${moves[0]?.model} cpu:1`)
    expectUndisturbed(before, await load.stop())
  }, 180_000)
})

describe('a conversation whose model moves', () => {
  it('goes on with its cache on the new device', async () => {
    const own = { OLLAMA_CONTEXT_LENGTH: '2048', DROVER_SESSION_CACHE_SIZE: '64MiB' }
    const drover = await startDrover({
      modelsDir,
      env: { ...env, ...(await engineEnv('llama.cpp')), ...own },
    })
    try {
      const { url } = drover
      await change(url, 'migrate', { model: 'drover', to: ['cpu:0'] })
      await until('it runs', 30_000, async () => (await placesOf(url)).length === 1)
      const first = { role: 'user', content: 'The sheep of the north graze in the rain. '.repeat(30) }
      const { answer } = await turn(url, [first])
      const [move] = await change(url, 'migrate', { model: 'drover', to: ['cpu:1'] })
      await until('it has moved', 30_000, async () => {
        const { moves } = await layoutOf(url)
        return moves.find(({ id }) => id === move?.id)?.state === 'done'
      })
      const next = await turn(url, [first, answer, { role: 'user', content: 'What do they drink?' }])
      expect(next.instance).toMatch(/cpu:1$/)
      expect(next.cachedTokens).toBeGreaterThan(next.promptTokens / 2)
    } finally {
      await drover.stop()
    }
  }, 90_000)
})

interface Message {
  role: string
  content: string
}

/** One turn, in the dialect that tells how much was cached. */
async function turn(url: string, input: Message[]) {
  const response = await fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'drover', input, temperature: 0, max_output_tokens: 16 }),
  })
  const { output, usage } = (await response.json()) as {
    output: { content?: { text: string }[] }[]
    usage: { input_tokens: number; input_tokens_details: { cached_tokens: number } }
  }
  const content = output.flatMap((item) => item.content ?? []).map(({ text }) => text)
  return {
    instance: response.headers.get('x-drover-instance') ?? '',
    answer: { role: 'assistant', content: content.join('') },
    promptTokens: usage.input_tokens,
    cachedTokens: usage.input_tokens_details.cached_tokens,
  }
}

describe('a successor that does not start', () => {
  it('leaves the old instance where it was, and the reason is told', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'drover-broken-'))
    const { DROVER_LLAMA_SERVER: server = '', ...engine } = await engineEnv('llama.cpp')
    const broken = join(folder, 'broken')
    const program = join(folder, 'llama-server')
    const script = `#!/bin/sh\n[ -e ${broken} ] && echo 'error: the disk is full' >&2 && exit 1\nexec ${server} "$@"\n`
    await writeFile(program, script)
    await chmod(program, 0o755)
    const drover = await startDrover({ modelsDir, env: { ...env, ...engine, DROVER_LLAMA_SERVER: program } })
    try {
      const { url } = drover
      await change(url, 'migrate', { model: 'drover', to: ['cpu:0'] })
      await until('it runs', 30_000, async () => (await placesOf(url)).length === 1)
      const [{ instance } = { instance: 0 }] = (await layoutOf(url)).instances
      const before = await askInTurn({ url, models: ['drover'], prompts })
      const load = keepAsking({ url, models: ['drover'], prompts, streams })
      await until('all are at it', 30_000, () => load.seen.answers > streams)
      await writeFile(broken, '')
      const [move] = await change(url, 'migrate', { model: 'drover', to: ['cpu:1'] })
      await until('the move has failed', 30_000, async () => {
        const { moves } = await layoutOf(url)
        return moves.find(({ id }) => id === move?.id)?.state === 'failed'
      })
      const { instances, moves } = await layoutOf(url)
      expect(moves[0]?.error).toContain('the disk is full')
      expect(instances.find((one) => one.instance === instance)).toMatchObject({ state: 'ready' })
      expectUndisturbed(before, await load.stop())
      await rm(broken)
      await change(url, 'migrate', { model: 'drover', to: ['cpu:1'] })
      await until('it has moved', 30_000, async () => (await placesOf(url)).join() === 'drover:latest cpu:1')
    } finally {
      await drover.stop()
      await rm(folder, { recursive: true })
    }
  }, 120_000)
})
