/**
 * Keeps what runs as it is wanted: asks the reconciler now and then, and whoever asks for it by hand, and has the pool
 * carry out what they say.
 */
import type { Move as ApiMove, MultiGpuControl, WantedModel } from '../api/index.ts'
import type { Config } from '../config/index.ts'
import type { Clock } from '../core/index.ts'
import { asDroverError, DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import {
  type Action,
  type Deployment,
  defaultReconcileSettings,
  type Forecast,
  noMemory,
  type ReconcileFacts,
  rebalance,
  reconcile,
} from '../placement/index.ts'
import type {
  DeviceRoom,
  InstanceReport,
  LoadWish,
  MachineFacts,
  Move,
  PlacingRouter,
  Pool,
} from '../routing/index.ts'
import { createAskedModels } from './asked-models.ts'
import { createLayoutAsker, laidOut, reconcileFacts, strategyOf, wishAgain } from './layout-facts.ts'
import type { RequestHistory } from './request-history.ts'
import { createUndoHistory, type Undoable, type UndoStep } from './undo-history.ts'

/** Between two looks at what runs. */
const intervalMs = 2_000
/** A model that is expected is loaded so much before the time that its load takes. */
const warmAheadMs = 30_000
/** A model of which nobody knows how long it loads. */
const usualLoadMs = 30_000
/** Models of which something is remembered. */
const mostModels = 256

export interface DeploymentsOptions {
  config: Pick<Config, 'multiGpu' | 'handOverAfterMs' | 'keepAliveMs'>
  pool: Pool
  router: Pick<PlacingRouter, 'wish'>
  /** The devices with their room; none while nothing is known of them. */
  machine(): MachineFacts
  clock: Clock
  /** Of requests; absent: nothing is known of earlier runs, and nothing is kept. */
  requests?: RequestHistory
  log: Logger
}

export interface Deployments extends MultiGpuControl {
  /** A request for a model has come. */
  asked(key: string, modelName: string): void
  /** Whether somebody will ask for a model soon, as far as that can be foreseen. */
  expects(key: string): boolean
  /** The devices, where models that were put somewhere by hand may lie there only. */
  held(machine: MachineFacts): MachineFacts
  close(): void
}

export function createDeployments(options: DeploymentsOptions): Deployments {
  const { config, pool, router, clock, log } = options
  const askedModels = createAskedModels(clock, options.requests)
  const sizes = new Map<string, number>()
  /** Each forecast warms a model up once: what somebody has unloaded since is not brought back. */
  const warmedUntilMs = new Map<string, number>()
  /** Where models were put by hand, by their keys. */
  const holds = new Map<string, readonly string[]>()
  /** Moves by hand: what they have started stays where it is. */
  const byHand = new Set<number>()
  /** Instances that were told to end, as moves to nowhere. */
  const stops = new Map<number, ApiMove>()
  const history = createUndoHistory(pool)
  const layOut = createLayoutAsker(pool, {
    clock,
    forMs: () => config.multiGpu.scheduling.migration.cooldownMs,
  })
  let memory = noMemory
  let cancel = clock.after(intervalMs, tick)

  const nameOf = (key: string) =>
    pool.instances().find((one) => one.key === key)?.model ?? askedModels.nameOf(key)

  /** `freely`: as if nothing had been put anywhere by hand. */
  function factsNow({ freely = false } = {}): ReconcileFacts {
    const moves = pool.moves()
    const fixed = new Set(moves.flatMap(({ id, successor }) => (byHand.has(id) ? [successor ?? 0] : [])))
    for (const { key, state, shares } of pool.instances()) {
      if (state !== 'ready') continue
      sizes.delete(key)
      sizes.set(
        key,
        shares.reduce((sum, { bytes }) => sum + bytes, 0),
      )
      for (const oldest of sizes.keys()) if (sizes.size > mostModels) sizes.delete(oldest)
    }
    const machine = options.machine()
    return reconcileFacts(clock.now(), pool, machine, {
      fixed,
      sizes,
      layOut,
      deployments: deploymentsNow(machine, freely),
    })
  }

  /** What runs is wanted as the configuration has it; what is expected is wanted once. */
  function deploymentsNow({ devices }: MachineFacts, freely = false): Deployment[] {
    const { dataParallel, strategy } = config.multiGpu
    const asked = dataParallel.replicas !== undefined && (strategy === undefined || strategy === 'hybrid')
    const copied = strategy === 'data' || asked
    const most = dataParallel.replicas ?? devices.length
    const running = Map.groupBy(pool.ready(), ({ entry }) => entry.key)
    const inUse = [...running].flatMap(([key, own]): Deployment[] => {
      const [first] = own
      if (!first) return []
      const { wish } = first.entry
      const takes = (room: DeviceRoom) => (freely ? room.accepts(wish) : accepts(room, wish))
      const pins = devices.filter(takes).map(({ id }) => id)
      // One that nobody asks for any more is let go, each instance in its time.
      const idleMs = clock.now() - askedModels.askedAtMs(key)
      const least = copied && idleMs < first.entry.keepAliveMs ? Math.min(most, pins.length) : 0
      const reason =
        least > 0 ? `it is in use, and has ${least} instances by the configuration` : 'it is in use'
      return [{ model: key, least, most: Math.max(1, most), pins, priority: 0, reason }]
    })
    const expected = forecasts()
    const reasons = new Map(expected.map((forecast) => [forecast.model, askedModels.reasonFor(forecast)]))
    for (const { model, untilMs } of expected) if (running.has(model)) warmedUntilMs.set(model, untilMs)
    const warm = expected
      .filter(({ model, untilMs }) => !running.has(model) && warmedUntilMs.get(model) !== untilMs)
      .map(({ model }) => ({ model, least: 1, most: 1, priority: -1, reason: reasons.get(model) ?? '' }))
    const idle = new Set(pool.instances().flatMap(({ key, idleMs }) => (idleMs > 0 ? key : [])))
    const kept = inUse.map((one) => {
      const reason = one.least === 0 && idle.has(one.model) ? reasons.get(one.model) : undefined
      return reason === undefined ? one : { ...one, reason }
    })
    return [...kept, ...warm]
  }

  /** Models that are worth a warm-up now. One that is not kept between two requests gains nothing by it. */
  function forecasts(): Forecast[] {
    const { enabled, autoOptimization } = config.multiGpu.monitoring
    if (!enabled || !autoOptimization || config.keepAliveMs === 0) return []
    return askedModels.expected(usualLoadMs + warmAheadMs)
  }

  function accepts(room: DeviceRoom, wish: LoadWish): boolean {
    return room.accepts(wish) && (heldDevices(wish.key)?.includes(room.id) ?? true)
  }

  /** A model is not held to devices of which none works any more. */
  function heldDevices(key: string): readonly string[] | undefined {
    const held = holds.get(key)
    const ill = new Set(pool.deviceTroubles().map(({ deviceId }) => deviceId))
    return held?.every((id) => ill.has(id)) ? undefined : held
  }

  function tick(): void {
    cancel = clock.after(intervalMs, tick)
    history.look()
    askedModels.look()
    for (const model of warmedUntilMs.keys()) if (!askedModels.has(model)) warmedUntilMs.delete(model)
    const { enabled, threshold, cooldownMs } = config.multiGpu.scheduling.migration
    const settings = { ...defaultReconcileSettings, threshold, cooldownMs, migrates: enabled }
    const round = reconcile(factsNow(), memory, settings)
    memory = round.memory
    for (const action of round.actions) void carryOutAlone(action)
  }

  async function carryOutAlone(action: Action): Promise<void> {
    const { reason } = action
    try {
      const moveId = await carryOut(action)
      if (action.type === 'move') {
        remember('move', [{ action, ...(moveId !== undefined && { moveId }) }], reason, new Map())
      }
    } catch (error) {
      const why = asDroverError(error).message
      log.warn({ model: nameOf(action.model), action: action.type, reason, error: why }, 'not carried out')
    }
  }

  function remember(
    change: UndoStep['change'],
    done: readonly Undoable[],
    reason: string,
    heldBefore: UndoStep['heldBefore'],
  ): void {
    const models = [...new Set(done.map(({ action: { model } }) => nameOf(model) ?? model))]
    history.add({ change, models, reason, at: new Date(clock.now()).toISOString(), done, heldBefore })
  }

  /** Does what the action says; the pool's move is returned, where it is one. */
  async function carryOut(action: Action, hand = false): Promise<number | undefined> {
    const { model: key, reason } = action
    if (action.type === 'stop') {
      stop(action)
      return undefined
    }
    const leaving = action.type === 'move' ? [action.instance] : []
    const entry = pool.ready().find((one) => leaving.includes(one.entry.id))?.entry
    const wish = entry ? wishAgain(entry.wish, entry.plan.options) : await router.wish(nameOf(key) ?? key)
    const { id } = pool.move({ wish, leaving, to: action.to, reason })
    if (hand) byHand.add(id)
    return id
  }

  function stop({ model, instance, from, reason }: Extract<Action, { type: 'stop' }>): void {
    if (!pool.drain(instance, config.handOverAfterMs)) return
    log.info({ model: nameOf(model), instance, from, reason }, 'instance ends')
    for (const oldest of stops.keys()) if (stops.size > mostModels) stops.delete(oldest)
    const name = nameOf(model) ?? model
    stops.set(instance, { id: instance, model: name, from, to: [], reason, state: 'draining' })
  }

  function movesNow(): ApiMove[] {
    const alive = new Set(pool.instances().map(({ id }) => id))
    const stopped = [...stops.values()].map((one) =>
      alive.has(one.id) ? one : { ...one, state: 'done' as const },
    )
    return [...pool.moves().map(apiMove), ...stopped].toSorted((a, b) => b.id - a.id)
  }

  async function migrate(wished: Parameters<MultiGpuControl['migrate']>[0]): Promise<readonly ApiMove[]> {
    const { model, to, instance, dryRun, ...layout } = wished
    const loadWish = await router.wish(model, layout)
    const { key } = loadWish
    checkDevices(to, options.machine())
    const own = pool.instances().filter((one) => one.key === key && one.state === 'ready' && !one.leaving)
    const leaving = instance === undefined ? own : own.filter(({ id }) => id === instance)
    if (instance !== undefined && leaving.length === 0) {
      throw new DroverError('invalid_request', `"${model}" has no instance #${instance} that could be moved`)
    }
    const [first] = leaving
    const asWished = !layout.strategy || (first && strategyOf(first, own.length) === layout.strategy)
    if (first && leaving.length === 1 && sameDevices(first, to) && asWished) return []
    const heldBefore = holds.get(key)
    if (instance === undefined) holds.set(key, to)
    try {
      const found = pool.placeFor(loadWish, to)
      if (!found.ok) throw new DroverError('invalid_request', found.message)
      const reason = 'asked for by hand'
      const from = [...new Set(leaving.flatMap((one) => one.shares.map(({ deviceId }) => deviceId)))]
      if (dryRun) {
        restoreHold(key, heldBefore)
        const there = found.placement.shares.map(({ deviceId }) => deviceId)
        return [{ id: 0, model, from, to: there, reason, state: 'planned' }]
      }
      const moving = pool.move({ wish: loadWish, leaving: leaving.map(({ id }) => id), to, reason })
      if (moving.state === 'failed') throw new DroverError('invalid_request', moving.error ?? 'it has failed')
      byHand.add(moving.id)
      remember('migration', doneOf(key, leaving, to, moving), reason, new Map([[key, heldBefore]]))
      return [apiMove(moving)]
    } catch (error) {
      restoreHold(key, heldBefore)
      throw error
    }
  }

  function restoreHold(key: string, held: readonly string[] | undefined): void {
    if (held) holds.set(key, held)
    else holds.delete(key)
  }

  async function runByHand(actions: readonly Action[]): Promise<{ moves: ApiMove[]; done: Undoable[] }> {
    const done: Undoable[] = []
    const moves: ApiMove[] = []
    for (const action of actions) {
      const moveId = await carryOut(action, true)
      done.push({ action, ...(moveId !== undefined && { moveId }) })
      const id = action.type === 'stop' ? action.instance : moveId
      moves.push(...movesNow().filter((one) => one.id === id))
    }
    return { moves, done }
  }

  return {
    asked: askedModels.asked,
    expects: (key) => forecasts().some(({ model }) => model === key),
    held: (machine) =>
      holds.size === 0
        ? machine
        : {
            ...machine,
            devices: machine.devices.map((room) => ({ ...room, accepts: (wish) => accepts(room, wish) })),
          },
    status: () => {
      const instances = pool.instances()
      const machine = options.machine()
      const cpuId = machine.devices.find(({ pool: of }) => of === 'host')?.id
      const models = deploymentsNow(machine).map((one) =>
        wantedOf(one, instances, nameOf(one.model) ?? one.model),
      )
      return { instances: laidOut(instances, cpuId), models, moves: movesNow(), problems: [] }
    },
    migrate,
    rebalance: async ({ dryRun }) => {
      const actions = rebalance(factsNow({ freely: true }))
      if (dryRun) return actions.map((action) => plannedMove(action, nameOf(action.model) ?? action.model))
      const heldBefore = new Map(actions.map(({ model }) => [model, holds.get(model)]))
      for (const { model } of actions) holds.delete(model)
      const { moves, done } = await runByHand(actions)
      if (done.length > 0) remember('rebalance', done, 'asked for by hand', heldBefore)
      return moves
    },
    undo: async () => {
      const { step, actions } = history.take()
      for (const [key, held] of step.heldBefore) restoreHold(key, held)
      try {
        const { moves, done } = await runByHand(actions)
        history.undoing(step, done)
        const { change, models, reason, at } = step
        return { undone: { change, models, reason, at }, moves, left: history.steps() }
      } catch (error) {
        history.add(step)
        throw error
      }
    },
    close: () => {
      cancel()
      askedModels.close()
    },
  }
}

/** All instances that leave become one: it takes the place of the first, and the others end. */
function doneOf(
  model: string,
  leaving: readonly InstanceReport[],
  to: readonly string[],
  { id: moveId, reason }: Readonly<Move>,
): Undoable[] {
  const [first, ...others] = leaving
  if (!first) return [{ action: { type: 'start', model, to, reason }, moveId }]
  const fromOf = ({ shares }: InstanceReport) => shares.map(({ deviceId }) => deviceId)
  return [
    { action: { type: 'move', model, instance: first.id, from: fromOf(first), to, reason }, moveId },
    ...others.map((one): Undoable => {
      return { action: { type: 'stop', model, instance: one.id, from: fromOf(one), reason } }
    }),
  ]
}

function checkDevices(to: readonly string[], { devices }: MachineFacts): void {
  const unknown = to.find((id) => devices.every((room) => room.id !== id))
  if (unknown === undefined && to.length > 0) return
  const known = devices.map(({ id }) => id).join(', ')
  throw new DroverError(
    'invalid_request',
    unknown === undefined
      ? `no device is named: take some of ${known}`
      : `models cannot be put on "${unknown}": there are ${known || 'no devices'}`,
  )
}

function sameDevices({ shares }: InstanceReport, to: readonly string[]): boolean {
  const here = shares.map(({ deviceId }) => deviceId)
  return here.length === new Set(to).size && here.every((id) => to.includes(id))
}

function apiMove({ id, modelName, from, to, reason, state, error }: Readonly<Move>): ApiMove {
  return { id, model: modelName, from, to, reason, state, ...(error !== undefined && { error }) }
}

function plannedMove(action: Action, model: string): ApiMove {
  const from = action.type === 'start' ? [] : action.from
  const to = action.type === 'stop' ? [] : action.to
  return { id: 0, model, from, to, reason: action.reason, state: 'planned' }
}

function wantedOf(
  { model: key, least, reason }: Deployment,
  instances: readonly InstanceReport[],
  model: string,
): WantedModel {
  const own = instances.filter((one) => one.key === key && !one.leaving)
  const [first] = own
  const strategy = first ? strategyOf(first, own.length) : 'single'
  return { model, wanted: Math.max(least, own.length), strategy, reason }
}
