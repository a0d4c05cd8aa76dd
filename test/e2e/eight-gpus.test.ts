import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DeviceReport, DeviceStatus } from '../../src/api/index.ts'
import { getJson, isAlive, post, startDrover, type TestDrover, until } from '../support/drover.ts'
import {
  createFakeHost,
  eightCards,
  type FakeHost,
  sickCard,
  story,
} from '../support/fake-nvidia-smi/index.ts'
import { ensureLlamaServer } from '../support/llama-server.ts'

/*
 * A host of eight GPUs that are not there: their `nvidia-smi` replays a story in which one gets hot, throttles, throws
 * XID 79 and vanishes, and comes back after a reset. The engine is real, and computes on the CPU what it believes to
 * compute on a card.
 */

let folder: string
let host: FakeHost
let drover: TestDrover

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-eight-'))
  host = createFakeHost(folder)
  drover = await startDrover({
    env: {
      PATH: `${host.bin}:${process.env['PATH']}`,
      DROVER_ENGINE: 'llama.cpp',
      DROVER_LLAMA_SERVER: await serverThatSeesCards(),
      DROVER_KERNEL_LOG: host.kernelLog,
      DROVER_NVML: '0',
      DROVER_PINS: JSON.stringify({ drover: [eightCards()[sickCard]?.uuid, eightCards()[5]?.uuid] }),
      OLLAMA_NUM_PARALLEL: '1',
    },
  })
})
afterAll(async () => {
  await drover.stop()
  await rm(folder, { recursive: true })
})

/** llama-server, with eight cards in its list of devices. */
async function serverThatSeesCards(): Promise<string> {
  const server = await ensureLlamaServer()
  const path = join(folder, 'llama-server')
  const list = eightCards().map(({ index }) => `  CUDA${index}: NVIDIA RTX A6000 (48513 MiB, 27000 MiB free)`)
  await writeFile(
    path,
    `#!/bin/sh\ncase $1 in --list-devices) printf 'Available devices:\\n${list.join('\\n')}\\n';; *) exec '${server}' "$@";; esac\n`,
  )
  await chmod(path, 0o755)
  return path
}

const ask = () =>
  post(`${drover.url}/api/generate`, {
    model: 'drover',
    prompt: 'What is the capital of France?',
    stream: false,
  })

const report = () => getJson<DeviceReport>(`${drover.url}/api/devices`)

async function card(index: number): Promise<DeviceStatus> {
  const found = (await report()).devices.find(
    (device) => device.index === index && device.vendor === 'nvidia',
  )
  if (!found) throw new Error(`card ${index} is not told of`)
  return found
}

const ready = ({ instances }: DeviceStatus) => instances.filter(({ state }) => state === 'ready')

const codes = ({ health }: DeviceStatus) => health.reasons.map(({ code }) => code)

/** Lines of the log about the sick card, as `level message`. */
function told(): string[] {
  return drover
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes(eightCards()[sickCard]?.uuid ?? ''))
    .map((line) => JSON.parse(line) as { level: string; msg: string; to?: string })
    .map(({ msg, to }) => (to === undefined ? msg : `${msg}: ${to}`))
}

it('are found with what they are, how they are linked, and what the table knows of them', async () => {
  const { devices, links, problems } = await report()
  const cards = devices.filter(({ vendor }) => vendor === 'nvidia')
  expect(cards.map(({ id }) => id)).toEqual(eightCards().map(({ uuid }) => uuid))
  expect(cards[0]).toMatchObject({ name: 'NVIDIA RTX A6000', kind: 'discrete', used: true, state: 'ok' })
  expect(cards[0]?.facts.bandwidthGBs).toEqual({ value: 768, from: 'table' })
  expect(links.filter(({ class: kind }) => kind === 'nvlink')).toHaveLength(4)
  expect(problems).toEqual([])
})

it('lose one, which walks through degraded, lost and quarantined and back, while every request is answered', async () => {
  await Promise.all([ask(), ask(), ask()])
  await until('both pinned cards serve', 20_000, async () => {
    await Promise.all([ask(), ask(), ask()])
    const [sick, well] = await Promise.all([card(sickCard), card(5)])
    return ready(sick).length > 0 && ready(well).length > 0
  })
  const pids = ready(await card(sickCard)).map(({ pid }) => pid)

  host.at(story.throttles)
  await until('it is degraded', 20_000, async () => (await card(sickCard)).health.state === 'degraded')
  await until('heat and throttling are both told', 5000, async () => {
    const seen = codes(await card(sickCard))
    return seen.includes('hot') && seen.includes('throttled')
  })

  // Answers that had begun on the card break with it; none that comes later is to see anything of it.
  let isLost = false
  const answers: number[] = []
  let over = false
  const load = Array.from({ length: 3 }, async () => {
    while (!over) {
      const counts = isLost
      const { status } = await ask()
      if (counts) answers.push(status)
    }
  })
  host.at(story.vanishes)
  await until('it is lost', 5000, async () => (await card(sickCard)).health.state === 'lost')
  isLost = true
  await until('its instances are gone', 5000, async () => {
    return !pids.some(isAlive) && (await card(sickCard)).instances.length === 0
  })
  const lost = await card(sickCard)
  expect(codes(lost)).toContain('xid')
  expect(lost.used).toBe(false)
  const after = answers.length
  await until('requests are answered by the other', 10_000, () => answers.length > after + 5)
  // A card that was away for a moment only was not reset: what the kernel said of it stands.
  const awayUntilMs = Date.now() + 5000
  await until('it was away for several looks', 6000, () => Date.now() > awayUntilMs)
  over = true
  await Promise.all(load)
  expect(new Set(answers)).toEqual(new Set([200]))

  host.at(story.returns)
  await until('it is well again', 90_000, async () => {
    const { health, used } = await card(sickCard)
    return health.state === 'healthy' && used
  })
  await until('it serves again', 20_000, async () => {
    await Promise.all(Array.from({ length: 8 }, ask))
    return ready(await card(sickCard)).length > 0
  })
  const story_ = told()
  const order = [
    'device is worse: degraded',
    'device is worse: lost',
    'device quarantined',
    'device is back',
    'device is better: healthy',
  ]
  expect(story_).toEqual(expect.arrayContaining(order))
  expect(story_.indexOf('device is worse: degraded')).toBeLessThan(story_.indexOf('device is worse: lost'))
  expect(drover.output()).toContain('Xid 79')
}, 180_000)
