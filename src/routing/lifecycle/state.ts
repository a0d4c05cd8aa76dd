import type { InstanceSpec } from '../../engines/index.ts'
import type { DroverError } from '../../inference/index.ts'
import type { PlanInstance, Strategy } from '../../placement/index.ts'
import type { AdmissionQueue } from '../admission/index.ts'
import type { Decision, DispatchInstance, DispatchRequest } from '../dispatch/index.ts'
import type { DeviceRecord } from './quarantine.ts'
import type { CrashRecord } from './restart.ts'

/** Load-time options that a request or its model asks for; absent means that any value serves. */
export interface LoadOptions {
  contextLength?: number
  batchSize?: number
  gpuLayers?: number
  mainGpu?: number
  useMmap?: boolean
  threads?: number
}

/** What an instance was, or is to be, started with. */
export interface LoadPlan {
  contextLength: number
  slots: number
  /** Estimated need. */
  bytes: number
  options: LoadOptions
  /** How it lies on several devices; absent: on one, or the engine divides it by itself. */
  layout?: PlanInstance
}

/** What a model may take at most, learnt from loads that ran out of memory. */
export interface LoadCaps {
  slots?: number
  contextLength?: number
}

/** Works out how to load a model into `budgetBytes` under `caps`, or says why it cannot be done. */
export type Planner = (
  budgetBytes: number,
  caps: LoadCaps,
) => { ok: true; plan: LoadPlan } | { ok: false; message: string }

/** A device's memory for one more instance. */
export interface Offer {
  deviceId: string
  bytes: number
}

/** What an instance over several devices may take. */
export interface SpreadOffer {
  devices: readonly Offer[]
  /** Of all of them together. */
  mostBytes: number
  /** Absent: whichever is best. */
  strategy?: Strategy
}

/** Works out how to lay a model on several devices, or on some of them: `shares` says what it takes of which. */
export type SpreadPlanner = (
  offer: SpreadOffer,
  caps: LoadCaps,
) => { ok: true; plan: LoadPlan; shares: readonly Offer[] } | { ok: false; message: string }

/** A request's wish for a running model. */
export interface LoadWish {
  /** Requests with the same key are served by the same instances: model file and adapters. */
  key: string
  modelName: string
  options: LoadOptions
  /** The only devices that this request may run on; absent: all that take the model. */
  pins?: readonly string[]
  /** How it is to lie where it is loaded for this request, if that can be had; what runs is taken as it is. */
  prefers?: Strategy
  /** Instances of the model at most; absent: as many as there is room for. */
  most?: number
  plan: Planner
  spread: SpreadPlanner
  /** What an instance is started with on these devices, once it is planned. */
  spec: (plan: LoadPlan, instanceId: string, deviceIds: readonly string[]) => InstanceSpec
  /** What requests may ask of an instance on these devices, and what is known of its speed. */
  traits?: (deviceIds: readonly string[]) => Partial<DispatchInstance>
}

/** A request that waits for its model, or for a slot in it. */
export interface Waiter {
  id: number
  wish: LoadWish
  /** It runs nothing in the engine's slots: it loads the model, or counts tokens. */
  slotless: boolean
  /** Entries where it has failed already. */
  avoid: ReadonlySet<number>
  request: DispatchRequest
  arrivedMs: number
  /** Until then it waits for the best instance rather than taking one that is free. */
  holdUntilMs?: number
  /** Only ill instances could serve it: if that is so yet, one of them does from then on. */
  evenIllFromMs?: number
}

export type Phase = 'loading' | 'ready' | 'closing'

/** What an instance takes of one device. */
export interface Share {
  deviceId: string
  bytes: number
  /** Whether crashes may be the device's fault: a GPU's, not a CPU's. */
  mayFail: boolean
}

/** An instance that is loaded, being loaded or being unloaded. */
export interface Entry {
  id: number
  key: string
  modelName: string
  wish: LoadWish
  phase: Phase
  plan: LoadPlan
  bytes: number
  /** On which devices it lies. */
  shares: readonly Share[]
  /** Requests that hold it. */
  inUse: number
  /** Those of them that run in a slot. */
  busy: number
  /** Requests that it has run to their end. */
  served: number
  /** Takes no new request: it closes as soon as nobody holds it. Worked out anew by every `settle`. */
  retiring: boolean
  /** It is to be replaced by a new one; see `restart`. */
  stale: boolean
  /** It is to end: it takes no new request, and from this time on hands over those it still has. */
  drainsUntilMs?: number
  /** Somebody wants it to end, whatever becomes of its successor. */
  drained?: true
  /** Its requests were told to go elsewhere. */
  handedOver?: boolean
  /** The move by which it is put elsewhere. */
  leavesFor?: number
  /** The entry that takes a stale one's place; 0 when there is room only after it has gone. */
  replacedBy?: number
  keepAliveMs: number
  idleSinceMs: number
  startedAtMs: number
  loadMs: number
}

