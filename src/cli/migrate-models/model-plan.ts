import type { Plan } from '../../placement/index.ts'

/** A plan in short. */
export interface ModelPlan {
  strategy: string
  engine: string
  instances: number
  /** Of one instance, with what lies on each. */
  devices: { deviceId: string; kind: 'gpu' | 'cpu'; layers: number; bytes: number }[]
  contextLength: number
  slots: number
  decodeTokensPerS: number
  prefillTokensPerS: number
  /** Why so, as the planner says it. */
  reasons: readonly string[]
}

/** What of a plan is told of each model. */
export function planOf({ strategy, instances, speed, reasons }: Plan): ModelPlan {
  const [instance] = instances
  return {
    strategy,
    engine: instance?.engine ?? 'none',
    instances: instances.length,
    devices: (instance?.parts ?? []).map(({ deviceId, kind, layers: [first, end], memory }) => ({
      deviceId,
      kind,
      layers: end - first,
      bytes: memory.totalBytes,
    })),
    contextLength: instance?.contextLength ?? 0,
    slots: instance?.slots ?? 0,
    decodeTokensPerS: speed.decodeTokensPerS,
    prefillTokensPerS: speed.prefillTokensPerS,
    reasons,
  }
}
