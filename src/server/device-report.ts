import type { DeviceInstance, DeviceReport, DeviceStatus } from '../api/index.ts'
import type { Device, Inventory } from '../hardware/index.ts'
import type { Pool } from '../routing/index.ts'
import type { Watcher } from './device-watch.ts'
import type { Machine } from './machine.ts'

/** Everything that is known of the devices now. */
export function deviceReport(
  { devices, links, problems }: Inventory,
  machine: Machine,
  watcher: Watcher,
  pool: Pool,
): DeviceReport {
  const troubles = new Map(pool.deviceTroubles().map((trouble) => [trouble.deviceId, trouble]))
  const instances = pool.instances()
  // Those that only the engine or the configuration knows of come last.
  const strangers = machine.devices.filter(({ id }) => !devices.some((device) => device.id === id))
  const listed = [...devices, ...strangers.map(({ device }) => device)]
  return {
    devices: listed.map((device) => {
      const unusedReason = troubles.get(device.id)?.reason ?? unusedReasonOf(device, machine)
      const sensors = watcher.sensors(device.id) ?? device.sensors
      const { rpc } = strangers.find(({ id }) => id === device.id) ?? {}
      return {
        ...device,
        health: watcher.health(device.id),
        used: unusedReason === undefined,
        instances: instances.flatMap((one): DeviceInstance[] => {
          const share = one.shares.find(({ deviceId }) => deviceId === device.id)
          const { id, model, engine, pid, state, slots, running } = one
          return share
            ? [{ instance: id, model, engine, pid, state, slots, running, bytes: Math.round(share.bytes) }]
            : []
        }),
        ...(unusedReason !== undefined && { unusedReason }),
        ...(sensors && { sensors }),
        ...(rpc && { network: { address: rpc.address, ...rpc.network } }),
      } satisfies DeviceStatus
    }),
    links,
    problems: [...problems, ...machine.problems],
  }
}

/** What there is when no engine can use it. */
export function unusedReport({ devices, links, problems }: Inventory, reason: string): DeviceReport {
  return {
    devices: devices.map((device) => ({
      ...device,
      health: { state: 'healthy', reasons: [] },
      used: false,
      unusedReason: reason,
      instances: [],
    })),
    links,
    problems: [...problems, reason],
  }
}

function unusedReasonOf(device: Device, machine: Machine): string | undefined {
  if (device.state !== 'ok') return device.stateReason ?? `its state is ${device.state}`
  if (device.partitioned) return 'its partitions take the work'
  return machine.devices.some(({ id }) => id === device.id)
    ? undefined
    : 'the configuration or the engine leaves it out'
}
