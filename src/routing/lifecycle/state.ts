import type { InstanceSpec } from '../../engines/index.ts'
import type { DroverError } from '../../inference/index.ts'
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
}

/** Works out how to load a model into `budgetBytes`, or says why it cannot be done. */
export type Planner = (budgetBytes: number) => { ok: true; plan: LoadPlan } | { ok: false; message: string }

/** A request's wish for a running model. */
export interface LoadWish {
  /** Requests with the same key are served by the same instance: model file and adapters. */
  key: string
  modelName: string
  options: LoadOptions
  plan: Planner
  /** What an instance is started with, once it is planned. */
  spec: (plan: LoadPlan, instanceId: string) => InstanceSpec
}

/** A request that waits for its model. */
export interface Waiter {
  id: number
  wish: LoadWish
}

export type Phase = 'loading' | 'ready' | 'closing'

/** A model that is loaded, being loaded or being unloaded. */
export interface Entry {
  id: number
  key: string
  modelName: string
  phase: Phase
  plan: LoadPlan
  bytes: number
  /** Requests that hold it, running or queued inside it. */
  inUse: number
  /** Takes no new request: it closes as soon as nobody holds it. Worked out anew by every `settle`. */
  retiring: boolean
  keepAliveMs: number
  idleSinceMs: number
  startedAtMs: number
  loadMs: number
}

/** The whole state of the lifecycle; only the functions of this folder change it. */
export interface LifecycleState {
  nextId: number
  entries: Map<number, Entry>
  /** In order of arrival. */
  waiters: Waiter[]
  crashes: Map<string, CrashRecord>
  limits: LifecycleLimits
  /** No new loads: the server is going down. */
  closed: boolean
}

export interface LifecycleLimits {
  maxLoadedModels: number
  /** Most requests that wait for a model to load. */
  maxWaiting: number
  /** Most requests that hold one instance beyond its slots. */
  maxQueuedPerInstance: number
}

/** What the world looks like at a decision. */
export interface LifecycleFacts {
  nowMs: number
  /** Asked only where a load is decided: reading it costs more than the rest of a decision. */
  memory: () => MemoryFacts
}

export interface MemoryFacts {
  /** Memory that models may take in all. */
  limitBytes: number
  /** Memory free right now. */
  availableBytes: number
}

/** What has to be done next, in this order. */
export type Effect =
  | { type: 'launch'; entryId: number; wish: LoadWish; plan: LoadPlan }
  | { type: 'close'; entryId: number; reason: 'evicted' | 'expired' | 'reload' }
  | { type: 'grant'; waiterId: number; entryId: number }
  | { type: 'reject'; waiterId: number; error: DroverError }
  /** Decide again at this time at the latest. */
  | { type: 'wake'; atMs: number }
