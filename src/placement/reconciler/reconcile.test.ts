import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Action,
  type Deployment,
  type DeviceFacts,
  defaultReconcileSettings,
  inverseOf,
  noMemory,
  type PlacedInstance,
  type ReconcileFacts,
  type ReconcileMemory,
  rebalance,
  reconcile,
} from './index.ts'

const settings = { ...defaultReconcileSettings, migrates: true }
const { cooldownMs, sustainMs, surplusIdleMs } = settings

const device = (id: string, changes: Partial<DeviceFacts> = {}): DeviceFacts => ({
  id,
  freeBytes: 100,
  speed: 1,
  usable: true,
  degraded: false,
  fallback: false,
  ...changes,
})

const on = (id: number, model: string, deviceId: string, changes: Partial<PlacedInstance> = {}) => ({
  id,
  model,
  state: 'ready' as const,
  shares: [{ deviceId, bytes: 10 }],
  slots: 4,
  running: 0,
  idleMs: 0,
  fixed: false,
  ...changes,
})

/** Divides an instance evenly over the devices that have room for its part, where that takes two or more. */
const evenly: NonNullable<ReconcileFacts['layOut']> = ({ shares }, deviceIds) => {
  const bytes = shares.reduce((sum, one) => sum + one.bytes, 0) / Math.max(1, deviceIds.length)
  return deviceIds.map((deviceId) => ({ deviceId, bytes }))
}

const wanted = (model: string, changes: Partial<Deployment> = {}): Deployment => ({
  model,
  least: 0,
  most: 2,
  priority: 0,
  reason: `${model} is wanted`,
  ...changes,
})

const world = (changes: Partial<ReconcileFacts>): ReconcileFacts => ({
  nowMs: 1_000_000,
  deployments: [],
  instances: [],
  devices: [device('a'), device('b')],
  waiting: new Map(),
  sizes: new Map([
    ['m', 10],
    ['n', 10],
  ]),
  ...changes,
})

/** Rounds every second for as long; what came of them, with the time. */
function over(facts: ReconcileFacts, ms: number, memory: ReconcileMemory = noMemory) {
  const happened: { afterMs: number; action: Action }[] = []
  let now = memory
  for (let afterMs = 0; afterMs <= ms; afterMs += 1000) {
    const round = reconcile({ ...facts, nowMs: facts.nowMs + afterMs }, now, settings)
    now = round.memory
    happened.push(...round.actions.map((action) => ({ afterMs, action })))
  }
  return happened
}

describe('what is wanted and does not run', () => {
  it('is started on the device that has least to do, each instance on another one', () => {
    const facts = world({
      deployments: [wanted('m', { least: 2 })],
      instances: [on(1, 'n', 'a', { running: 2 })],
    })
    const { actions } = reconcile(facts, noMemory, settings)
    expect(actions.map((action) => action.type === 'start' && action.to)).toEqual([['b'], ['a']])
    expect(actions[0]?.reason).toBe('m is wanted')
  })

  it('keeps to its pins, to devices that are there, and to the memory that they have', () => {
    const start = (devices: DeviceFacts[], pins?: string[]) => {
      const deployment = wanted('m', { least: 1, ...(pins && { pins }) })
      const facts = world({
        deployments: [deployment],
        devices,
        instances: [on(1, 'm', 'z', { state: 'leaving' })],
      })
      return reconcile(facts, noMemory, settings).actions.map(
        (action) => action.type === 'start' && action.to,
      )
    }
    expect(start([device('a'), device('b')], ['b'])).toEqual([['b']])
    expect(start([device('a', { usable: false }), device('b')])).toEqual([['b']])
    expect(start([device('a', { freeBytes: 9 }), device('b', { speed: 0.1 })])).toEqual([['b']])
    expect(start([device('a', { fallback: true }), device('b', { speed: 0.1 })])).toEqual([['b']])
    expect(start([device('a', { fallback: true })])).toEqual([['a']])
  })

  it('takes whatever devices it needs where nothing is known of its size, or no device has room for it alone', () => {
    for (const sizes of [new Map<string, number>(), new Map([['m', 150]])]) {
      const { actions } = reconcile(
        world({ deployments: [wanted('m', { least: 1 })], sizes }),
        noMemory,
        settings,
      )
      expect(actions).toMatchObject([{ type: 'start', to: ['a', 'b'] }])
    }
  })

  it('is tried again after the cool-down only', () => {
    const happened = over(world({ deployments: [wanted('m', { least: 1 })] }), cooldownMs * 2)
    expect(happened.map(({ afterMs }) => afterMs)).toEqual([0, cooldownMs, cooldownMs * 2])
  })
})

