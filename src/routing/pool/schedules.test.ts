import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { room } from '../lifecycle/testing.ts'
import { textOf, undisturbed } from '../testing/scripted-engine.ts'
import { play } from './testing/play.ts'
import { options, schedule } from './testing/schedule.ts'
import { type Asked, type Client, createWorld, quietWorld, type WorldOptions } from './testing/world.ts'

/** `DROVER_TEST_SCHEDULES=10000` is the long run. */
const schedules = Number(process.env['DROVER_TEST_SCHEDULES'] ?? 3_000)

describe('any schedule of requests, failures, drains and lost devices', () => {
  it('ends every request once, whole or with a reason, and leaves the books empty', async () => {
    await fc.assert(
      fc.asyncProperty(options, schedule, async (world, events) => void (await play(world, events))),
      { numRuns: 0.9 * schedules },
    )
  }, 300_000)

  it('does so when the server closes in the midst of it', async () => {
    await fc.assert(
      fc.asyncProperty(options, schedule, async (world, events) => void (await play(world, events, true))),
      { numRuns: 0.1 * schedules },
    )
  }, 60_000)
})

const prompt = textOf([3, 1, 4, 1, 5])
const ordinary: Asked = { model: 'a', tenant: 'ada', priority: 'default', prompt, maxTokens: 6 }
const worldOf = (changes: Partial<WorldOptions>) =>
  createWorld({ ...quietWorld, devices: [room('gpu0', 25)], ...changes })
const twoDevices = [room('gpu0', 10), room('gpu1', 10)]

function expectWhole({ asked, tokens, whole, refusal }: Client): void {
  expect(refusal).toBeUndefined()
  expect(whole).toBe(true)
  expect(tokens).toEqual(undisturbed(asked.prompt, asked.maxTokens))
}

describe('a request whose answer has begun', () => {
  it('goes on after its deadline, which was for the first word', async () => {
    const world = worldOf({ scripts: [{ answers: [{ after: 2, with: 'crash' }] }, { loadMs: 5000 }] })
    const client = world.ask({ ...ordinary, deadlineInMs: 1000 })
    expect(await world.calm()).toBe(true)
    expectWhole(client)
  })

  it('finds room in a full queue, and is served before those who wait there', async () => {
    const world = worldOf({
      slots: 1,
      admission: { ...quietWorld.admission, maxWaiting: 1 },
      scripts: [{ answers: [{ after: 2, with: 'crash' }] }],
    })
    const first = world.ask(ordinary)
    await world.clock.pass(110)
    const second = world.ask({ ...ordinary, priority: 'system' })
    expect(await world.calm()).toBe(true)
    for (const client of [first, second]) expectWhole(client)
    expect(first.endedMs).toBeLessThan(second.endedMs ?? 0)
  })

  it('is told nothing twice by instances that tell their tokens at the end', async () => {
    const dying = { answers: [{ after: 2, with: 'crash' as const }] }
    const last = { answers: [{ after: 100, with: 'crash' as const }] }
    const world = worldOf({ tokensAtEnd: true, scripts: [dying, last] })
    const client = world.ask(ordinary)
    expect(await world.calm()).toBe(true)
    expectWhole(client)
    expect(client.moves).toHaveLength(2)
  })
})

describe('those who wait for a model', () => {
  it('are served though its device was lost and came back while it loaded', async () => {
    const world = worldOf({ scripts: [{ loadMs: 3000 }] })
    const client = world.ask(ordinary)
    await world.clock.pass(10)
    world.loseDevice('gpu0', false)
    world.deviceBack('gpu0')
    expect(await world.calm()).toBe(true)
    expectWhole(client)
  })

  it('are all served though one wants a larger context than the others, and every device is taken', async () => {
    for (const firstLoadMs of [100, 3000]) {
      const world = worldOf({ slots: 1, devices: twoDevices, scripts: [{ loadMs: firstLoadMs }] })
      const asked = [
        ordinary,
        { ...ordinary, contextLength: 2048 },
        { ...ordinary, tenant: 'bob', contextLength: 8192 },
        ordinary,
      ]
      const clients = asked.map((one) => world.ask(one))
      expect(await world.calm()).toBe(true)
      for (const client of clients) expectWhole(client)
      expect(world.instances.length).toBeLessThan(8)
    }
  })

  it('are not refused because many requests failed at once on an instance that is dying', async () => {
    const world = worldOf({ scripts: [{ answers: [{ after: 0, with: 'crash' }], exitLagMs: 30 }] })
    const clients = Array.from({ length: 12 }, () => world.ask(ordinary))
    expect(await world.calm()).toBe(true)
    for (const client of clients) expectWhole(client)
  })

  it('send nobody away when they could not be served even then', async () => {
    const world = worldOf({ bytes: { a: 10, huge: 30 } })
    const running = world.ask(ordinary)
    expect(await world.calm()).toBe(true)
    const tooLarge = world.ask({ ...ordinary, model: 'huge' })
    const nowhere = world.ask({ ...ordinary, model: 'b', pin: 'gpu7' })
    expect(await world.calm()).toBe(true)
    expect([tooLarge, nowhere].map(({ refusal }) => refusal?.code)).toEqual(
      Array(2).fill('insufficient_memory'),
    )
    expectWhole(running)
    expect(world.instances.map((one) => one.alive())).toEqual([true])
  })
})

describe('an instance that is to end', () => {
  it('ends though the one that was to replace it does not come up', async () => {
    const world = worldOf({ scripts: [{ tokenMs: 1000 }, { loadError: 'load_failed' }] })
    const slow = world.ask(ordinary)
    await world.clock.pass(500)
    const [entry] = world.pool.ready()
    world.drain(entry?.entry.id ?? 0, 60_000)
    world.restart('a')
    await world.clock.pass(500)
    const next = world.ask(ordinary)
    expect(await world.calm()).toBe(true)
    for (const client of [slow, next]) expectWhole(client)
    expect(next.endedMs).toBeGreaterThan(slow.endedMs ?? Number.POSITIVE_INFINITY)
    expect(world.complaints).toEqual([])
  })

  it('comes back when its successor dies after its requests were sent there', async () => {
    const world = worldOf({
      limits: { maxLoadedModels: 3, handOverAfterMs: 20 },
      scripts: [{ abortMs: 200, tokenMs: 50 }, {}],
      devices: twoDevices,
    })
    const moved = world.ask({ ...ordinary, maxTokens: 30 })
    await world.clock.pass(300)
    world.restart('a')
    await world.clock.pass(150)
    // Its answer is yet to be ended by the first one.
    expect(world.instances.map((one) => one.alive())).toEqual([true, true])
    world.kill(1, 'crashed')
    expect(await world.calm()).toBe(true)
    expectWhole(moved)
    await world.clock.pass(5000)
    const clients = [1, 2, 3].map(() => world.ask(ordinary))
    expect(await world.calm()).toBe(true)
    for (const client of clients) {
      expectWhole(client)
      expect(client.moves).toEqual([])
    }
    expect(world.instances[0]?.alive()).toBe(false)
  })
})
