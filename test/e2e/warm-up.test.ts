import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/index.ts'
import { type RunningServer, startServer } from '../../src/server/index.ts'
import { getJson, post, until } from '../support/drover.ts'
import { engineEnv } from '../support/engines.ts'
import { createLeapingClock } from '../support/leaping-clock.ts'
import { quietLog } from '../support/quiet-log.ts'
import { layoutOf } from '../support/streams.ts'

const second = 1_000
const minute = 60 * second

const clock = createLeapingClock()
let home: string
let server: RunningServer
let beganMs = 0

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-warm-'))
  const env = {
    ...(await engineEnv('llama.cpp')),
    DROVER_HOME: home,
    OLLAMA_HOST: '127.0.0.1:0',
    OLLAMA_MODELS: join(home, 'models'),
    OLLAMA_KEEP_ALIVE: '1m',
    OLLAMA_CONTEXT_LENGTH: '512',
    OLLAMA_NUM_PARALLEL: '1',
  }
  const { config } = loadConfig({ flags: {}, env, homeDir: home, cwd: home, readFile: () => undefined })
  server = await startServer(config, { log: quietLog, demo: true, warnings: [], clock })
  beganMs = clock.now()
}, 180_000)
afterAll(async () => {
  await server.close({ drainMs: 0 })
  await rm(home, { recursive: true })
})

/** Lets time pass until so many minutes after the first request. */
const leapTo = (minutes: number) => clock.leap(beganMs + minutes * minute - clock.now())

const ask = async (keepAlive = '1m') => {
  const { status, headers } = await post(`${server.address}/api/generate`, {
    model: 'drover',
    prompt: 'hello',
    stream: false,
    keep_alive: keepAlive,
    options: { num_predict: 1 },
  })
  expect(status).toBe(200)
  return headers.get('x-drover-instance')
}

const ready = async () =>
  (await layoutOf(server.address)).instances
    .filter(({ state }) => state === 'ready')
    .map(({ instance }) => instance)
const loaded = () => until('it is loaded', 60_000, async () => (await ready()).length === 1)
const gone = () =>
  until('nothing is loaded', 30_000, async () => (await layoutOf(server.address)).instances.length === 0)
const reason = async () => {
  const { models } = await getJson<{ models: { reason?: string }[] }>(`${server.address}/api/multigpu/models`)
  return models[0]?.reason
}

it('a model that is asked for every ten minutes is there before, goes in between, and comes back', async () => {
  for (const at of [0, 10, 20, 30]) {
    leapTo(at)
    // Loading it anew each time would show no more than the last one does.
    await ask('15m')
  }
  leapTo(40)
  await ask()
  leapTo(41.5)
  await gone()
  // The next time may be a fifth earlier or later: that is too far yet.
  leapTo(46.5)
  expect(await reason()).toBeUndefined()
  expect((await layoutOf(server.address)).instances).toEqual([])

  leapTo(47.5)
  await loaded()
  const [warmed] = await ready()
  expect(await reason()).toMatch(/^it is expected \(every 10 min\): 100 % of its forecasts came true/)
  expect((await layoutOf(server.address)).moves[0]).toMatchObject({ from: [], state: 'done' })
  // It has been idle for longer than it is usually kept.
  leapTo(49.9)
  expect(await ask()).toBe(`#${warmed} cpu`)
  leapTo(51.5)
  await gone()

  leapTo(57.5)
  await loaded()
  // Nobody comes this time: when it is expected no more, it goes.
  leapTo(62.5)
  await gone()
}, 240_000)
