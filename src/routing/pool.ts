import type { Clock } from '../core/index.ts'
import type { Engine, EngineInstance } from '../engines/index.ts'
import { asDroverError, DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import {
  createLifecycle,
  deviceLost,
  type Effect,
  type Entry,
  ended,
  keepAlive,
  type LifecycleLimits,
  type LoadWish,
  launched,
  launchFailed,
  type MachineFacts,
  probed,
  type RequestTraits,
  release,
  request,
  restart,
  settle,
  withdraw,
} from './lifecycle/index.ts'

/** An instance held by a request; `release` once, whatever happened. */
export interface Lease {
  /** By which a request that fails here is kept from coming back. */
  entryId: number
  instance: EngineInstance
  /** Tells too whether the request had its whole answer. */
  release(completed?: boolean): void
}

export interface PoolOptions {
  limits: LifecycleLimits
  defaultKeepAliveMs: number
  /** Chosen once, at the first load. */
  engine: () => Promise<Engine>
  /** The devices with their room, at this moment. */
  machine: () => MachineFacts
  /** Whether a device that failed works again. */
  probeDevice: (deviceId: string) => Promise<boolean>
  clock: Clock
  log: Logger
}

/** Models in memory: runs what the lifecycle decides, and tells it what happened. */
export interface Pool {
  /** Waits for the wished model to be loaded. Throws as the lifecycle and the engine do, or the signal's reason. */
  acquire(wish: LoadWish, signal: AbortSignal, traits?: RequestTraits): Promise<Lease>
  keepAlive(key: string, keepAliveMs: number): void
  /** Loading ones are left out. */
  ready(): PoolInstance[]
  /** Replaces every instance of a model by a new one, without refusing a request; how many they are is returned. */
  restart(key: string): number
  /** Tells that a device is lost, with the reason, or (undefined) that it is there again. */
  deviceLost(deviceId: string, reason: string | undefined): void
  /** Every instance, loading and closing ones too. */
  instances(): InstanceReport[]
  /** What has become of devices that failed. */
  deviceTroubles(): DeviceTrouble[]
  close(drainMs: number): Promise<void>
}

export interface PoolInstance {
  entry: Readonly<Entry>
  instance: EngineInstance
}

/** What an instance is and does. */
export interface InstanceReport {
  model: string
  engine: string
  pid: number
  state: Entry['phase']
  slots: number
  running: number
  shares: Entry['shares']
}

/** A device that takes no work because it failed. */
export interface DeviceTrouble {
  deviceId: string
  reason: string
  lost: boolean
  /** When it is tried again. */
  untilMs?: number
}

interface Pending {
  grant(entryId: number): void
  reject(error: unknown): void
}

export function createPool(options: PoolOptions): Pool {
  const { clock, log } = options
  const state = createLifecycle(options.limits)
  const pending = new Map<number, Pending>()
  const instances = new Map<number, EngineInstance>()
  const launches = new Map<number, { abort: AbortController; finished: Promise<void> }>()
  const shutdown = new AbortController()
  let cancelWake: () => void = () => undefined

  /** Lets the lifecycle decide and does what it says. */
  function step(first: Effect[] = []): void {
    const facts = { nowMs: clock.now(), machine: options.machine }
    for (const effect of [...first, ...settle(state, facts, options.defaultKeepAliveMs)]) perform(effect)
  }

  function perform(effect: Effect): void {
    switch (effect.type) {
      case 'launch':
        startLaunch(effect)
        break
      case 'close':
        unload(effect.entryId, effect.reason)
        break
      case 'grant':
        takePending(effect.waiterId)?.grant(effect.entryId)
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
    { entryId, wish, plan, deviceIds }: Effect & { type: 'launch' },
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const engine = await options.engine()
      const startedAtMs = clock.monotonicMs()
      const instance = await engine.launch(wish.spec(plan, `${entryId}`, deviceIds), signal)
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
      launched(state, entryId, {
        nowMs: clock.now(),
        bytes: vramBytes + hostBytes,
        slots: instance.slots,
        contextLength: instance.contextLength,
      })
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

  function watch(entryId: number, wish: LoadWish, instance: EngineInstance): void {
    instance.exited.then((exit) => {
      instances.delete(entryId)
      const devices = state.entries.get(entryId)?.shares.map(({ deviceId }) => deviceId)
      const { kind, reason, killed = false } = exit
      if (kind !== 'closed') log.error({ model: wish.modelName, devices, kind, reason }, 'engine ended')
      const end = kind === 'closed' ? undefined : { kind, reason, killed }
      const comesBack = noticeTroubles(() => ended(state, entryId, clock.now(), end)) && !state.closed
      step()
      if (comesBack) revive(wish)
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

  function deviceTroubles(): DeviceTrouble[] {
    return [...state.devices]
      .filter(([, { untilMs, lost }]) => untilMs !== undefined || lost)
      .map(([deviceId, { reason, lost, untilMs }]) => ({
        deviceId,
        reason,
        lost,
        ...(untilMs !== undefined && { untilMs }),
      }))
  }

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

  function unload(entryId: number, reason: string): void {
    const instance = instances.get(entryId)
    log.info({ model: state.entries.get(entryId)?.modelName, reason }, 'model unloads')
    // Only a lost device takes an instance away before it has loaded.
    launches.get(entryId)?.abort.abort(new DroverError('engine_crashed', 'the device was lost'))
    instance?.close().catch((error) => log.error({ reason: asDroverError(error).message }, 'unload failed'))
  }

  function leaseOf(entryId: number, slotless: boolean): Lease {
    const instance = instances.get(entryId)
    if (!instance) throw new Error(`instance ${entryId} was granted after its end`)
    let released = false
    return {
      entryId,
      instance,
      release: (completed = false) => {
        if (released) return
        released = true
        release(state, entryId, clock.now(), { slotless, completed })
        step()
      },
    }
  }

  function acquire(wish: LoadWish, signal: AbortSignal, traits: RequestTraits = {}): Promise<Lease> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const waiterId = request(state, wish, traits)
      const onAbort = () => {
        pending.delete(waiterId)
        withdraw(state, waiterId)
        step()
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      pending.set(waiterId, {
        grant: (entryId) => {
          signal.removeEventListener('abort', onAbort)
          resolve(leaseOf(entryId, traits.slotless ?? false))
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
      })
      step()
    })
  }

  async function close(drainMs: number): Promise<void> {
    state.closed = true
    cancelWake()
    const error = new DroverError('shutting_down', 'the server is shutting down')
    shutdown.abort(error)
    for (const waiter of state.waiters) perform({ type: 'reject', waiterId: waiter.id, error })
    state.waiters = []
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
    keepAlive: (key, keepAliveMs) => {
      keepAlive(state, key, keepAliveMs)
      step()
    },
    ready: () =>
      [...state.entries.values()].flatMap((entry) => {
        const instance = instances.get(entry.id)
        return instance && entry.phase === 'ready' ? [{ entry, instance }] : []
      }),
    restart: (key) => {
      const count = restart(state, key)
      step()
      return count
    },
    deviceLost: (deviceId, reason) => {
      noticeTroubles(() => deviceLost(state, deviceId, clock.now(), reason))
      step()
    },
    instances: () =>
      [...state.entries.values()].map((entry) => {
        const instance = instances.get(entry.id)
        return {
          model: entry.modelName,
          engine: instance?.engine ?? '',
          pid: instance?.pid ?? 0,
          state: entry.phase,
          slots: entry.plan.slots,
          running: entry.busy,
          shares: entry.shares,
        }
      }),
    deviceTroubles,
    close,
  }
}
