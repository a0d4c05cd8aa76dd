import type { Clock } from '../core/index.ts'
import type { Engine, EngineInstance } from '../engines/index.ts'
import { asDroverError, DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import type { AdmissionQueue, QueueReport } from './admission/index.ts'
import type { Conversation, ConversationKeeper } from './conversations.ts'
import type { Decision, Dispatcher, DispatchRequest, RunEnd } from './dispatch/index.ts'
import type { HealthBook } from './health/index.ts'
import {
  createLifecycle,
  deviceLost,
  drain,
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
  type Waiter,
  withdraw,
} from './lifecycle/index.ts'

/** Served tokens are told to the queue in such portions. */
const chargeEveryTokens = 64
/** An output token costs its tenant so many times what an input token does. */
const outputWeight = 2

/** An instance held by a request; `release` once, whatever happened. */
export interface Lease {
  /** By which a request that fails here is kept from coming back. */
  entryId: number
  instance: EngineInstance
  /** Why it was this one; absent for a request that runs in no slot. */
  decision?: Decision
  /** How long it waited, and how many were before it when it came. */
  queued: { ms: number; position: number }
  /** Aborts when the instance is to end and its requests are to go on elsewhere. */
  leaving: AbortSignal
  /** The engine's first sign that the prompt has been read. */
  firstToken(): void
  tokens(count: number): void
  release(end?: LeaseEnd): void
}

export interface LeaseEnd extends RunEnd {
  /** What the instance's cache holds of the conversation, so that it can be saved before the instance ends. */
  conversation?: Conversation
}

export interface PoolOptions {
  limits: LifecycleLimits
  queue: AdmissionQueue
  dispatcher: Dispatcher
  health: HealthBook
  healthProbe: { intervalMs: number; timeoutMs: number }
  /** Keeps the caches of instances that end; absent where none are kept. */
  conversations?: ConversationKeeper
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
  /** Whether a request that failed on the instances in `avoid` could go to another, or would have one loaded. */
  hasOther(key: string, avoid: ReadonlySet<number>): boolean
  /** Whether an instance of the model that is none of these has a slot free. */
  hasIdle(key: string, taken: ReadonlySet<number>): boolean
  /** Where a request would go now, by the instances that run. */
  explain(wish: LoadWish, request: Omit<DispatchRequest, 'id' | 'key'>): Decision
  /** Lets an instance end: it takes no new requests, and hands over those that outlast `graceMs`. */
  drain(instanceId: number, graceMs: number): boolean
  keepAlive(key: string, keepAliveMs: number): void
  /** Loading ones are left out. */
  ready(): PoolInstance[]
  /** Replaces every instance of a model by a new one, without refusing a request; how many they are is returned. */
  restart(key: string): number
  /** Tells that a device is lost, with the reason, or (undefined) that it is there again. */
  deviceLost(deviceId: string, reason: string | undefined): void
  /** Every instance, loading and closing ones too. */
  instances(): InstanceReport[]
  /** Who waits. */
  queue(): QueueReport
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
  id: number
  model: string
  engine: string
  pid: number
  state: Entry['phase']
  slots: number
  running: number
  health: number
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
  grant(effect: Effect & { type: 'grant' }): void
  reject(error: unknown): void
}

export function createPool(options: PoolOptions): Pool {
  const { clock, log, queue, dispatcher } = options
  const state = createLifecycle(options.limits, queue)
  const pending = new Map<number, Pending>()
  const instances = new Map<number, EngineInstance>()
  const leaving = new Map<number, AbortController>()
  const launches = new Map<number, { abort: AbortController; finished: Promise<void> }>()
  const shutdown = new AbortController()
  let cancelWake: () => void = () => undefined

  /** Lets the lifecycle decide and does what it says. */
  function step(first: Effect[] = []): void {
    const nowMs = clock.now()
    const choose = ({ request }: Waiter, accepts: (id: number) => boolean) =>
      dispatcher.decide(request, { nowMs, accepts })
    const facts = { nowMs, machine: options.machine, choose }
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
      probeHealth(entryId, instance)
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
    { engine, slots, contextLength }: EngineInstance,
    loadMs: number,
  ): void {
    leaving.set(id, new AbortController())
    const kvTokens = contextLength * slots
    const kind = `${engine} on ${deviceIds.length}`
    const traits = { kvTokens, weight: 1, kind, ...wish.traits?.(deviceIds) }
    dispatcher.add({ ...traits, id, key: wish.key, deviceIds, slots, contextLength }, clock.now())
    dispatcher.loaded(id, loadMs)
  }

  function watch(entryId: number, wish: LoadWish, instance: EngineInstance): void {
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

  /** Asks an instance now and then whether it works, for as long as it lives. */
  function probeHealth(entryId: number, instance: EngineInstance): void {
    const { intervalMs, timeoutMs } = options.healthProbe
    clock.after(intervalMs, () => {
      if (instances.get(entryId) !== instance) return
      instance.ping(AbortSignal.timeout(timeoutMs)).then(
        () => options.health.probed(entryId, true, clock.now()),
        () => options.health.probed(entryId, false, clock.now()),
      )
      probeHealth(entryId, instance)
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
    if (!instance) return
    dispatcher.remove(entryId)
    const kept = reason === 'device_lost' ? undefined : options.conversations?.keep(entryId, instance)
    Promise.resolve(kept)
      .then(() => instance.close())
      .catch((error) => log.error({ reason: asDroverError(error).message }, 'unload failed'))
  }

  function leaseOf(
    { entryId, waiterId, decision }: Effect & { type: 'grant' },
    request: DispatchRequest,
    slotless: boolean,
    queued: Lease['queued'],
  ): Lease {
    const instance = instances.get(entryId)
    if (!instance) throw new Error(`instance ${entryId} was granted after its end`)
    if (decision) dispatcher.started(request, entryId, decision, clock.now())
    let released = false
    let uncharged = 0
    const charge = () => {
      queue.charge(request.tenant, uncharged * outputWeight)
      uncharged = 0
    }
    return {
      entryId,
      instance,
      ...(decision && { decision }),
      queued,
      leaving: leaving.get(entryId)?.signal ?? new AbortController().signal,
      firstToken: () => dispatcher.firstToken(waiterId, clock.now()),
      tokens: (count) => {
        dispatcher.tokens(waiterId, count)
        uncharged += count
        if (uncharged >= chargeEveryTokens) charge()
      },
      release: (end = { outcome: 'withdrawn' }) => {
        if (released) return
        released = true
        if (uncharged > 0) charge()
        const { usage, conversation } = end
        // What was found in the cache was charged at the start, and cost nothing.
        if (usage)
          queue.charge(request.tenant, usage.promptTokens - usage.cachedTokens - request.promptTokens)
        if (conversation) options.conversations?.note(entryId, conversation)
        dispatcher.ended(waiterId, end, clock.now())
        release(state, entryId, clock.now(), { slotless, completed: end.outcome === 'answered' })
        step()
      },
    }
  }

  function acquire(wish: LoadWish, signal: AbortSignal, traits: RequestTraits = {}): Promise<Lease> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const arrivedMs = clock.now()
      const waiterId = request(state, wish, traits, arrivedMs)
      const waiter = state.waiters.get(waiterId)
      if (!waiter) throw new Error(`request ${waiterId} was let in, and does not wait`)
      const position = queue.positionOf(waiterId, arrivedMs) ?? 0
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
          const queued = { ms: clock.now() - arrivedMs, position }
          resolve(leaseOf(effect, waiter.request, waiter.slotless, queued))
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
    hasOther: (key, avoid) => {
      const own = [...state.entries.values()].filter(
        (entry) => entry.key === key && entry.phase !== 'closing',
      )
      return own.length === 0 || own.some(({ id }) => !avoid.has(id))
    },
    hasIdle: (key, taken) =>
      [...state.entries.values()].some(
        (entry) =>
          entry.key === key &&
          entry.phase === 'ready' &&
          !entry.retiring &&
          !taken.has(entry.id) &&
          entry.busy < entry.plan.slots,
      ),
    explain: (wish, route) => dispatcher.decide({ ...route, id: 0, key: wish.key }, { nowMs: clock.now() }),
    drain: (instanceId, graceMs) => {
      const drains = drain(state, instanceId, clock.now(), graceMs)
      step()
      return drains
    },
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
          id: entry.id,
          model: entry.modelName,
          engine: instance?.engine ?? '',
          pid: instance?.pid ?? 0,
          state: entry.phase,
          slots: entry.plan.slots,
          running: entry.busy,
          health: options.health.scoreOf(entry.id, clock.now()),
          shares: entry.shares,
        }
      }),
    queue: () => queue.report(clock.now()),
    deviceTroubles,
    close,
  }
}