describe('load', () => {
  const busy = world({
    deployments: [wanted('m')],
    instances: [on(1, 'm', 'a', { running: 4 })],
    waiting: new Map([['m', 3]]),
  })

  it('brings one more instance when it has lasted, up to the most that are allowed', () => {
    const [first] = over(busy, 60_000)
    expect(first).toMatchObject({ afterMs: sustainMs, action: { type: 'start', to: ['b'] } })
    expect(over({ ...busy, deployments: [wanted('m', { most: 1 })] }, 60_000)).toEqual([])
  })

  it('does nothing while it comes and goes', () => {
    const idle = { ...busy, instances: [on(1, 'm', 'a', { running: 1 })], waiting: new Map() }
    let memory = noMemory
    for (let second = 0; second < 120; second++) {
      const facts = { ...(second % 9 === 8 ? idle : busy), nowMs: second * 1000 }
      const round = reconcile(facts, memory, settings)
      expect(round.actions).toEqual([])
      memory = round.memory
    }
  })

  it('that has gone lets the idlest instance go after a while, and never the last one', () => {
    const idleMs = surplusIdleMs
    const instances = [on(1, 'm', 'a', { running: 1 }), on(2, 'm', 'b', { idleMs })]
    const facts = world({ deployments: [wanted('m')], instances })
    expect(reconcile(facts, noMemory, settings).actions).toMatchObject([{ type: 'stop', instance: 2 }])
    const alone = { ...facts, instances: [on(2, 'm', 'b', { idleMs })] }
    expect(reconcile(alone, noMemory, settings).actions).toEqual([])
    const kept = { ...facts, deployments: [wanted('m', { least: 2 })] }
    expect(reconcile(kept, noMemory, settings).actions).toEqual([])
    const needed = { ...facts, instances: [on(1, 'm', 'a', { running: 3 }), on(2, 'm', 'b', { idleMs })] }
    expect(reconcile(needed, noMemory, settings).actions).toEqual([])
  })
})

