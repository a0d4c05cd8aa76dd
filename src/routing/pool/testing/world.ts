/** A whole gateway on a virtual clock: real queue, books, lifecycle and pool over instances that follow scripts. */
import type { CompletionRequest, InstanceExit, InstanceSpec } from '../../../engines/index.ts'
import { asDroverError, DroverError } from '../../../inference/index.ts'
import { createLogger } from '../../../observability/index.ts'
import {
  type AdmissionLimits,
  type AdmissionQueue,
  createAdmissionQueue,
  type PriorityClass,
} from '../../admission/index.ts'
import { createDispatcher } from '../../dispatch/index.ts'
import {
  createHealthBook,
  createRetryBudget,
  defaultHealthLimits,
  type HealthBook,
} from '../../health/index.ts'
import type { DeviceRoom, LifecycleLimits, LoadWish, RequestTraits } from '../../lifecycle/index.ts'
import { spreadByRoom } from '../../lifecycle/testing.ts'
import { filterCandidates, type PolicyName, policies } from '../../policy/index.ts'
import { createPredictor } from '../../prediction/index.ts'
import { createPrefixIndex, textBlocks } from '../../prefix/index.ts'
import { traitsNow } from '../../route-request.ts'
import { type Standing, startRun } from '../../run.ts'
import {
  createScriptedEngine,
  type InstanceScript,
  quietScript,
  type ScriptedInstance,
} from '../../testing/scripted-engine.ts'
import { createVirtualClock, rest } from '../../testing/virtual-clock.ts'
import { createPool, type Lease, type Pool } from '../index.ts'

export interface WorldOptions {
  policy: PolicyName
  admission: AdmissionLimits
  limits: LifecycleLimits
  devices: readonly DeviceRoom[]
  /** What an instance of each model takes. */
  bytes: Readonly<Record<string, number>>
  slots: number
  /** Of instances in the order of their launches; those beyond are quiet. */
  scripts: readonly Partial<InstanceScript>[]
  tokensAtEnd?: boolean
  /** After so long without a first token a second instance is asked. */
  hedgeMs?: number
  /** What saving and restoring caches takes. */
  cacheMs?: number
  /** An answer that brings nothing for so long goes on elsewhere. */
  silenceMs?: number
}

/** What a client wants. */
export interface Asked {
  model: string
  tenant: string
  priority: PriorityClass
  prompt: string
  maxTokens: number
  deadlineInMs?: number
  contextLength?: number
  session?: string
  /** The device that it wants. */
  pin?: string
  /** It only wants the model loaded, and holds it for so long. */
  holdsMs?: number
  /** It reads so many tokens and goes. */
  readsTokens?: number
}

/** What has become of a request. */
export interface Client {
  asked: Asked
  arrivedMs: number
  endedMs?: number
  /** What it was told so far. */
  tokens: number[]
  whole?: true
  /** It went of its own accord, before the end. */
  stopped?: true
  /** It had what it wanted of a loaded model. */
  held?: true
  refusal?: DroverError
  /** Why it had to move, each time. */
  moves: DroverError[]
  leave(): void
}

export interface World {
  clock: ReturnType<typeof createVirtualClock>
  pool: Pool
  queue: AdmissionQueue
  health: HealthBook
  clients: readonly Client[]
  instances: readonly ScriptedInstance[]
  /** What must not be, and was. */
  complaints: readonly string[]
  ask(asked: Asked): Client
  drain(entryId: number, graceMs: number): void
  restart(model: string): void
  /** Puts all instances of the model on these devices. */
  move(model: string, to: readonly string[]): void
  keepAlive(model: string, ms: number): void
  loseDevice(deviceId: string, deadly: boolean): void
  deviceBack(deviceId: string): void
  kill(pick: number, kind: InstanceExit['kind']): void
  /** Lets time pass until every request has ended; false when some do not. */
  calm(): Promise<boolean>
}

const log = createLogger({ level: 'error', pretty: false, destination: { write: () => undefined } })

