import type { Clock } from '../../core/index.ts'
import type { Engine, EngineInstance, Speculation } from '../../engines/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { AdmissionQueue, QueueReport } from '../admission/index.ts'
import type { WaitingRequest } from '../contract.ts'
import type { Conversation, ConversationKeeper } from '../conversations.ts'
import type { Decision, Dispatcher, DispatchRequest, RunEnd } from '../dispatch/index.ts'
import type { HealthBook } from '../health/index.ts'
import type {
  Entry,
  LifecycleLimits,
  LoadPlan,
  LoadWish,
  MachineFacts,
  Move,
  MoveWish,
  PlacementResult,
  RequestTraits,
} from '../lifecycle/index.ts'

/** An instance held by a request; `release` once, whatever happened. */
export interface Lease {
  /** By which a request that fails here is kept from coming back. */
  entryId: number
  instance: EngineInstance
  /** Why it was this one; absent for a request that runs in no slot. */
  decision?: Decision
  /** How long it waited, how many were before it when it came, and how long it was reckoned to wait then. */
  queued: { ms: number; position: number; estimateMs?: number }
  /** Aborts when the instance is to end and its requests are to go on elsewhere. */
  leaving: AbortSignal
  /** The engine's first sign that the prompt has been read. */
  firstToken(): void
  tokens(count: number): void
  /** The instance's cache has only so much left of the prompt; after the release too. */
  cacheShrunk(keptTokens: number): void
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
  /** Slots that nobody runs in or waits for, of all instances; one where nothing is loaded yet. */
  idleSlots(): number
  /** Where a request would go now, by the instances that run. */
  explain(wish: LoadWish, request: Omit<DispatchRequest, 'id' | 'key'>): Decision
  /** Lets an instance end: it takes no new requests, and hands over those that outlast `graceMs`. */
  drain(instanceId: number, graceMs: number): boolean
  /**
   * Starts an instance on these devices, and ends those that leave when it is warm: what they run goes on. A move that
   * finds no room has failed when this returns; later `moves` tells. Throws `invalid_request` for an instance that moves
   * already, `shutting_down`.
   */
  move(wished: MoveWish): Readonly<Move>
  /** Where one more instance would lie on these devices. */
  placeFor(wish: LoadWish, to: readonly string[]): PlacementResult
  /** Under way, and the last ones that ended, oldest first. */
  moves(): Readonly<Move>[]
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
  queue(): QueueReport & { requests: WaitingRequest[] }
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
  /** As the pool knows it; several names may share it. */
  key: string
  model: string
  engine: string
  pid: number
  state: Entry['phase']
  slots: number
  running: number
  /** Tokens of each slot. */
  contextLength: number
  /** Since its last request ended; 0 while it has one. */
  idleMs: number
  /** Since it was started. */
  ageMs: number
  /** It is to end, and takes no new request. */
  leaving: boolean
  health: number
  shares: Entry['shares']
  /** How it lies on several devices, where Drover has planned that. */
  layout?: LoadPlan['layout']
  /** Where it has a draft model, or had to go without. */
  speculation?: Speculation
}

/** A device that takes no work because it failed. */
export interface DeviceTrouble {
  deviceId: string
  reason: string
  lost: boolean
  /** When it is tried again. */
  untilMs?: number
}
