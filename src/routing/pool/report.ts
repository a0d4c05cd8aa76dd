import type { EngineInstance } from '../../engines/index.ts'
import type { AdmissionQueue } from '../admission/index.ts'
import type { WaitingRequest } from '../contract.ts'
import type { HealthBook } from '../health/index.ts'
import type { LifecycleState } from '../lifecycle/index.ts'
import type { DeviceTrouble, InstanceReport, PoolInstance } from './contract.ts'

/** Waiting requests that a report names one by one. */
const mostReported = 100

/** Those who wait, in the order in which they will be served, of each model. */
export function waitingRequests(
  state: LifecycleState,
  queue: AdmissionQueue,
  nowMs: number,
  estimateOf: (key: string, position: number, nowMs: number) => number | undefined,
): WaitingRequest[] {
  return queue.groups(nowMs).flatMap((group) =>
    [...queue.inOrder(group, nowMs)].slice(0, mostReported).flatMap((ticket, position) => {
      const modelName = state.waiters.get(ticket.id)?.wish.modelName
      if (modelName === undefined) return []
      const estimateMs = estimateOf(ticket.model, position, nowMs)
      return [
        {
          model: modelName,
          position,
          tenant: ticket.tenant,
          priority: ticket.priority,
          waitedMs: nowMs - ticket.arrivedMs,
          ...(estimateMs !== undefined && { estimateMs: Math.round(estimateMs) }),
        },
      ]
    }),
  )
}

/** Instances that serve, with their processes. */
export function readyInstances(
  state: LifecycleState,
  instances: ReadonlyMap<number, EngineInstance>,
): PoolInstance[] {
  return [...state.entries.values()].flatMap((entry) => {
    const instance = instances.get(entry.id)
    return instance && entry.phase === 'ready' ? [{ entry, instance }] : []
  })
}

/** Every instance, loading and closing ones too. */
export function instanceReports(
  state: LifecycleState,
  instances: ReadonlyMap<number, EngineInstance>,
  health: HealthBook,
  nowMs: number,
): InstanceReport[] {
  return [...state.entries.values()].map((entry) => {
    const instance = instances.get(entry.id)
    const speculation = instance?.speculation?.()
    return {
      id: entry.id,
      key: entry.key,
      model: entry.modelName,
      engine: instance?.engine ?? '',
      pid: instance?.pid ?? 0,
      state: entry.phase,
      slots: entry.plan.slots,
      running: entry.busy,
      contextLength: entry.plan.contextLength,
      idleMs: entry.inUse > 0 ? 0 : nowMs - entry.idleSinceMs,
      ageMs: nowMs - entry.startedAtMs,
      leaving: entry.retiring || entry.drainsUntilMs !== undefined,
      health: health.scoreOf(entry.id, nowMs),
      shares: entry.shares,
      ...(entry.plan.layout && { layout: entry.plan.layout }),
      ...(speculation && { speculation }),
    }
  })
}

/** What has become of devices that failed. */
export function troublesOf(state: LifecycleState): DeviceTrouble[] {
  return [...state.devices]
    .filter(([, { untilMs, lost }]) => untilMs !== undefined || lost)
    .map(([deviceId, { reason, lost, untilMs }]) => ({
      deviceId,
      reason,
      lost,
      ...(untilMs !== undefined && { untilMs }),
    }))
}