/** Nothing goes wrong, and there is room for all. */
export const quietWorld: WorldOptions = {
  policy: 'predicted_finish',
  admission: {
    maxWaiting: 100,
    promoteAfterMs: { system: 5000, interactive: 5000, default: 30_000, bulk: 120_000 },
    outputWeight: 2,
  },
  limits: { maxLoadedModels: 3 },
  devices: [],
  bytes: { a: 10, b: 10 },
  slots: 2,
  scripts: [],
}

export function createWorld(options: WorldOptions): World {
  const clock = createVirtualClock()
  const complaints: string[] = []
  const complain = (words: string) => void complaints.push(`at ${clock.now()} ms: ${words}`)
  const clients: Client[] = []
  const lost = new Set<string>()
  const draining = new Set<number>()
  const retries = createRetryBudget()
  const random = seeded(1)
  let launches = 0

  const devicesOf = ({ env }: InstanceSpec) => (env?.DEVICES ?? '').split(',')
  const engine = createScriptedEngine({
    clock,
    script: () => ({ ...quietScript, ...options.scripts[launches++] }),
    bytesOf: ({ modelName }) => options.bytes[modelName] ?? 0,
    ...(options.tokensAtEnd && { tokensAtEnd: true }),
    overbooked: ({ id, slots }) => complain(`instance ${id} runs more than ${slots} requests`),
  })
  const living = () => engine.instances.filter((one) => one.alive())

  const health = createHealthBook(defaultHealthLimits)
  const dispatcher = createDispatcher({
    policies,
    defaultPolicy: options.policy,
    filter: filterCandidates,
    prefix: createPrefixIndex({ budgetBytes: 2 ** 16, maxAgeMs: Number.POSITIVE_INFINITY }),
    blockTokens: 4,
    predictor: createPredictor(),
    health,
    random,
  })
  const queue = watched(createAdmissionQueue(options.admission))
  const pool = createPool({
    limits: options.limits,
    queue,
    dispatcher,
    health,
    healthProbe: { intervalMs: 30_000, timeoutMs: 5_000 },
    defaultKeepAliveMs: 300_000,
    engine: async () => engine,
    machine: () => ({
      limitBytes: Number.POSITIVE_INFINITY,
      devices: options.devices.map((room) => ({
        ...room,
        availableBytes: room.limitBytes - bytesOn(room.id),
      })),
    }),
    probeDevice: async (deviceId) => {
      await clock.sleep(5)
      return !lost.has(deviceId)
    },
    clock,
    log,
  })

  function bytesOn(deviceId: string): number {
    return engine.instances
      .filter((one) => !one.gone() && devicesOf(one.spec).includes(deviceId))
      .reduce((sum, { memory }) => sum + memory.vramBytes, 0)
  }

  function wishOf({ model, contextLength, pin }: Asked): LoadWish {
    const wanted = contextLength === undefined ? {} : { contextLength }
    const bytes = options.bytes[model] ?? 0
    const plan: LoadWish['plan'] = (budgetBytes, caps) => {
      if (bytes > budgetBytes) return { ok: false, message: `${model} needs ${bytes} of ${budgetBytes}` }
      const planned = {
        contextLength: contextLength ?? caps.contextLength ?? 4096,
        slots: caps.slots ?? options.slots,
        bytes,
        options: wanted,
      }
      return { ok: true, plan: planned }
    }
    return {
      key: model,
      modelName: model,
      options: wanted,
      ...(pin !== undefined && { pins: [pin] }),
      plan,
      spread: spreadByRoom(plan),
      spec: (plan, id, deviceIds) => ({
        id,
        modelName: model,
        modelPath: '',
        projectorPaths: [],
        adapterPaths: [],
        contextLength: plan.contextLength,
        slots: plan.slots,
        embedding: false,
        gpuLayers: 'auto',
        env: { DEVICES: deviceIds.join(',') },
        flashAttention: 'auto',
        kvCacheType: 'f16',
        contextShift: true,
        stallTimeoutMs: Number.POSITIVE_INFINITY,
      }),
    }
  }

  function traitsOf(asked: Asked): RequestTraits {
    const { model, tenant, priority, prompt, maxTokens, deadlineInMs, session, pin } = asked
    const shape = { model, tenant, kind: 'chat' as const, promptTokens: prompt.length, tools: false }
    return {
      priority,
      route: {
        tenant,
        promptTokens: prompt.length,
        outputTokens: maxTokens,
        shape: { ...shape, format: false, thinking: false, maxTokens },
        blocks: textBlocks(prompt, { salt: `${model}\n${tenant}`, blockBytes: 12, bytesPerToken: 3 }),
        ...(deadlineInMs !== undefined && { deadlineMs: clock.now() + deadlineInMs }),
        ...(session !== undefined && { session }),
        ...(pin !== undefined && { needs: { pins: [pin] } }),
      },
    }
  }

  /** The queue, with an eye on who is served: nobody before one who could have been. */
  function watched(inner: AdmissionQueue): AdmissionQueue {
    const strict = options.policy === 'least_loaded'
    return {
      offer: inner.offer,
      withdraw: inner.withdraw,
      charge: inner.charge,
      expire: inner.expire,
      nextChangeMs: inner.nextChangeMs,
      groups: inner.groups,
      inOrder: inner.inOrder,
      positionOf: inner.positionOf,
      has: inner.has,
      get size() {
        return inner.size
      },
      report: inner.report,
      start(id, nowMs) {
        for (const group of inner.groups(nowMs)) {
          const [first] = inner.inOrder(group, nowMs)
          const order = strict ? [first] : [...inner.inOrder(group, nowMs)]
          if (order.some((ticket) => ticket?.id === id)) break
          if (strict && couldServe(group))
            complain(`${id} was served before ${first?.id}, which could have been`)
        }
        inner.start(id, nowMs)
      },
    }
  }

  /** Whether an instance is ready and free for those who wait in this group. */
  function couldServe(group: string): boolean {
    const [key, { contextLength = 0 }, pins, slotless, ...avoid] = JSON.parse(group)
    return pool.ready().some(({ entry }) => {
      const { id, plan, busy, retiring, shares } = entry
      return (
        entry.key === key &&
        !retiring &&
        !avoid.includes(id) &&
        plan.contextLength >= contextLength &&
        (slotless || (busy < plan.slots && isWithinLimits(shares))) &&
        (pins.length === 0 || shares.some(({ deviceId }) => pins.includes(deviceId))) &&
        health.allows(id, clock.now())
      )
    })
  }

  function isWithinLimits(shares: readonly { deviceId: string }[]): boolean {
    return shares.every(({ deviceId }) => {
      return runningOn(deviceId) < (options.limits.maxRequests?.get(deviceId) ?? Number.POSITIVE_INFINITY)
    })
  }

  function runningOn(deviceId: string): number {
    return pool
      .instances()
      .filter(({ shares }) => shares.some((share) => share.deviceId === deviceId))
      .reduce((sum, { running }) => sum + running, 0)
  }

  function look(): void {
    for (const { id, running, slots } of pool.instances()) {
      if (running > slots) complain(`instance ${id} is booked for ${running} of ${slots}`)
      if (running < 0) complain(`instance ${id} is booked for ${running}`)
    }
    for (const [deviceId, most] of options.limits.maxRequests ?? []) {
      if (runningOn(deviceId) > most) complain(`device ${deviceId} runs more than ${most}`)
    }
  }

  async function hold(client: Client, holdsMs: number, signal: AbortSignal): Promise<void> {
    const lease = await pool.acquire(wishOf(client.asked), signal, { slotless: true })
    try {
      await clock.sleep(holdsMs, signal)
      client.held = true
    } finally {
      lease.release()
    }
  }

  async function serve(client: Client, signal: AbortSignal): Promise<void> {
    const { asked } = client
    if (asked.holdsMs !== undefined) return hold(client, asked.holdsMs, signal)
    const wish = wishOf(asked)
    const traits = traitsOf(asked)
    const { cacheMs, hedgeMs, silenceMs } = options
    const pause = async () => (cacheMs === undefined ? undefined : clock.sleep(cacheMs))
    const acquire = async (avoid: ReadonlySet<number>, standing: Standing): Promise<Lease> => {
      const told = new Set(avoid)
      const own = standing.calledOff ? AbortSignal.any([signal, standing.calledOff]) : signal
      const lease = await pool.acquire(wish, own, traitsNow(traits, told, standing))
      const { entryId } = lease
      if (told.has(entryId)) complain(`a request came back to ${entryId}, which it was to avoid`)
      if (draining.has(entryId)) complain(`a request came to ${entryId}, which was draining`)
      look()
      return lease
    }
    retries.deposit(clock.now())
    const run = await startRun({
      acquire,
      hasOther: (avoid) => pool.hasOther(wish.key, avoid),
      prepare: pause,
      rescue: pause,
      moved: (reason) => void client.moves.push(reason),
      ...(hedgeMs !== undefined && {
        hedge: {
          delayMs: hedgeMs,
          mayStart: (avoid: ReadonlySet<number>) => pool.hasIdle(wish.key, avoid),
          observe: () => undefined,
        },
      }),
      retries,
      ...(silenceMs !== undefined && { silenceMs }),
      clock,
      random,
      signal,
    })
    const completion: CompletionRequest = {
      prompt: asked.prompt,
      maxTokens: asked.maxTokens,
      stop: [],
      sampling: {} as CompletionRequest['sampling'],
    }
    try {
      for await (const event of run.generate(completion, signal)) {
        if (event.type === 'done') {
          if (client.whole) complain('an answer ended twice')
          client.whole = true
          run.end({ outcome: 'answered', usage: event.usage })
        } else if (event.type === 'token') {
          for (const letter of event.text) client.tokens.push(letter.charCodeAt(0) - 0x4e00)
        }
        if (client.tokens.length >= (asked.readsTokens ?? Number.POSITIVE_INFINITY)) {
          client.stopped = true
          return
        }
      }
    } finally {
      run.end()
    }
  }

  function ask(asked: Asked): Client {
    const abort = new AbortController()
    const client: Client = {
      asked,
      arrivedMs: clock.now(),
      tokens: [],
      moves: [],
      leave: () => abort.abort(new DroverError('cancelled', 'the client left')),
    }
    clients.push(client)
    serve(client, abort.signal)
      .catch((error) => {
        client.refusal = asDroverError(error)
      })
      .then(() => {
        if (client.endedMs !== undefined) complain('a request ended twice')
        client.endedMs = clock.now()
      })
    return client
  }

  return {
    clock,
    pool,
    queue,
    health,
    clients,
    instances: engine.instances,
    complaints,
    ask,
    drain: (entryId, graceMs) => {
      // Who was given a slot there before has yet to hear of it.
      if (pool.drain(entryId, graceMs)) rest().then(() => draining.add(entryId))
    },
    restart: (model) => void pool.restart(model),
    move: (model, to) => {
      const own = pool.instances().filter(({ key, state }) => key === model && state === 'ready')
      const moving = pool.moves().filter(({ endedAtMs }) => endedAtMs === undefined)
      // One that moves already is refused.
      const leaving = own.map(({ id }) => id).filter((id) => !moving.some((one) => one.leaving.includes(id)))
      const wish = wishOf({ model, tenant: '', priority: 'default', prompt: '', maxTokens: 1 })
      pool.move({ wish, leaving, to, reason: 'so it is wished' })
    },
    keepAlive: (model, ms) => pool.keepAlive(model, ms),
    loseDevice: (deviceId, deadly) => {
      lost.add(deviceId)
      const here = living().filter(({ spec }) => devicesOf(spec).includes(deviceId))
      if (deadly) for (const instance of here) instance.die('device_lost')
      pool.deviceLost(deviceId, 'fell off the bus')
    },
    deviceBack: (deviceId) => {
      lost.delete(deviceId)
      pool.deviceLost(deviceId, undefined)
    },
    kill: (pick, kind) => {
      const there = living()
      there[pick % Math.max(1, there.length)]?.die(kind)
    },
    async calm() {
      const untilMs = clock.now() + calmMs
      await clock.pass(0)
      for (let ticks = 0; clients.some(({ endedMs }) => endedMs === undefined); ticks++) {
        if (clock.nextMs() > untilMs || ticks > mostTicks) return false
        await clock.tick()
        look()
      }
      return true
    },
  }
}

/** Longer than any back-off, quarantine or answer. */
const calmMs = 30 * 60_000
/** More than the requests of any schedule can give rise to. */
const mostTicks = 20_000

function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 16_807) % 2_147_483_647
    return state / 2_147_483_647
  }
}
