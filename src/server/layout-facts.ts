/** The world as the reconciler and the reports of the layout see it. */
import type { LaidOutInstance, SpeculationReport } from '../api/index.ts'
import type { Clock } from '../core/index.ts'
import type { Deployment, DeviceFacts, PlacedInstance, ReconcileFacts, Strategy } from '../placement/index.ts'
import type {
  DeviceRoom,
  DeviceTrouble,
  InstanceReport,
  LoadWish,
  MachineFacts,
  Pool,
} from '../routing/index.ts'

/** What the devices can take, and whether they may be given anything. */
export function deviceFacts(
  { devices }: MachineFacts,
  instances: readonly InstanceReport[],
  troubles: readonly DeviceTrouble[],
): DeviceFacts[] {
  const ill = new Set(troubles.map(({ deviceId }) => deviceId))
  return devices.map((room) => ({
    id: room.id,
    freeBytes: freeBytesOf(room, devices, instances),
    speed: room.speed,
    usable: !ill.has(room.id),
    degraded: room.degraded,
    fallback: room.fallback,
  }))
}

/** Within its limit, and within what is free less what loads take yet. */
function freeBytesOf(
  room: DeviceRoom,
  devices: readonly DeviceRoom[],
  instances: readonly InstanceReport[],
): number {
  const pool = devices.filter((other) => other.pool === room.pool).map(({ id }) => id)
  const growing = instances.filter(({ state }) => state === 'loading')
  return Math.min(
    room.limitBytes - bytesOn(instances, [room.id]),
    room.availableBytes - bytesOn(growing, pool),
  )
}

function bytesOn(instances: readonly InstanceReport[], deviceIds: readonly string[]): number {
  const shares = instances.flatMap((one) => one.shares)
  return shares.reduce((sum, { deviceId, bytes }) => sum + (deviceIds.includes(deviceId) ? bytes : 0), 0)
}

/** Instances by the key of their model; those in `fixed` were placed by hand. */
export function placedInstances(
  instances: readonly InstanceReport[],
  fixed: ReadonlySet<number>,
): PlacedInstance[] {
  return instances.map(({ id, key, state, leaving, shares, slots, running, idleMs }) => ({
    id,
    model: key,
    state: leaving || state === 'closing' ? 'leaving' : state,
    shares,
    slots,
    running,
    idleMs,
    fixed: fixed.has(id),
  }))
}

/** All that the reconciler is told. */
export function reconcileFacts(
  nowMs: number,
  pool: Pick<Pool, 'instances' | 'queue' | 'deviceTroubles'>,
  machine: MachineFacts,
  {
    fixed,
    deployments,
    sizes,
    layOut,
  }: {
    fixed: ReadonlySet<number>
    deployments: readonly Deployment[]
    sizes: ReadonlyMap<string, number>
    layOut: NonNullable<ReconcileFacts['layOut']>
  },
): ReconcileFacts {
  const instances = pool.instances()
  return {
    nowMs,
    deployments,
    instances: placedInstances(instances, fixed),
    devices: deviceFacts(machine, instances, pool.deviceTroubles()),
    waiting: new Map(pool.queue().byModel.map(({ model, waiting }) => [model, waiting])),
    sizes,
    layOut,
  }
}

/** As it was loaded, wherever the first request for it wanted it. */
export function wishAgain({ pins: _pins, ...wish }: LoadWish, options: LoadWish['options']): LoadWish {
  return { ...wish, options }
}

/** Answers that are remembered. */
const mostLayouts = 256

/** Asks the planner where an instance would lie on other devices; an answer is good for `forMs`, for plans cost time. */
export function createLayoutAsker(
  pool: Pick<Pool, 'ready' | 'placeFor'>,
  { clock, forMs }: { clock: Clock; forMs(): number },
): NonNullable<ReconcileFacts['layOut']> {
  const known = new Map<string, { atMs: number; shares: PlacedInstance['shares'] | undefined }>()
  return ({ id }, deviceIds) => {
    const asked = `${id} on ${deviceIds.join()}`
    const last = known.get(asked)
    if (last && clock.now() - last.atMs < forMs()) return last.shares
    const entry = pool.ready().find((one) => one.entry.id === id)?.entry
    const found = entry && pool.placeFor(wishAgain(entry.wish, entry.plan.options), deviceIds)
    const shares = found?.ok ? found.placement.shares : undefined
    known.delete(asked)
    known.set(asked, { atMs: clock.now(), shares })
    for (const oldest of known.keys()) if (known.size > mostLayouts) known.delete(oldest)
    return shares
  }
}

/** How instances lie; `cpuId` is the device that a plan's part in host memory belongs to. */
export function laidOut(instances: readonly InstanceReport[], cpuId: string | undefined): LaidOutInstance[] {
  return instances.map((one) => {
    const { id, model, engine, state, slots, running, contextLength, layout, shares, speculation } = one
    const copies = instances.filter(({ key }) => key === one.key).length
    const parts = layout?.parts.map((part) => ({
      deviceId: part.kind === 'cpu' ? (cpuId ?? part.deviceId) : part.deviceId,
      stage: part.stage,
      layers: part.layers,
      share: part.share,
      bytes: part.memory.totalBytes,
      memory: part.memory,
      ...(part.remote && { remote: true }),
    }))
    const whole = shares.map(({ deviceId, bytes }, stage) => ({
      deviceId,
      stage,
      share: 1,
      bytes: Math.round(bytes),
    }))
    return {
      instance: id,
      model,
      engine,
      state,
      strategy: strategyOf(one, copies),
      slots,
      running,
      contextLength,
      parts: parts ?? whole,
      ...(speculation && { speculation: speculationReport(speculation) }),
    }
  })
}

function speculationReport(figures: NonNullable<InstanceReport['speculation']>): SpeculationReport {
  const { decodeTokensPerS, plainTokensPerS, switchedOff = false } = figures
  const speedup = decodeTokensPerS && plainTokensPerS ? decodeTokensPerS / plainTokensPerS : undefined
  return { ...figures, ...(speedup !== undefined && { speedup }), switchedOff }
}

/** How an instance lies, whatever it was asked for. */
export function strategyOf({ shares, layout }: InstanceReport, copies: number): Strategy {
  const gpus = layout?.parts.filter(({ kind }) => kind === 'gpu').length ?? shares.length
  if (gpus < 2) return copies > 1 ? 'data' : 'single'
  if (layout && layout.tensorSize > 1) return layout.pipelineSize > 1 ? 'hybrid' : 'tensor'
  return 'pipeline'
}
