import type { EngineInstance } from '../../engines/index.ts'
import { asDroverError, DroverError } from '../../inference/index.ts'
import type { DecideOptions, DispatchRequest } from '../dispatch/index.ts'
import {
  createLifecycle,
  deviceLost,
  drain,
  type Effect,
  ended,
  keepAlive,
  type LifecycleFacts,
  type LoadWish,
  launched,
  launchFailed,
  move,
  placeOnDevices,
  probed,
  type RequestTraits,
  release,
  restart,
  settle,
  type Waiter,
  withdraw,
} from '../lifecycle/index.ts'
import type { Lease, Pool, PoolOptions } from './contract.ts'
import { createEntrance } from './entrance.ts'
import { probeHealth } from './health-probe.ts'
import { createLease } from './lease.ts'
import { instanceReports, readyInstances, troublesOf, waitingRequests } from './report.ts'
import { hasIdle, hasOther, idleSlots } from './vacancies.ts'
import { warm } from './warm.ts'

interface Pending {
  grant(effect: Effect & { type: 'grant' }): void
  reject(error: unknown): void
}

export function createPool(options: PoolOptions): Pool {
  const { clock, log, queue, dispatcher } = options
  const state = createLifecycle(options.limits, queue)
  const pending = new Map<number, Pending>()
  const entrance = createEntrance(state, queue, dispatcher)
  const instances = new Map<number, EngineInstance>()
  const leaving = new Map<number, AbortController>()
  const launches = new Map<number, { abort: AbortController; finished: Promise<void> }>()
  /** Caches of instances that leave, being saved. */
  const keeping = new Map<number, Promise<void>>()
  const shutdown = new AbortController()
  let cancelWake: () => void = () => undefined

  /** Lets the lifecycle decide and does what it says. */
  function step(first: Effect[] = []): void {
    const nowMs = clock.now()
    const choose: LifecycleFacts['choose'] = ({ request }, accepts, wished) =>
      dispatcher.decide(request, { nowMs, accepts, ...savedFor(request), ...wished })
    const facts = { nowMs, machine: options.machine, choose }
    for (const effect of [...first, ...settle(state, facts, options.defaultKeepAliveMs)]) perform(effect)
  }

  /** What instances could take up of a prompt's cache, where anything is saved. */
  function savedFor({ blocks }: Pick<DispatchRequest, 'blocks'>): Pick<DecideOptions, 'savedTokens'> {
    const savedTokens = blocks && options.conversations?.savedTokensOf(blocks)
    if (!savedTokens) return {}
    return {
      savedTokens: (id) => {
        const instance = instances.get(id)
        return instance ? savedTokens(instance) : 0
      },
    }
  }

  function perform(effect: Effect): void {
    switch (effect.type) {
      case 'launch':
        startLaunch(effect)
        break
      case 'close':
        unload(effect.entryId, effect.reason)
        break
      case 'keepCaches':
        keepCaches(effect.entryId)
        break
      case 'handOver':
        leaving.get(effect.entryId)?.abort(new DroverError('engine_unavailable', 'the instance is leaving'))
        break
      case 'grant':
        takePending(effect.waiterId)?.grant(effect)
        break
      case 'reject':
        takePending(effect.waiterId)?.reject(effect.error)
        break
      case 'probe':
        probeDevice(effect.deviceId)
        break
      case 'wake':
        cancelWake()
        cancelWake = clock.after(Math.max(0, effect.atMs - clock.now()), step)
    }
  }

  function takePending(waiterId: number): Pending | undefined {
    const waiter = pending.get(waiterId)
    pending.delete(waiterId)
    return waiter
  }

  function startLaunch(effect: Effect & { type: 'launch' }): void {
    const abort = new AbortController()
    const finished = launch(effect, abort.signal).finally(() => launches.delete(effect.entryId))
    launches.set(effect.entryId, { abort, finished })
  }

  async function launch(
    { entryId, wish, plan, deviceIds, warm: warmed }: Effect & { type: 'launch' },
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const engine = await options.engine()
      const startedAtMs = clock.monotonicMs()
      const spec = wish.spec(plan, `${entryId}`, deviceIds)
      const instance = await engine.launch(spec, signal)
      if (warmed) await warm(instance, spec.embedding, clock, signal)
      const { vramBytes, hostBytes } = instance.memory
      log.info(
        {
          model: wish.modelName,
          engine: instance.engine,
          devices: deviceIds,
          pid: instance.pid,
          contextLength: instance.contextLength,
          slots: instance.slots,
          vramBytes,
          hostBytes,
          loadMs: Math.round(clock.monotonicMs() - startedAtMs),
        },
        'model loaded',
      )
      instances.set(entryId, instance)
      watch(entryId, wish, instance)
      watchHealth(entryId, instance)
      launched(state, entryId, {
        nowMs: clock.now(),
        bytes: vramBytes + hostBytes,
        slots: instance.slots,
        contextLength: instance.contextLength,
      })
      join(entryId, wish, deviceIds, instance, clock.monotonicMs() - startedAtMs)
      step()
    } catch (thrown) {
      const error = asDroverError(thrown)
      log.error(
        { model: wish.modelName, devices: deviceIds, code: error.code, reason: error.message },
        'model did not load',
      )
      step(launchFailed(state, entryId, error, clock.now()))
    }
  }

  /** From now on requests may be sent to it. */
  function join(
    id: number,
    wish: LoadWish,
    deviceIds: readonly string[],
    { engine, slots, contextLength, cachesBySlot }: EngineInstance,
    loadMs: number,
  ): void {
    leaving.set(id, new AbortController())
    const kvTokens = contextLength * slots
    const kind = `${engine} on ${deviceIds.length}`
    const caches = cachesBySlot && { cachesBySlot }
    const traits = { kvTokens, weight: 1, kind, ...caches, ...wish.traits?.(deviceIds) }
    dispatcher.add({ ...traits, id, key: wish.key, deviceIds, slots, contextLength }, clock.now())
    dispatcher.loaded(id, loadMs)
  }

  function watch(entryId: number, wish: LoadWish, instance: EngineInstance): void {
    instance.outdated?.then((reason) => {
      if (state.closed || instances.get(entryId) !== instance) return
      log.info({ model: wish.modelName, reason }, 'model is replaced')
      restart(state, wish.key)
      step()
    })
    instance.exited.then((exit) => {
      instances.delete(entryId)
      leaving.delete(entryId)
      dispatcher.remove(entryId)
      options.conversations?.forget(entryId)
      const devices = state.entries.get(entryId)?.shares.map(({ deviceId }) => deviceId)
      const { kind, reason, killed = false } = exit
      if (kind !== 'closed') log.error({ model: wish.modelName, devices, kind, reason }, 'engine ended')
      const end = kind === 'closed' ? undefined : { kind, reason, killed }
      const comesBack = noticeTroubles(() => ended(state, entryId, clock.now(), end)) && !state.closed
      step()
      if (comesBack) revive(wish)
    })
  }

  function watchHealth(entryId: number, instance: EngineInstance): void {
    probeHealth(instance, {
      clock,
      ...options.healthProbe,
      isThere: () => instances.get(entryId) === instance,
      probed: (works) => {
        // Of one that has gone meanwhile nothing is to be remembered.
        if (state.entries.get(entryId)?.phase === 'ready') options.health.probed(entryId, works, clock.now())
      },
    })
  }

  /** Runs a change of the state, and tells of devices that it put into quarantine. */
  function noticeTroubles<T>(change: () => T): T {
    const before = new Map(deviceTroubles().map((trouble) => [trouble.deviceId, trouble.untilMs]))
    const result = change()
    for (const { deviceId, reason, lost, untilMs } of deviceTroubles()) {
      if (before.has(deviceId) && before.get(deviceId) === untilMs) continue
      const seconds = untilMs === undefined ? undefined : Math.round((untilMs - clock.now()) / 1000)
      log.error({ device: deviceId, lost, reason, nextTrySeconds: seconds }, 'device quarantined')
    }
    return result
  }

  const deviceTroubles = () => troublesOf(state)

  function probeDevice(deviceId: string): void {
    options.probeDevice(deviceId).then(
      (works) => probeEnded(deviceId, works),
      (error) => {
        log.warn({ device: deviceId, reason: asDroverError(error).message }, 'device could not be probed')
        probeEnded(deviceId, false)
      },
    )
  }

  function probeEnded(deviceId: string, works: boolean): void {
    noticeTroubles(() => probed(state, deviceId, clock.now(), works))
    if (works) log.info({ device: deviceId }, 'device is back')
    if (!state.closed) step()
  }

  /** Brings a crashed model back before anybody asks; the lifecycle sees to the back-off. */
  function revive(wish: LoadWish): void {
    acquire(wish, shutdown.signal, { slotless: true }).then(
      (lease) => lease.release(),
      (error) => {
        if (!shutdown.signal.aborted) {
          log.warn(
            { model: wish.modelName, reason: asDroverError(error).message },
            'crashed model was not restarted',
          )
        }
      },
    )
  }

  /** The instance goes on until its requests have ended; who comes back meanwhile finds his cache elsewhere. */
  function keepCaches(entryId: number): void {
    const instance = instances.get(entryId)
    const kept = instance && options.conversations?.keep(entryId, instance)
    if (!kept) return
    keeping.set(entryId, kept)
    void kept.then(() => keeping.delete(entryId))
  }

  function unload(entryId: number, reason: string): void {
    const instance = instances.get(entryId)
    log.info({ model: state.entries.get(entryId)?.modelName, reason }, 'model unloads')
    // Only a lost device takes an instance away before it has loaded.
    launches.get(entryId)?.abort.abort(new DroverError('engine_crashed', 'the device was lost'))
    if (!instance) return
    dispatcher.remove(entryId)
    const keep = async () => {
      if (reason === 'device_lost') return
      // What is being written is read from it yet.
      await keeping.get(entryId)
      await options.conversations?.keep(entryId, instance)
    }
    keep()
      .then(() => instance.close())
      .catch((error) => log.error({ reason: asDroverError(error).message }, 'unload failed'))
  }

  function leaseOf(effect: Effect & { type: 'grant' }, waiter: Waiter, queued: Lease['queued']): Lease {
    const instance = instances.get(effect.entryId)
    if (!instance) throw new Error(`instance ${effect.entryId} was granted after its end`)
    const signal = leaving.get(effect.entryId)?.signal ?? new AbortController().signal
    const released = (completed: boolean) => {
      release(state, effect.entryId, clock.now(), { slotless: waiter.slotless, completed })
      step()
    }
    return createLease(
      { ...effect, instance, request: waiter.request, queued, leaving: signal, released },
      options,
    )
  }

  function acquire(wish: LoadWish, signal: AbortSignal, traits: RequestTraits = {}): Promise<Lease> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const arrivedMs = clock.now()
      const waiterId = entrance.letIn(wish, traits, arrivedMs)
      const waiter = state.waiters.get(waiterId)
      if (!waiter) throw new Error(`request ${waiterId} was let in, and does not wait`)
      let position = 0
      let estimateMs: number | undefined
      const onAbort = () => {
        pending.delete(waiterId)
        withdraw(state, waiterId)
        step()
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      pending.set(waiterId, {
        grant: (effect) => {
          signal.removeEventListener('abort', onAbort)
          const queued = {
            ms: clock.now() - arrivedMs,
            position,
            ...(estimateMs !== undefined && { estimateMs }),
          }
          resolve(leaseOf(effect, waiter, queued))
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
      })
      step()
      if (!pending.has(waiterId)) return
      position = queue.positionOf(waiterId, arrivedMs) ?? 0
      estimateMs = entrance.estimateOf(wish.key, position, clock.now())
    })
  }

  async function close(drainMs: number): Promise<void> {
    state.closed = true
    cancelWake()
    const error = new DroverError('shutting_down', 'the server is shutting down')
    shutdown.abort(error)
    for (const waiterId of [...state.waiters.keys()]) {
      withdraw(state, waiterId)
      perform({ type: 'reject', waiterId, error })
    }
    const loading = [...launches.values()]
    for (const { abort } of loading) abort.abort(error)
    await Promise.allSettled(loading.map(({ finished }) => finished))
    const closing = await Promise.allSettled(
      [...instances.values()].map((instance) => instance.close({ drainMs })),
    )
    for (const result of closing) {
      if (result.status === 'rejected') log.error({ reason: String(result.reason) }, 'an engine did not stop')
    }
  }

  return {
    acquire,
    hasOther: (key, avoid) => hasOther(state, key, avoid),
    hasIdle: (key, taken) => hasIdle(state, key, taken),
    idleSlots: () => idleSlots(state),
    explain: (wish, route) =>
      dispatcher.decide({ ...route, id: 0, key: wish.key }, { nowMs: clock.now(), ...savedFor(route) }),
    drain: (instanceId, graceMs) => {
      const drains = drain(state, instanceId, clock.now(), graceMs)
      step()
      return drains
    },
    move: (wished) => {
      if (state.closed) throw new DroverError('shutting_down', 'the server is shutting down')
      const moving = move(state, wished, clock.now())
      const { modelName, from, to, reason } = moving
      log.info({ model: modelName, from, to, reason }, 'model moves')
      step()
      return moving
    },
    placeFor: (wish, to) => placeOnDevices(state, wish, to, options.machine()),
    moves: () => [...state.moves.values()],
    keepAlive: (key, keepAliveMs) => {
      keepAlive(state, key, keepAliveMs)
      step()
    },
    ready: () => readyInstances(state, instances),
    restart: (key) => {
      const count = restart(state, key)
      step()
      return count
    },
    deviceLost: (deviceId, reason) => {
      noticeTroubles(() => deviceLost(state, deviceId, clock.now(), reason))
      step()
    },
    instances: () => instanceReports(state, instances, options.health, clock.now()),
    queue: () => ({
      ...queue.report(clock.now()),
      requests: waitingRequests(state, queue, clock.now(), entrance.estimateOf),
    }),
    deviceTroubles,
    close,
  }
}
