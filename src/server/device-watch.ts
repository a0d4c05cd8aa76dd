import { systemClock } from '../core/index.ts'
import {
  createCpuProbe,
  createMonitor,
  deviceProbes,
  followKernelLog,
  type Health,
  hostSystem,
  type Inventory,
  judgeEvent,
  parseXid,
  type Sensors,
} from '../hardware/index.ts'
import type { Logger } from '../observability/index.ts'
import type { DeviceWatch } from './machine.ts'

/** Looks at the sensors of every device, and tells when one is lost or back. */
export interface Watcher extends DeviceWatch {
  health(deviceId: string): Health
  close(): void
}

export interface WatcherOptions {
  inventory: () => Inventory
  /** A device is gone, with the reason, or (undefined) there again. */
  onLost(deviceId: string, reason: string | undefined): void
  log: Logger
}

/** Starts to watch: sensors once a second, and the kernel's log where there are GPUs. */
export function watchDevices({ inventory, onLost, log }: WatcherOptions): Watcher {
  const monitor = createMonitor({
    system: hostSystem,
    probes: [...deviceProbes, createCpuProbe(() => inventory().devices)],
    devices: () => inventory().devices.filter(({ state }) => state !== 'hidden' && state !== 'excluded'),
    onVerdict: ({ device, before, after }) => {
      if (after.state === 'lost') onLost(device.id, after.reasons[0]?.text ?? 'its sensors do not answer')
      else if (before.state === 'lost') onLost(device.id, undefined)
    },
    judgeEvent,
    log,
    clock: systemClock,
  })
  const hasGpu = inventory().devices.some(({ kind }) => kind !== 'cpu')
  const kernelLog = hasGpu
    ? followKernelLog({ parseLine: parseXid, onEvent: monitor.note, log, ...kernelLogPath() })
    : undefined
  return {
    sensors: (id): Sensors | undefined => monitor.latest(id)?.sensors,
    health: monitor.health,
    degraded: (id) => ['degraded', 'failing'].includes(monitor.health(id).state),
    close: () => {
      monitor.close()
      kernelLog?.close()
    },
  }
}

/** A file that stands in for the kernel's log where that is not the machine's own, as in a container. */
function kernelLogPath(): { path?: string } {
  const path = process.env['DROVER_KERNEL_LOG']
  return path ? { path } : {}
}