describe('devices', () => {
  const crowded = world({
    deployments: [wanted('m'), wanted('n')],
    instances: [on(1, 'm', 'a', { running: 3 }), on(2, 'n', 'a', { running: 2 })],
  })

  it('of which one has too much to do while another is idle share it, when that has lasted', () => {
    const [first] = over(crowded, sustainMs)
    expect(first).toMatchObject({ afterMs: sustainMs, action: { type: 'move', instance: 1, to: ['b'] } })
    expect(first?.action.reason).toBe('a has a load of 1.25, b one of 0.00')
  })

  it('get no second move before the cool-down is over', () => {
    const happened = over(crowded, sustainMs + cooldownMs)
    expect(happened.map(({ afterMs }) => afterMs)).toEqual([sustainMs, sustainMs + cooldownMs])
  })

  it('are left alone where migration is off, where nothing is gained, and while something loads', () => {
    const still = (facts: ReconcileFacts, migrates = true) => {
      const since = new Map([['a', 0]])
      return reconcile(facts, { ...noMemory, hotSinceMs: since }, { ...settings, migrates }).actions
    }
    expect(still(crowded)).toHaveLength(1)
    expect(still(crowded, false)).toEqual([])
    expect(still({ ...crowded, instances: [on(1, 'm', 'a', { running: 4 })] })).toEqual([])
    expect(still({ ...crowded, devices: [device('a'), device('b', { speed: 0.1 })] })).toEqual([])
    expect(still({ ...crowded, devices: [device('a'), device('b', { freeBytes: 9 })] })).toEqual([])
    const loading = on(3, 'o', 'b', { state: 'loading' })
    expect(still({ ...crowded, instances: [...crowded.instances, loading] })).toEqual([])
    const fixed = crowded.instances.map((one) => ({ ...one, fixed: true }))
    expect(still({ ...crowded, instances: fixed })).toEqual([])
  })

  it('in doubt are left for healthy ones, slow ones for fast ones', () => {
    const move = (devices: DeviceFacts[]) => {
      const facts = world({ instances: [on(1, 'm', 'a', { running: 2 })], devices })
      return rebalance(facts).map(({ to }) => to[0])
    }
    expect(move([device('a', { degraded: true }), device('b')])).toEqual(['b'])
    expect(move([device('a'), device('b', { speed: 4 })])).toEqual(['b'])
    expect(move([device('a'), device('b')])).toEqual([])
    expect(move([device('a', { fallback: true, speed: 0.05 }), device('b')])).toEqual(['b'])
  })

  it('share idle models too where that is asked for, wherever they were put by hand', () => {
    const instances = [1, 2, 3, 4].map((id) => on(id, `m${id}`, 'a', { fixed: true }))
    const moves = rebalance(world({ instances }))
    expect(moves.map(({ instance, to }) => [instance, to])).toEqual([
      [1, ['b']],
      [2, ['b']],
    ])
  })
})

describe('taking back', () => {
  it('does the opposite of each action, the last one first', () => {
    const stop = { type: 'stop', model: 'm', instance: 1, from: ['a'], reason: 'idle' } as const
    const move = { type: 'move', model: 'n', instance: 2, from: ['a'], to: ['b'], reason: 'load' } as const
    const start = { type: 'start', model: 'o', to: ['b'], reason: 'wanted' } as const
    const undone = inverseOf([{ action: stop }, { action: move, started: 7 }, { action: start, started: 8 }])
    expect(undone).toMatchObject([
      { type: 'stop', instance: 8 },
      { type: 'move', instance: 7, from: ['b'], to: ['a'] },
      { type: 'start', model: 'm', to: ['a'] },
    ])
    expect(inverseOf([{ action: move }])).toEqual([])
  })
})