/** An instance that changes its place; see `moves.ts`. */
export interface Move {
  id: number
  key: string
  modelName: string
  wish: LoadWish
  /** Instances that end for it. */
  leaving: readonly number[]
  /** Devices that they lie on. */
  from: readonly string[]
  /** Devices that the successor may lie on; once it is placed, those that it lies on. */
  to: readonly string[]
  reason: string
  state: 'starting' | 'draining' | 'done' | 'failed'
  /** The instance that takes their place. */
  successor?: number
  /** The model that it makes room for. */
  roomFor?: string
  /** Why it failed. */
  error?: string
  startedAtMs: number
  endedAtMs?: number
}

/** The whole state of the lifecycle; only the functions of this folder change it. */
export interface LifecycleState {
  nextId: number
  entries: Map<number, Entry>
  waiters: Map<number, Waiter>
  /** In which order they are served. */
  queue: AdmissionQueue
  /** Waiters that others have crowded out since the last `settle`. */
  refused: Effect[]
  /** Under way, and the last ones that ended. */
  moves: Map<number, Move>
  crashes: Map<string, CrashRecord>
  caps: Map<string, LoadCaps>
  /** By model: devices on which its load has failed just now, and why last. */
  failedOn: Map<string, { deviceIds: ReadonlySet<string>; error: DroverError }>
  devices: Map<string, DeviceRecord>
  limits: LifecycleLimits
  /** No new loads: the server is going down. */
  closed: boolean
}

export interface LifecycleLimits {
  /** Different models at once; their instances are limited by the devices. */
  maxLoadedModels: number
  /** So long the requests of an instance that is replaced may go on before they are moved; absent: to their end. */
  handOverAfterMs?: number
  /** Room is made by moving instances, where that will do, before any is unloaded. */
  defragments?: boolean
  /** Models that are expected to be asked for soon: these are not let go for having been idle. */
  keeps?: (key: string) => boolean
  /** Most requests at once on all instances of a device, by its id; else their slots are the limit. */
  maxRequests?: ReadonlyMap<string, number>
}

/** What the world looks like at a decision. */
export interface LifecycleFacts {
  nowMs: number
  /** Asked only where a load is decided: reading it costs more than the rest of a decision. */
  machine: () => MachineFacts
  /** Where this request goes among the instances that `accepts` lets in; the best may have no slot free. */
  choose: (waiter: Waiter, accepts: (entryId: number) => boolean, options?: { evenIll: boolean }) => Decision
}

/** The devices that instances can lie on, as they are right now. */
export interface MachineFacts {
  devices: readonly DeviceRoom[]
  /** Memory that models may take in all. */
  limitBytes: number
}

/** One device's room. */
export interface DeviceRoom {
  id: string
  /** Memory that instances may take of it in all. */
  limitBytes: number
  /** Free right now. */
  availableBytes: number
  /** Devices of one pool (the CPUs of a host) share `availableBytes`. */
  pool: string
  /** Most instances at once. */
  maxInstances: number
  /** Most of them of one model. */
  maxReplicas: number
  /** In any unit, the same for all; among equally busy ones the fastest is taken. */
  speed: number
  /** Whether crashes on it may be its own fault. */
  mayFail: boolean
  /** Taken only where no other is left: the CPU of a machine with GPUs. */
  fallback: boolean
  /** Slowed down or in doubt: taken after the healthy ones. */
  degraded: boolean
  /** Whether a model that fits on no single device may be spread over this one and others. */
  spreads: boolean
  /** Whether the configuration and the request's options let this model in. */
  accepts(wish: LoadWish): boolean
}

/** What has to be done next, in this order. */
export type Effect =
  | {
      type: 'launch'
      entryId: number
      wish: LoadWish
      plan: LoadPlan
      deviceIds: readonly string[]
      /** It computes something before it takes requests. */
      warm?: true
    }
  /** Caches of its conversations are saved, for those that take them up elsewhere. */
  | { type: 'keepCaches'; entryId: number }
  | { type: 'close'; entryId: number; reason: CloseReason }
  /** Its running requests go on elsewhere. */
  | { type: 'handOver'; entryId: number }
  | { type: 'grant'; waiterId: number; entryId: number; decision?: Decision }
  | { type: 'reject'; waiterId: number; error: DroverError }
  /** See whether a quarantined device works again, and tell `probed`. */
  | { type: 'probe'; deviceId: string }
  /** Decide again at this time at the latest. */
  | { type: 'wake'; atMs: number }

export type CloseReason = 'evicted' | 'expired' | 'reload' | 'restart' | 'drained' | 'moved' | 'device_lost'
