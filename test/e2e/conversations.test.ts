import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceReport } from '../../src/api/index.ts'
import { openStore } from '../../src/models/index.ts'
import type { Explanation } from '../../src/routing/index.ts'
import { type SyntheticShape, writeSyntheticGguf } from '../../tools/synthetic.ts'
import { getJson, startDrover, type TestDrover, until } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'

const devices = ['cpu:0', 'cpu:1'] as const

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-conversations-'))
  const store = await openStore({ root: home, log: quietLog })
  // A long prompt takes them a part of a second: enough to go where it is cached.
  const shape: SyntheticShape = { endless: true, layers: 4, dim: 256, heads: 4, context: 8192, type: 'F16' }
  for (const [seed, name] of ['first', 'second'].entries()) {
    const path = join(home, `${name}.gguf`)
    await writeSyntheticGguf(path, { ...shape, seed })
    await store.importGguf(name, { path })
    await rm(path)
  }
})
afterAll(() => rm(home, { recursive: true }))

interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

let topics = 0

/** A conversation of a thousand tokens that nobody has had before. */
function aboutSomething(): Message[] {
  const topic = `${topics++} `
  return [
    { role: 'system', content: `${topic}the sheep of the north graze in the rain `.repeat(18) },
    { role: 'user', content: 'what do they eat' },
  ]
}

interface Wishes {
  pin?: string
  tenant?: string
  model?: string
}

const headersOf = ({ pin, tenant }: Wishes) => ({
  ...(pin && { 'x-drover-pin': pin }),
  ...(tenant && { 'x-drover-tenant': tenant }),
})

interface ResponsesAnswer {
  output: { content?: { text: string }[] }[]
  usage: { input_tokens: number; input_tokens_details: { cached_tokens: number } }
}

interface Turn {
  /** `#2 cpu:1` */
  instance: string
  promptTokens: number
  cachedTokens: number
  /** The conversation with its answer and one more question. */
  next: Message[]
}

/** One turn, in the dialect that tells how much was cached. */
async function say({ url }: TestDrover, messages: Message[], wishes: Wishes = {}): Promise<Turn> {
  const body = {
    model: wishes.model ?? 'first',
    input: messages,
    max_output_tokens: 8,
    temperature: 0,
  }
  const response = await fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headersOf(wishes) },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  expect(response.status, text).toBe(200)
  const { output, usage } = JSON.parse(text) as ResponsesAnswer
  const content = output.flatMap((item) => item.content ?? []).map((part) => part.text)
  return {
    instance: response.headers.get('x-drover-instance') ?? '',
    promptTokens: usage.input_tokens,
    cachedTokens: usage.input_tokens_details.cached_tokens,
    next: [
      ...messages,
      { role: 'assistant', content: content.join('') },
      { role: 'user', content: 'and what do they drink' },
    ],
  }
}

/** How much of a prompt each device's instance is believed to hold. */
async function believed({ url }: TestDrover, messages: Message[], wishes: Wishes = {}) {
  const response = await fetch(`${url}/api/route/explain`, {
    method: 'POST',
    headers: headersOf(wishes),
    body: JSON.stringify({ model: wishes.model ?? 'first', messages }),
  })
  const { candidates } = (await response.json()) as Explanation
  return new Map(candidates.map((one) => [one.devices.join(), Math.round(one.cachedTokens)]))
}

/** The process of the first model's instance on a device, in whatever state; undefined where none is. */
async function pidOn({ url }: TestDrover, deviceId: string): Promise<number | undefined> {
  const { devices: all } = await getJson<DeviceReport>(`${url}/api/devices`)
  const instances = all.find(({ id }) => id === deviceId)?.instances ?? []
  return instances.find(({ model }) => model === 'first:latest')?.pid
}

/** `kill -9`, noticed. */
async function killOn(drover: TestDrover, deviceId: string): Promise<void> {
  const pid = await pidOn(drover, deviceId)
  if (!pid) throw new Error(`no instance runs on ${deviceId}`)
  process.kill(pid, 'SIGKILL')
  await until('its end is noticed', 10_000, async () => (await pidOn(drover, deviceId)) !== pid)
}