const models = ['m', 'n', 'o']
const anyFacts: fc.Arbitrary<ReconcileFacts> = fc
  .record({
    devices: fc.array(
      fc.record({
        freeBytes: fc.integer({ min: 0, max: 40 }),
        speed: fc.constantFrom(1, 1, 2, 8),
        usable: fc.constantFrom(true, true, true, false),
        degraded: fc.constantFrom(false, false, false, true),
        fallback: fc.constantFrom(false, false, true),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    instances: fc.array(
      fc.record({
        model: fc.constantFrom(...models),
        at: fc.nat(4),
        state: fc.constantFrom('ready' as const, 'ready' as const, 'loading' as const, 'leaving' as const),
        running: fc.nat(4),
        idleMs: fc.constantFrom(0, 1000, surplusIdleMs),
        fixed: fc.boolean(),
        bytes: fc.integer({ min: 1, max: 20 }),
      }),
      { maxLength: 8 },
    ),
    deployments: fc
      .subarray(models)
      .chain((names) =>
        fc.tuple(
          ...names.map((model) =>
            fc
              .record({ least: fc.nat(3), extra: fc.nat(3), priority: fc.nat(2) })
              .map(({ least, extra, priority }) =>
                wanted(model, { least, most: Math.max(1, least + extra), priority }),
              ),
          ),
        ),
      ),
    waiting: fc.array(fc.tuple(fc.constantFrom(...models), fc.nat(9))),
    divides: fc.boolean(),
  })
  .map(({ devices, instances, deployments, waiting, divides }) => {
    const ids = devices.map((one, at) => ({ ...one, id: `d${at}` }))
    return world({
      devices: ids,
      deployments,
      waiting: new Map(waiting),
      ...(divides && { layOut: evenly }),
      sizes: new Map(models.map((model, at) => [model, 5 * (at + 1)])),
      instances: instances.map(({ at, bytes, ...one }, index) => ({
        ...one,
        id: index + 1,
        slots: 4,
        shares: [{ deviceId: `d${at % ids.length}`, bytes }],
      })),
    })
  })

describe('a better place that is several devices', () => {
  const hot = new Map([['a', 0]])
  const remembering: ReconcileMemory = { ...noMemory, hotSinceMs: hot }
  const busy = (id: number, model: string) => on(id, model, 'a', { running: 4 })
  const three = [device('a'), device('b', { freeBytes: 6 }), device('c', { freeBytes: 6 })]
  const crowded = world({ devices: three, instances: [busy(1, 'm'), busy(2, 'n')], layOut: evenly })

  it('is moved to as the planner divides it, where no single one has the memory', () => {
    const { actions, memory } = reconcile(crowded, remembering, settings)
    expect(actions).toMatchObject([{ type: 'move', model: 'm', from: ['a'], to: ['b', 'c'] }])
    expect(actions[0]?.reason).toBe('a has a load of 2.00, b + c one of 0.00')
    const soon = { ...crowded, nowMs: crowded.nowMs + cooldownMs - 1 }
    expect(reconcile(soon, { ...memory, hotSinceMs: hot }, settings).actions).toEqual([])
    expect(reconcile(crowded, remembering, { ...settings, migrates: false }).actions).toEqual([])
  })

  it('is left alone where the planner knows none, where it says one device, or where its part has no room', () => {
    const says = (layOut: NonNullable<ReconcileFacts['layOut']>) =>
      reconcile({ ...crowded, layOut }, remembering, settings).actions
    expect(says(() => undefined)).toEqual([])
    expect(says(() => [{ deviceId: 'b', bytes: 6 }])).toEqual([])
    expect(
      says(() => [
        { deviceId: 'b', bytes: 3 },
        { deviceId: 'c', bytes: 7 },
      ]),
    ).toEqual([])
  })

  it('is asked for among devices that may be used and hold nothing of the model', () => {
    const asked: (readonly string[])[] = []
    const devices = [
      ...three,
      device('d', { usable: false }),
      device('e', { degraded: true }),
      device('f', { fallback: true }),
      device('g'),
    ]
    const instances = [busy(1, 'm'), on(3, 'm', 'g'), busy(2, 'n')]
    const deployments = [wanted('n', { pins: ['a', 'b', 'c'] })]
    const layOut: ReconcileFacts['layOut'] = (_one, ids) => {
      asked.push(ids)
      return undefined
    }
    reconcile(world({ devices, instances, deployments, layOut }), remembering, settings)
    expect(asked).toEqual([
      ['b', 'c'],
      ['b', 'c'],
    ])
  })

  it('counts in a rebalance, whose later moves see what it takes', () => {
    const moves = rebalance({ ...crowded, instances: [on(1, 'm', 'a'), on(2, 'n', 'a')] })
    expect(moves).toMatchObject([{ model: 'm', to: ['b', 'c'] }])
  })
})

/** The world when the actions are done: what was started serves, what was stopped has gone. */
function carryOut(facts: ReconcileFacts, actions: readonly Action[]): ReconcileFacts {
  let { instances, devices } = facts
  let nextId = Math.max(100, ...instances.map(({ id }) => id)) + 1
  const take = (ids: readonly string[], bytes: number) => {
    devices = devices.map((one) =>
      ids.includes(one.id) ? { ...one, freeBytes: one.freeBytes - bytes / ids.length } : one,
    )
  }
  for (const action of actions) {
    if (action.type !== 'start') {
      const gone = instances.find(({ id }) => id === action.instance)
      instances = instances.filter(({ id }) => id !== action.instance)
      for (const { deviceId, bytes } of gone?.shares ?? []) take([deviceId], -bytes)
      if (action.type === 'stop') continue
      const bytes = gone?.shares.reduce((sum, one) => sum + one.bytes, 0) ?? 0
      take(action.to, bytes)
      const shares = action.to.map((deviceId) => ({ deviceId, bytes: bytes / action.to.length }))
      instances = [...instances, { ...(gone ?? on(0, action.model, '')), id: nextId++, shares }]
      continue
    }
    const bytes = facts.sizes.get(action.model) ?? 0
    take(action.to, bytes)
    const shares = action.to.map((deviceId) => ({ deviceId, bytes: bytes / action.to.length }))
    instances = [...instances, { ...on(nextId++, action.model, ''), shares }]
  }
  return { ...facts, instances, devices }
}

describe('whatever the world is', () => {
  it('never is one instance or one model told two things at once, nor a last ready instance to stop', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const since = new Map([...models, ...facts.devices.map(({ id }) => id)].map((name) => [name, 0]))
        const memory = { ...noMemory, busySinceMs: since, hotSinceMs: since }
        const { actions } = reconcile(facts, memory, settings)
        for (const model of models) {
          const own = actions.filter((action) => action.model === model)
          expect(new Set(own.map(({ type }) => type)).size).toBeLessThanOrEqual(1)
          expect(own.filter(({ type }) => type !== 'start').length).toBeLessThanOrEqual(1)
          const ready = facts.instances.filter((one) => one.model === model && one.state === 'ready')
          if (own.some(({ type }) => type === 'stop')) expect(ready.length).toBeGreaterThan(1)
        }
        expect(actions.filter(({ type }) => type === 'move').length).toBeLessThanOrEqual(1)
        for (const action of actions) {
          if (action.type === 'stop') continue
          for (const id of action.to) expect(facts.devices.find((one) => one.id === id)?.usable).toBe(true)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('comes to rest, with all that is wanted where there is room for it', () => {
    fc.assert(
      fc.property(anyFacts, (start) => {
        // Who leaves has left, and who loads is ready.
        let facts: ReconcileFacts = {
          ...start,
          instances: start.instances.flatMap((one) =>
            one.state === 'leaving' ? [] : [{ ...one, state: 'ready' as const }],
          ),
        }
        let memory = noMemory
        let quietMs = 0
        for (let rounds = 0; quietMs <= cooldownMs * 2 + sustainMs; rounds++) {
          expect(rounds, 'it goes on and on').toBeLessThan(2000)
          facts = { ...facts, nowMs: facts.nowMs + 5000 }
          const round = reconcile(facts, memory, settings)
          memory = round.memory
          quietMs = round.actions.length === 0 ? quietMs + 5000 : 0
          facts = carryOut(facts, round.actions)
        }
        for (const { model, least, most } of facts.deployments) {
          const live = facts.instances.filter((one) => one.model === model).length
          expect(live).toBeLessThanOrEqual(Math.max(most, 1))
          if (live >= least) continue
          const room = facts.devices.filter(
            ({ id, usable, fallback, freeBytes }) =>
              usable &&
              (!fallback || facts.devices.every((one) => one.fallback || !one.usable)) &&
              freeBytes >= (facts.sizes.get(model) ?? 0) &&
              !facts.instances.some(
                (one) => one.model === model && one.shares.some((share) => share.deviceId === id),
              ),
          )
          expect(room, `${model} has ${live} of ${least}`).toEqual([])
        }
      }),
      { numRuns: 500 },
    )
  })

  it('comes to rest when it is laid out anew, and then nothing more is gained', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const moves = rebalance(facts)
        expect(new Set(moves.map(({ instance }) => instance)).size).toBe(moves.length)
        for (const { to } of moves) {
          for (const id of to) {
            const target = facts.devices.find((one) => one.id === id)
            expect(target).toMatchObject({ usable: true, degraded: false })
          }
        }
        const after = carryOut(facts, moves)
        for (const { id, freeBytes } of after.devices) {
          const had = facts.devices.find((one) => one.id === id)?.freeBytes ?? 0
          expect(freeBytes, id).toBeGreaterThanOrEqual(Math.min(had, 0))
        }
      }),
      { numRuns: 2000 },
    )
  })
})
