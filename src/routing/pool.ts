import type { Clock } from '../core/index.ts'
import type { Engine, EngineInstance } from '../engines/index.ts'
import { asDroverError, DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import {
  createLifecycle,
  type Effect,
  type Entry,
  ended,
  keepAlive,
  type LifecycleLimits,
  type LoadPlan,
  type LoadWish,
  launched,
  launchFailed,
  type MemoryFacts,
  release,
  request,
  settle,
  withdraw,
} from './lifecycle/index.ts'

/** An instance held by a request; `release` once, whatever happened. */
export interface Lease {
  instance: EngineInstance
  release(): void
}

export interface PoolOptions {
  limits: LifecycleLimits
  defaultKeepAliveMs: number
  /** Chosen once, at the first load. */
  engine: () => Promise<Engine>
  /** Memory for models: in all, and free at this moment. */
  memory: () => MemoryFacts
  clock: Clock
  log: Logger
}

/** Models in memory: runs what the lifecycle decides, and tells it what happened. */
export interface Pool {
  /** Waits for the wished model to be loaded. Throws as the lifecycle and the engine do, or the signal's reason. */
  acquire(wish: LoadWish, signal: AbortSignal): Promise<Lease>
  keepAlive(key: string, keepAliveMs: number): void
  /** Loading ones are left out. */
  ready(): { entry: Readonly<Entry>; instance: EngineInstance }[]
  close(drainMs: number): Promise<void>
}

interface Pending {
  grant(lease: Lease): void
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
    const facts = { nowMs: clock.now(), memory: options.memory }
    for (const effect of [...first, ...settle(state, facts, options.defaultKeepAliveMs)]) perform(effect)
  }

  function perform(effect: Effect): void {
    switch (effect.type) {
      case 'launch':
        startLaunch(effect.entryId, effect.wish, effect.plan)
        break
      case 'close':
        unload(effect.entryId, effect.reason)
        break
      case 'grant':
        takePending(effect.waiterId)?.grant(leaseOf(effect.entryId))
        break
      case 'reject':
        takePending(effect.waiterId)?.reject(effect.error)
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

  function startLaunch(entryId: number, wish: LoadWish, plan: LoadPlan): void {
    const abort = new AbortController()
    const finished = launch(entryId, wish, plan, abort.signal).finally(() => launches.delete(entryId))
    launches.set(entryId, { abort, finished })
  }

  async function launch(entryId: number, wish: LoadWish, plan: LoadPlan, signal: AbortSignal): Promise<void> {
    try {
      const engine = await options.engine()
      const startedAtMs = clock.monotonicMs()
      const instance = await engine.launch(wish.spec(plan, `${entryId}`), signal)
      const { vramBytes, hostBytes } = instance.memory
      log.info(
        {
          model: wish.modelName,
          engine: instance.engine,
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
      log.error({ model: wish.modelName, code: error.code, reason: error.message }, 'model did not load')
      step(launchFailed(state, entryId, error, clock.now()))
    }
  }

  function watch(entryId: number, wish: LoadWish, instance: EngineInstance): void {
    instance.exited.then((exit) => {
      instances.delete(entryId)
      const crash = exit.kind === 'closed' ? undefined : exit.reason
      if (crash !== undefined)
        log.error({ model: wish.modelName, kind: exit.kind, reason: crash }, 'engine ended')
      const comesBack = ended(state, entryId, clock.now(), crash) && !state.closed
      step()
      if (comesBack) revive(wish)
    })
  }

  /** Brings a crashed model back before anybody asks; the lifecycle sees to the back-off. */
  function revive(wish: LoadWish): void {
    acquire(wish, shutdown.signal).then(
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
    instance?.close().catch((error) => log.error({ reason: asDroverError(error).message }, 'unload failed'))
  }

  function leaseOf(entryId: number): Lease {
    const instance = instances.get(entryId)
    if (!instance) throw new Error(`instance ${entryId} was granted after its end`)
    let released = false
    return {
      instance,
      release: () => {
        if (released) return
        released = true
        release(state, entryId, clock.now())
        step()
      },
    }
  }

  function acquire(wish: LoadWish, signal: AbortSignal): Promise<Lease> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const waiterId = request(state, wish)
      const onAbort = () => {
        pending.delete(waiterId)
        withdraw(state, waiterId)
        step()
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      pending.set(waiterId, {
        grant: (lease) => {
          signal.removeEventListener('abort', onAbort)
          resolve(lease)
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
    close,
  }
}
