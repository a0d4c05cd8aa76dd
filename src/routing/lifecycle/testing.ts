import { createAdmissionQueue, defaultAdmissionLimits } from '../admission/index.ts'
import type { Candidate } from '../policy/index.ts'
import { createLifecycle, ended, launched, type RequestTraits, release, request } from './decide.ts'
import { settle } from './settle.ts'
import type {
  DeviceRoom,
  Effect,
  LifecycleFacts,
  LifecycleState,
  LoadOptions,
  LoadWish,
  Planner,
  SpreadPlanner,
} from './state.ts'

export const gib = 2 ** 30
export const minute = 60_000

export function wish(key: string, bytes: number, options: LoadOptions = {}): LoadWish {
  const plan: Planner = (budgetBytes, caps) => {
    if (bytes > budgetBytes) return { ok: false, message: `${key} needs ${bytes} of ${budgetBytes}` }
    const contextLength = options.contextLength ?? caps.contextLength ?? 4096
    return { ok: true, plan: { contextLength, slots: caps.slots ?? 2, bytes, options } }
  }
  return {
    key,
    modelName: key,
    options,
    plan,
    spread: spreadByRoom(plan),
    spec: () => {
      throw new Error('the lifecycle starts nothing by itself')
    },
  }
}

/** Over all devices, each with a share by what it has free. */
export function spreadByRoom(plan: Planner): SpreadPlanner {
  return ({ devices, mostBytes }, caps) => {
    const free = devices.reduce((sum, { bytes }) => sum + bytes, 0)
    const fitted = plan(Math.min(free, mostBytes), caps)
    if (!fitted.ok) return fitted
    const shares = devices.map((one) => ({ ...one, bytes: (fitted.plan.bytes * one.bytes) / free }))
    return { ...fitted, shares }
  }
}

/** A device that takes any model; its free memory follows from what lies on it. */
export function room(id: string, limitBytes: number, changes: Partial<DeviceRoom> = {}): DeviceRoom {
  return {
    id,
    limitBytes,
    availableBytes: limitBytes,
    pool: id,
    maxInstances: 10,
    maxReplicas: 1,
    speed: 1,
    mayFail: true,
    fallback: false,
    degraded: false,
    spreads: false,
    accepts: () => true,
    ...changes,
  }
}

/** A machine with a lifecycle on it: launches end when told to. */
export function machine(
  memory: number | DeviceRoom[],
  maxLoadedModels = 3,
  maxWaiting = 4,
  maxRequests?: ReadonlyMap<string, number>,
) {
  const rooms = typeof memory === 'number' ? [room('cpu', memory)] : memory
  const queue = createAdmissionQueue({ ...defaultAdmissionLimits, maxWaiting })
  const state = createLifecycle({ maxLoadedModels, ...(maxRequests && { maxRequests }) }, queue)
  let nowMs = 0
  const takenOn = (id: string) =>
    [...state.entries.values()]
      .filter(({ phase }) => phase !== 'loading')
      .flatMap(({ shares }) => shares.filter(({ deviceId }) => deviceId === id))
      .reduce((sum, { bytes }) => sum + bytes, 0)
  const step = (): Effect[] => {
    const machine = () => ({
      limitBytes: Number.POSITIVE_INFINITY,
      devices: rooms.map((one) => ({ ...one, availableBytes: one.availableBytes - takenOn(one.id) })),
    })
    return settle(state, { nowMs, machine, choose: leastBusy(state) }, 5 * minute)
  }
  const load = (entryId: number) => {
    const entry = state.entries.get(entryId)
    launched(state, entryId, { nowMs, bytes: 0, slots: 2, contextLength: entry?.plan.contextLength ?? 0 })
    return step()
  }
  return {
    state,
    step,
    load,
    ask: (wished: LoadWish, traits: RequestTraits = {}) => ({
      waiterId: request(state, wished, traits, nowMs),
      effects: step(),
    }),
    pass: (ms: number) => {
      nowMs += ms
      return step()
    },
    release: (entryId: number, completed = false) => {
      release(state, entryId, nowMs, { completed })
      return step()
    },
    end: (entryId: number, crash?: string) => {
      const end = crash === undefined ? undefined : ({ kind: 'crashed', reason: crash } as const)
      const comesBack = ended(state, entryId, nowMs, end)
      return { comesBack, effects: step() }
    },
    now: () => nowMs,
  }
}

/** The instance with the smallest share of its slots taken, as a decision without figures. */
function leastBusy({ entries }: LifecycleState): LifecycleFacts['choose'] {
  return (_waiter, accepts) => {
    const ranked = [...entries.values()]
      .filter(({ id }) => accepts(id))
      .toSorted((a, b) => a.busy / a.plan.slots - b.busy / b.plan.slots || a.id - b.id)
      .map(({ id, busy, plan }) => ({ candidate: candidate(id), score: busy / plan.slots, terms: {} }))
    return { policy: 'least_loaded', unit: 'points', ranked, excluded: [] }
  }
}

function candidate(id: number): Candidate {
  return {
    id,
    deviceIds: [],
    slots: 2,
    contextLength: 4096,
    kvTokens: 8192,
    weight: 1,
    running: 0,
    prefilling: 0,
    prefillTokens: 0,
    activeTokens: 0,
    slotWaitMs: 0,
    loadingMs: 0,
    lastChosen: 0,
    chosen: 0,
    rates: {
      prefillTokensPerS: 1000,
      decodeBaseMs: 10,
      decodePerRequestMs: 1,
      loadMs: 0,
      source: 'guess',
    },
    health: 1,
    cachedTokens: 0,
    networkMs: 0,
  }
}

export const launchOf = (effects: Effect[]) => effects.find((effect) => effect.type === 'launch')
export const only = <T extends Effect['type']>(effects: Effect[], type: T) =>
  effects.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type)

export function loaded(m: ReturnType<typeof machine>, wished: LoadWish): number {
  const launch = launchOf(m.ask(wished).effects)
  if (!launch) throw new Error('nothing was launched')
  m.load(launch.entryId)
  m.release(launch.entryId)
  return launch.entryId
}
