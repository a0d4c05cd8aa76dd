import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { startDrover, type TestDrover } from '../support/drover.ts'
import { openHosts, type TestHosts } from '../support/hosts.ts'
import { ensureLlamaServer } from '../support/llama-server.ts'
import { startRpcWorkerOn, type TestRpcWorker } from '../support/rpc-workers.ts'

let folder: string
let hosts: TestHosts
let workers: TestRpcWorker[] = []
let drover: TestDrover

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-rpc-'))
  hosts = await openHosts(2)
})
afterEach(async () => {
  await drover?.stop()
  await Promise.all(workers.map((worker) => worker.stop()))
})
afterAll(async () => {
  await hosts?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** Two machines that lend their CPUs, with so much memory each, and a Drover that borrows them. */
async function start(env: Record<string, string>, memory?: string): Promise<void> {
  const keyFile = join(folder, 'key')
  workers = []
  // One after the other: the first writes the key.
  for (const host of hosts.hosts) {
    workers.push(await startRpcWorkerOn(host, { folder, keyFile, ...(memory !== undefined && { memory }) }))
  }
  drover = await startDrover({
    env: {
      DROVER_ENGINE: 'llama.cpp',
      DROVER_LLAMA_SERVER: await ensureLlamaServer(),
      DROVER_RPC_WORKERS: workers.map(({ address }) => address).join(','),
      DROVER_RPC_KEY_FILE: keyFile,
      ...env,
    },
  })
}

/** The whole text, and what happens at its fifth piece. */
async function answer(onFifth: () => Promise<void> = async () => undefined): Promise<string> {
  const response = await fetch(`${drover.url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({
      model: 'drover',
      messages: [{ role: 'user', content: 'Tell me a story.' }],
      think: false,
      options: { temperature: 0, num_predict: 400, num_ctx: 2048 },
    }),
  })
  expect(response.status).toBe(200)
  let text = ''
  let pieces = 0
  let rest = ''
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const event = JSON.parse(line) as { message?: { content: string }; error?: string; done: boolean }
      expect(event.error).toBeUndefined()
      text += event.message?.content ?? ''
      if (++pieces === 5) await onFifth()
    }
  }
  return text
}

async function runningWorkers(): Promise<number[][]> {
  return Promise.all(workers.map((worker) => worker.workers()))
}

const killSecond = async () => {
  const [, pids] = await runningWorkers()
  process.kill(-(pids?.[0] ?? 0), 'SIGKILL')
}

/** Nothing runs on this machine; with sixteen slots the model takes 77 MiB. */
const away = { DROVER_GPU_INSTANCES: JSON.stringify({ cpu: { exclude: true } }), OLLAMA_NUM_PARALLEL: '16' }

it('a model that neither of two machines holds is laid over both, and an answer outlives the loss of a worker', async () => {
  await start(away, '70MiB')
  const expected = await answer()
  expect(expected.length).toBeGreaterThan(40)
  expect((await runningWorkers()).map(({ length }) => length)).toEqual([1, 1])
  expect(await answer(killSecond)).toBe(expected)
  expect(drover.output()).toContain(`worker ${workers[1]?.address} lost: signal SIGKILL`)
})

it('an answer outlives the machine that it is computed on, and goes on on another', async () => {
  await start(away, '140MiB')
  const expected = await answer()
  const lending = (await runningWorkers()).findIndex((pids) => pids.length > 0)
  expect(await answer(async () => workers[lending]?.crash())).toBe(expected)
  expect(drover.output()).toContain(`worker ${workers[lending]?.address} lost: `)
  expect((await runningWorkers()).map(({ length }) => length)).toEqual(lending === 0 ? [0, 1] : [1, 0])
  expect(await answer()).toBe(expected)
})
