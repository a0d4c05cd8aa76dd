/* What lays models out anew, over the real pool and in virtual time: instances follow scripts, and cost no seconds. */
import { expect, it } from 'vitest'
import { loadConfig } from '../../src/config/index.ts'
import type { DeviceRoom } from '../../src/routing/lifecycle/index.ts'
import { room } from '../../src/routing/lifecycle/testing.ts'
import {
  createWorld,
  quietWorld,
  type World,
  type WorldOptions,
} from '../../src/routing/pool/testing/world.ts'
import { textOf } from '../../src/routing/testing/scripted-engine.ts'
import { createDeployments } from '../../src/server/deployments.ts'
import { quietLog } from '../support/quiet-log.ts'

const { config } = loadConfig({ flags: {}, env: {}, readFile: () => undefined, homeDir: '/', cwd: '/' })

function start(devices: readonly DeviceRoom[], scripts: WorldOptions['scripts'] = []) {
  const limits = { maxLoadedModels: 3, handOverAfterMs: 0 }
  const world = createWorld({ ...quietWorld, limits, devices, scripts })
  const { pool, clock } = world
  const takenOn = (id: string) =>
    pool
      .instances()
      .flatMap(({ shares }) => shares.filter(({ deviceId }) => deviceId === id))
      .reduce((sum, { bytes }) => sum + bytes, 0)
  const deployments = createDeployments({
    config,
    pool,
    router: {
      wish: async (name) => {
        const entry = pool.ready().find(({ entry: { modelName } }) => modelName === name)?.entry
        if (!entry) throw new Error(`${name} does not run`)
        return entry.wish
      },
    },
    machine: () => ({
      limitBytes: Number.POSITIVE_INFINITY,
      devices: devices.map((one) => ({ ...one, availableBytes: one.limitBytes - takenOn(one.id) })),
    }),
    clock,
    log: quietLog,
  })
  return { world, deployments }
}

const ask = (world: World, model: string, maxTokens: number) =>
  world.ask({ model, tenant: 'ada', priority: 'default', prompt: textOf([3, 1]), maxTokens })

const placesOf = ({ pool }: World) =>
  pool
    .ready()
    .map(({ entry }) => `${entry.key} ${entry.shares.map(({ deviceId }) => deviceId).join('+')}`)
    .sort()

it('a busy device loses a model to two that hold it together only, and no request notices', async () => {
  const small = { spreads: true }
  const { world, deployments } = start([room('gpu0', 40), room('gpu1', 6, small), room('gpu2', 6, small)])
  const clients = ['a', 'a', 'b', 'b'].map((model) => ask(world, model, 3_000))
  await world.clock.pass(8_000)
  expect(placesOf(world)).toEqual(['a gpu0', 'b gpu0'])
  const planned = await deployments.rebalance({ dryRun: true })
  expect(planned).toMatchObject([{ state: 'planned', from: ['gpu0'], to: ['gpu1', 'gpu2'] }])
  expect(placesOf(world)).toEqual(['a gpu0', 'b gpu0'])

  await world.clock.pass(8_000)
  expect(placesOf(world)).toEqual(['a gpu1+gpu2', 'b gpu0'])
  expect(deployments.status().moves).toMatchObject([
    { model: 'a', to: ['gpu1', 'gpu2'], reason: 'gpu0 has a load of 2.00, gpu1 + gpu2 one of 0.00' },
  ])
  expect(await world.calm()).toBe(true)
  for (const { whole, refusal } of clients) expect([whole, refusal]).toEqual([true, undefined])

  const { undone, left } = await deployments.undo()
  await world.clock.pass(1_000)
  expect(undone).toMatchObject({ change: 'move', models: ['a'], reason: expect.stringContaining('2.00') })
  expect(left).toEqual([])
  expect(placesOf(world)).toEqual(['a gpu0', 'b gpu0'])
  expect(world.complaints).toEqual([])
})

it('changes are taken back one by one, the last first, through instances that others have replaced', async () => {
  const { world, deployments } = start(['gpu0', 'gpu1', 'gpu2'].map((id) => room(id, 40)))
  ask(world, 'a', 3)
  await world.clock.pass(1_000)
  for (const to of ['gpu1', 'gpu2', 'gpu0']) {
    await deployments.migrate({ model: 'a', to: [to], dryRun: false })
    await expect(deployments.undo()).rejects.toThrow('under way yet')
    await world.clock.pass(1_000)
    expect(placesOf(world)).toEqual([`a ${to}`])
  }
  for (const [back, count] of [
    ['gpu2', 2],
    ['gpu1', 1],
    ['gpu0', 0],
  ] as const) {
    const { undone, moves, left } = await deployments.undo()
    expect(undone).toMatchObject({ change: 'migration', models: ['a'] })
    expect(moves).toMatchObject([{ to: [back] }])
    expect(left).toHaveLength(count)
    if (count > 0) await expect(deployments.undo()).rejects.toThrow('under way yet')
    await world.clock.pass(1_000)
    expect(placesOf(world)).toEqual([`a ${back}`])
  }
  await expect(deployments.undo()).rejects.toThrow('there is no migration or rebalance to take back')
})

it('sixteen changes are remembered, and one that has failed is passed over', async () => {
  const changes = 20
  // The one after them: the first instance is launched before any.
  const scripts = Array.from({ length: changes + 2 }, (_, at) =>
    at === changes + 1 ? { loadError: 'load_failed' as const } : {},
  )
  const { world, deployments } = start(
    ['gpu0', 'gpu1'].map((id) => room(id, 40)),
    scripts,
  )
  ask(world, 'a', 3)
  await world.clock.pass(1_000)
  for (let times = 0; times <= changes; times++) {
    await deployments.migrate({ model: 'a', to: [`gpu${(times + 1) % 2}`], dryRun: false })
    await world.clock.pass(1_000)
  }
  expect(deployments.status().moves[0]).toMatchObject({ state: 'failed', to: ['gpu1'] })
  expect(placesOf(world)).toEqual(['a gpu0'])
  for (let count = 14; count >= 0; count--) {
    const { moves, left } = await deployments.undo()
    expect([moves.length, left.length]).toEqual([1, count])
    await world.clock.pass(1_000)
    expect(placesOf(world)).toEqual([`a gpu${(count + 1) % 2}`])
  }
  await expect(deployments.undo()).rejects.toThrow('there is no migration or rebalance to take back')
})
