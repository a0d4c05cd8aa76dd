/** What is wanted of a model, whatever runs now. */
export interface Deployment {
  model: string
  /** Instances: so many are started, and more of them as load asks for it, up to `most`. */
  least: number
  most: number
  /** The only devices that its instances may lie on. */
  pins?: readonly string[]
  /** Those with more are seen to first. */
  priority: number
  /** Who wants it, and why so, in one sentence. */
  reason: string
}

/** An instance, as far as it matters for where instances lie. */
export interface PlacedInstance {
  id: number
  model: string
  /** `leaving`: it ends, or is closing. */
  state: 'loading' | 'ready' | 'leaving'
  shares: readonly { deviceId: string; bytes: number }[]
  slots: number
  running: number
  idleMs: number
  /** It was put where it is by hand: it is moved by hand only. */
  fixed: boolean
}

/** A device, as far as it matters for where instances lie. */
export interface DeviceFacts {
  id: string
  /** What one more instance may take. */
  freeBytes: number
  /** In any unit, the same for all. */
  speed: number
  /** It is there, and may be given work. */
  usable: boolean
  /** Slowed down or in doubt. */
  degraded: boolean
  /** Taken only where there is no other. */
  fallback: boolean
}

/** The world at one moment. */
export interface ReconcileFacts {
  nowMs: number
  deployments: readonly Deployment[]
  instances: readonly PlacedInstance[]
  devices: readonly DeviceFacts[]
  /** Requests that wait, by model. */
  waiting: ReadonlyMap<string, number>
  /** Memory of an instance, by model, where one has been seen. */
  sizes: ReadonlyMap<string, number>
  /** Where the planner would lay an instance that moves to some of these devices, beside all that runs; none: nowhere. */
  layOut?(instance: PlacedInstance, deviceIds: readonly string[]): PlacedInstance['shares'] | undefined
}

export interface ReconcileSettings {
  /** Load from which on a device or a model has too much to do: 1 is every slot taken. */
  threshold: number
  /** Least time between two moves, and between two changes of one model's instances. */
  cooldownMs: number
  /** Load has to be too high for so long before anything is done about it. */
  sustainMs: number
  /** An instance that load does not ask for any more ends when it has been idle for so long. */
  surplusIdleMs: number
}

export const defaultReconcileSettings: ReconcileSettings = {
  threshold: 0.8,
  cooldownMs: 30_000,
  sustainMs: 10_000,
  surplusIdleMs: 120_000,
}

/** What is remembered from one round to the next. */
export interface ReconcileMemory {
  /** When a model's instances were last changed, or could not be. */
  changedAtMs: ReadonlyMap<string, number>
  movedAtMs: number
  /** Since when models and devices have too much to do; it ends at half of the threshold. */
  busySinceMs: ReadonlyMap<string, number>
  hotSinceMs: ReadonlyMap<string, number>
}

export const noMemory: ReconcileMemory = {
  changedAtMs: new Map(),
  movedAtMs: Number.NEGATIVE_INFINITY,
  busySinceMs: new Map(),
  hotSinceMs: new Map(),
}

/**
 * What is to be done. A `move` is five steps, one after the other: start on the new place, warm, move the conversations'
 * caches, drain the old one, stop it. A `stop` drains first.
 */
export type Action =
  | { type: 'start'; model: string; to: readonly string[]; reason: string }
  | {
      type: 'move'
      model: string
      instance: number
      from: readonly string[]
      to: readonly string[]
      reason: string
    }
  | { type: 'stop'; model: string; instance: number; from: readonly string[]; reason: string }
