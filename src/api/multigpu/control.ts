import type { Speculation } from '../../engines/index.ts'
import type { RoutingWishes } from '../../inference/index.ts'
import type { MemoryParts, Strategy } from '../../placement/index.ts'

/** One device's part of an instance that runs. */
export interface InstancePart {
  /** A device's id; of the host's part the CPU's. */
  deviceId: string
  /** Parts of one stage share its layers; stages follow each other. */
  stage: number
  /** First layer, and the one after the last; absent where the engine lays them out itself. */
  layers?: readonly [first: number, end: number]
  /** Of each tensor of its layers: 1 but in a tensor split. */
  share: number
  /** Memory that it takes of the device. */
  bytes: number
  /** Of what it consists, where that was planned. */
  memory?: MemoryParts
  /** Reached by llama.cpp's RPC. */
  remote?: boolean
}

/** What a draft model's guesses have brought an instance. */
export interface SpeculationReport extends Omit<Speculation, 'switchedOff'> {
  /** The rate with guesses by the one without; absent until measured. */
  speedup?: number
  switchedOff: boolean
}

/** An instance, and how it lies on its devices. */
export interface LaidOutInstance {
  instance: number
  model: string
  engine: string
  state: 'loading' | 'ready' | 'closing'
  strategy: Strategy
  slots: number
  running: number
  /** Tokens of a slot, where that is known. */
  contextLength?: number
  /** In the order of the stages, the host's part last. */
  parts: readonly InstancePart[]
  /** Where it has a draft model, or had to go without. */
  speculation?: SpeculationReport
}

/** What is to run, whatever runs now. */
export interface WantedModel {
  model: string
  /** Instances. */
  wanted: number
  strategy: Strategy
  /** In one sentence: who wants it, and why so. */
  reason: string
}

/** An instance that changes its place: a new one is started and warmed, then the old one drained. */
export interface Move {
  id: number
  model: string
  /** Devices of the old instance; empty where one is added. */
  from: readonly string[]
  /** Devices of the new one, those that it may lie on before it is placed; empty where one is taken away. */
  to: readonly string[]
  reason: string
  state: 'planned' | 'starting' | 'draining' | 'done' | 'failed'
  /** Why it failed; the old instance goes on then. */
  error?: string
}

export interface MultiGpuStatus {
  instances: readonly LaidOutInstance[]
  models: readonly WantedModel[]
  /** Those under way and the last ones that ended, newest first. */
  moves: readonly Move[]
  /** What a person should know of, each with what to do. */
  problems: readonly string[]
}

export interface MigrateWish extends Pick<RoutingWishes, 'strategy' | 'tensorSize' | 'pipelineSize'> {
  /** As the store names it. */
  model: string
  /** The devices that the new instance may lie on, by id; without a strategy it takes those that it needs. */
  to: readonly string[]
  /** Which instance moves; absent: all of the model's become one on these devices. */
  instance?: number
  /** Says what would be done, and does nothing. */
  dryRun: boolean
}

/** A change of the layout. */
export interface LayoutChange {
  /** `move`: made without being asked. */
  change: 'migration' | 'rebalance' | 'move'
  models: readonly string[]
  reason: string
  /** When, as an ISO date. */
  at: string
}

export interface Undone {
  /** What is taken back. */
  undone: LayoutChange
  /** By these; none where nothing of it runs any more. */
  moves: readonly Move[]
  /** What can be taken back after it, the next one first. */
  left: readonly LayoutChange[]
}

/**
 * What of the layout can be seen and changed from outside. Changes are returned as soon as they are decided, `planned`
 * in a dry run; `status().moves` tells how they go on. No request fails by any of them.
 */
export interface MultiGpuControl {
  status(): MultiGpuStatus
  /** Throws `model_not_found`, and `invalid_request` where there is no such device or the model does not fit there. */
  migrate(wish: MigrateWish): Promise<readonly Move[]>
  /** Lays out anew what would gain by it; empty where all lies well. */
  rebalance(options: { dryRun: boolean }): Promise<readonly Move[]>
  /** Takes the last change back that was not yet. Throws `invalid_request` where there is none. */
  undo(): Promise<Undone>
}