const deviceOf = ({ instance }: Turn) => instance.split(' ')[1] ?? ''
const idOf = ({ instance }: Turn) => Number(/^#(\d+)/.exec(instance)?.[1])

describe.each(bothEngines)('conversations on the %s engine', (engine) => {
  let drover: TestDrover

  async function restart(env: Record<string, string> = {}) {
    await drover?.stop()
    const settings = { DROVER_DEVICES: devices.join(), OLLAMA_NUM_PARALLEL: '3' }
    drover = await startDrover({
      modelsDir: home,
      env: { ...(await engineEnv(engine)), ...settings, OLLAMA_CONTEXT_LENGTH: '4096', ...env },
    })
    // Both run, and have answered.
    for (const pin of devices) await say(drover, aboutSomething(), { pin })
  }

  beforeAll(() => restart(), 60_000)
  afterAll(() => drover.stop())

  it('go on where they began, though another instance is idle', async () => {
    for (const pin of [...devices, ...devices.toReversed()]) {
      const first = await say(drover, aboutSomething(), { pin })
      const second = await say(drover, first.next)
      const third = await say(drover, second.next)
      expect([second.instance, third.instance]).toEqual([first.instance, first.instance])
      for (const [before, after] of [
        [first, second],
        [second, third],
      ] as const) {
        expect(after.cachedTokens).toBeGreaterThan(before.promptTokens - 16)
        expect(after.cachedTokens).toBeLessThan(after.promptTokens)
      }
    }
  }, 60_000)

  it('are not found by another tenant, nor for another model', async () => {
    const messages = aboutSomething()
    const { next, promptTokens } = await say(drover, messages, { pin: 'cpu:0', tenant: 'mine' })
    const mine = await believed(drover, next, { tenant: 'mine' })
    expect(mine.get('cpu:0')).toBeGreaterThan(promptTokens * 0.8)
    expect(mine.get('cpu:1')).toBe(0)
    expect([...(await believed(drover, next, { tenant: 'yours' })).values()]).toEqual([0, 0])
    expect([...(await believed(drover, next)).values()]).toEqual([0, 0])
    await say(drover, aboutSomething(), { model: 'second' })
    expect([...(await believed(drover, next, { tenant: 'mine', model: 'second' })).values()]).toEqual([0])
  }, 60_000)

  it('are forgotten with the instance that held them, and with no other', async () => {
    const [gone, stays] = await Promise.all(devices.map((pin) => say(drover, aboutSomething(), { pin })))
    if (!gone || !stays) throw new Error('two conversations were wanted')
    expect((await believed(drover, gone.next)).get('cpu:0')).toBeGreaterThan(gone.promptTokens * 0.8)
    await killOn(drover, 'cpu:0')
    // Its successor.
    await say(drover, aboutSomething(), { pin: 'cpu:0' })
    const lost = await believed(drover, gone.next)
    expect([lost.get('cpu:0'), lost.get('cpu:1')]).toEqual([0, 0])
    const left = await believed(drover, stays.next)
    expect(left.get('cpu:0')).toBe(0)
    expect(left.get('cpu:1')).toBeGreaterThan(stays.promptTokens * 0.8)
    expect((await say(drover, gone.next)).cachedTokens).toBeLessThan(gone.promptTokens * 0.1)
  }, 60_000)

  it('go on elsewhere with what their drained instance held, for their tenant and model only', async () => {
    await restart()
    // The same words, so that whoever may not have the one's cache would gain by it.
    const messages = aboutSomething()
    const mine = await say(drover, messages, { pin: 'cpu:0', tenant: 'mine' })
    await drain(mine)
    const yours = await say(drover, mine.next, { tenant: 'yours', pin: 'cpu:1' })
    expect(yours.cachedTokens).toBeLessThan(mine.promptTokens * 0.1)
    const other = await say(drover, mine.next, { tenant: 'mine', model: 'second' })
    expect(other.cachedTokens).toBeLessThan(mine.promptTokens * 0.1)
  }, 60_000)

  it('go on elsewhere with what their drained instance held', async () => {
    await restart()
    const first = await say(drover, aboutSomething(), { pin: 'cpu:1' })
    await drain(first)
    const second = await say(drover, first.next)
    expect(deviceOf(second)).toBe('cpu:0')
    expect(second.cachedTokens).toBeGreaterThan(first.promptTokens - 16)
  }, 60_000)

  it('go on elsewhere with what was saved before their instance was killed', async () => {
    await restart({ DROVER_CHECKPOINT_TOKENS: '300' })
    const first = await say(drover, aboutSomething(), { pin: 'cpu:1' })
    await until('it is saved', 10_000, async () => (await believed(drover, first.next)).get('cpu:0') !== 0)
    await killOn(drover, 'cpu:1')
    const second = await say(drover, first.next, { pin: 'cpu:0' })
    expect(deviceOf(second)).toBe('cpu:0')
    expect(second.cachedTokens).toBeGreaterThan(first.promptTokens - 16)
  }, 60_000)

  /** Ends the instance of a turn, and waits until what it held is kept. */
  async function drain(turn: Turn): Promise<void> {
    const body = JSON.stringify({ instance: idOf(turn), grace: '0s' })
    const response = await fetch(`${drover.url}/api/drain`, { method: 'POST', body })
    expect(response.status, await response.text()).toBe(200)
    await until('it has gone', 20_000, async () => (await pidOn(drover, deviceOf(turn))) === undefined)
  }
})
