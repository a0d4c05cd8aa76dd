import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { startDrover, type TestDrover, until } from '../support/drover.ts'
import { engineEnv } from '../support/engines.ts'
import { openHosts, type TestHosts } from '../support/hosts.ts'
import { quietLog } from '../support/quiet-log.ts'
import { startRpcWorkerOn, type TestRpcWorker } from '../support/rpc-workers.ts'
import { askInTurn, differing, keepAsking, layoutOf } from '../support/streams.ts'

const mib = 2 ** 20

let folder: string
let hosts: TestHosts
let workers: TestRpcWorker[] = []
const prompts = ['one', 'two', 'three', 'four'].map((word) => `${word} `.repeat(20))
const mostTokens = 24
const models = ['large']

/** What of an answer to `/api/plan` is looked at. */
interface Planned {
  plans: { instances: { parts: { node: string; remote: boolean }[] }[] }[]
  commands: { commands: { node?: string }[] }[]
}

const common = { OLLAMA_NUM_PARALLEL: '1', OLLAMA_CONTEXT_LENGTH: '2048', DROVER_JOIN_REQUESTS: 'false' }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-lent-'))
  hosts = await openHosts(2)
  const path = join(folder, 'large.gguf')
  // In F32, where no rounding changes a word.
  const shape = { layers: 6, dim: 512, heads: 8, ffn: 1408, vocab: 4096, context: 2048 } as const
  await writeSyntheticGguf(path, { ...shape, endless: true, type: 'F32' })
  const store = await openStore({ root: join(folder, 'models'), log: quietLog })
  await store.importGguf('large', { path })
}, 60_000)
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()))
  await hosts?.remove()
  await rm(folder, { recursive: true, force: true })
})

const lend = async (memoryBytes: number) => {
  const keyFile = join(folder, 'key')
  const [first, second] = hosts.hosts
  if (!first || !second) throw new Error('there are no other machines')
  const memory = String(memoryBytes)
  // The first one writes the key that all have.
  workers = [await startRpcWorkerOn(first, { folder, keyFile, memory })]
  workers.push(await startRpcWorkerOn(second, { folder, keyFile, memory }))
}

const start = async (limitBytes: number, rpc: boolean): Promise<TestDrover> => {
  const [addresses, keyFile] = [workers.map(({ address }) => address).join(','), join(folder, 'key')]
  return startDrover({
    demo: false,
    modelsDir: join(folder, 'models'),
    env: {
      ...common,
      ...(await engineEnv('llama.cpp')),
      DROVER_GPU_INSTANCES: JSON.stringify({ cpu: { memory_limit: `${Math.floor(limitBytes / mib)}MiB` } }),
      ...(rpc && { DROVER_RPC_WORKERS: addresses, DROVER_RPC_KEY_FILE: keyFile }),
    },
  })
}

describe('a model that this machine has no memory for', () => {
  it('runs on those that lend theirs, says the same, and goes on when one of them dies', async () => {
    const alone = await start(4096 * mib, false)
    const expected = await askInTurn({ url: alone.url, models, prompts, mostTokens })
    const [{ parts = [] } = {}] = (await layoutOf(alone.url)).instances
    const neededBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0)
    await alone.stop()

    await lend(Math.round(neededBytes * 1.15))
    const small = await start(neededBytes * 0.9, false)
    const refused = await askInTurn({ url: small.url, models, prompts: prompts.slice(0, 1), mostTokens })
    await small.stop()
    expect(refused.errors.join()).toContain('500')

    const drover = await start(neededBytes * 0.9, true)
    try {
      const body = JSON.stringify({ model: 'large', strategy: 'pipeline' })
      const plan = (await (await fetch(`${drover.url}/api/plan`, { method: 'POST', body })).json()) as Planned
      const planned = plan.plans[0]?.instances[0]?.parts.filter(({ remote }) => remote) ?? []
      expect(planned.length).toBeGreaterThan(0)
      expect(workers.map(({ address }) => address)).toEqual(
        expect.arrayContaining(planned.map(({ node }) => node)),
      )
      expect(plan.commands[0]?.commands.map(({ node }) => node)).toContain(planned[0]?.node.split(':')[0])

      const shared = await askInTurn({ url: drover.url, models, prompts, mostTokens })
      expect(shared.errors).toEqual([])
      expect(differing(expected, shared)).toEqual([])
      const [instance] = (await layoutOf(drover.url)).instances
      const lent = instance?.parts.filter(({ remote }) => remote) ?? []
      expect(lent.length).toBeGreaterThan(0)

      const load = keepAsking({ url: drover.url, models, prompts, streams: 2, mostTokens })
      await until('answers come', 60_000, () => load.seen.answers > 1)
      const used = workers.filter(({ address }) => lent.some(({ deviceId }) => deviceId.includes(address)))
      await used[0]?.crash()
      const before = load.seen.answers
      await until('answers come again', 120_000, () => load.seen.answers > before + 3)
      const seen = await load.stop()
      expect(seen.errors).toEqual([])
      expect(differing(expected, seen)).toEqual([])
    } finally {
      await drover.stop()
    }
  }, 240_000)
})
