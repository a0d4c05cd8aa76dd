import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ensureTunnelKey } from '../../src/engines/llamacpp/index.ts'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { getJson, post, startDrover, type TestDrover, until } from '../support/drover.ts'
import { engineEnv } from '../support/engines.ts'
import { loopbackHost } from '../support/hosts.ts'
import { quietLog } from '../support/quiet-log.ts'
import { startRpcWorkerOn, type TestRpcWorker } from '../support/rpc-workers.ts'
import { layoutOf } from '../support/streams.ts'

interface Topology {
  devices: { id: string; network?: { address: string; roundTripMs: number; bytesPerS: number } }[]
}

const host = loopbackHost(7)
const address = `${host.address}:50052`
const lentId = `rpc:${address}/CPU`

let folder: string
let drover: TestDrover
let worker: TestRpcWorker | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-joins-'))
  await ensureTunnelKey(join(folder, 'key'))
  const path = join(folder, 'large.gguf')
  // 90 MiB of weights.
  const shape = { layers: 6, dim: 512, heads: 8, ffn: 1408, vocab: 4096, context: 2048 } as const
  await writeSyntheticGguf(path, { ...shape, endless: true, type: 'F32' })
  const modelsDir = join(folder, 'models')
  await (await openStore({ root: modelsDir, log: quietLog })).importGguf('large', { path })
  drover = await startDrover({
    demo: false,
    modelsDir,
    env: {
      ...(await engineEnv('llama.cpp')),
      DROVER_GPU_INSTANCES: JSON.stringify({ cpu: { memory_limit: '80MiB' } }),
      DROVER_RPC_WORKERS: address,
      DROVER_RPC_KEY_FILE: join(folder, 'key'),
      OLLAMA_CONTEXT_LENGTH: '512',
      OLLAMA_NUM_PARALLEL: '1',
    },
  })
}, 180_000)
afterAll(async () => {
  await Promise.all([drover?.stop(), worker?.stop()])
  await rm(folder, { recursive: true, force: true })
})

const ask = () =>
  post(`${drover.url}/api/generate`, {
    model: 'large',
    prompt: 'hello',
    stream: false,
    options: { num_predict: 1 },
  })
const problems = async () =>
  (await getJson<{ problems: string[] }>(`${drover.url}/api/multigpu/status`)).problems.join('\n')
const lent = async () =>
  (await getJson<Topology>(`${drover.url}/api/multigpu/topology`)).devices.find(({ id }) => id === lentId)
const lend = async () => {
  worker = await startRpcWorkerOn(host, { folder, keyFile: join(folder, 'key') })
  await until('it is taken in', 90_000, async () => (await lent()) !== undefined)
}

it('a machine that lends is used from when it answers, left out while it is away, and used again', async () => {
  await until('it is looked for', 60_000, async () => (await problems()).includes(`${address} lends nothing`))
  expect((await ask()).text).toContain('only 80.0 MiB is available')

  await lend()
  expect(drover.output()).toContain('RPC worker lends"')
  expect(await problems()).not.toContain(address)
  const { network } = (await lent()) ?? {}
  expect(network?.address).toBe(address)
  expect(network?.roundTripMs).toBeGreaterThan(0)
  expect(network?.bytesPerS).toBeGreaterThan(0)
  expect(await ask()).toMatchObject({ status: 200 })
  const [instance] = (await layoutOf(drover.url)).instances
  expect(instance?.parts.map(({ deviceId }) => deviceId)).toContain(lentId)

  await worker?.crash()
  await until('it is left out', 60_000, async () => (await lent()) === undefined)
  expect(await problems()).toContain(`${address} lends nothing`)
  expect(drover.output()).toContain('RPC worker is gone')
  expect((await ask()).status).toBe(500)

  await lend()
  expect((await ask()).status).toBe(200)
}, 240_000)
