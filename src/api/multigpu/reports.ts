import { shortLabels } from '../../hardware/index.ts'
import type { DeviceReport, DeviceStatus } from '../drover/device-directory.ts'
import type { LaidOutInstance, MultiGpuStatus, WantedModel } from './control.ts'
import type { Performance } from './meter.ts'

/** What a device has, and what models take of it. Bytes. */
export interface DeviceMemory {
  totalBytes: number
  /** By everybody, where sensors tell it. */
  usedBytes?: number
  /** By Drover's instances, as they were reckoned. */
  modelsBytes: number
}

/** A device as the multi-GPU reports show it. */
export interface DeviceSummary {
  id: string
  /** As `drover gpus` shows it: `GPU0`. */
  label: string
  name: string
  vendor: string
  state: string
  health: string
  used: boolean
  unusedReason?: string
  memory: DeviceMemory
}

/** What the devices tell of the layout, where nobody plans it: an engine that places its models itself. */
export function layoutOf({ devices }: DeviceReport): MultiGpuStatus {
  const parts = devices.flatMap(({ id, instances }) => instances.map((one) => ({ ...one, deviceId: id })))
  const byInstance = Map.groupBy(parts, ({ instance }) => instance)
  const instances = [...byInstance].flatMap(([instance, own]): LaidOutInstance[] => {
    const [first] = own
    if (!first) return []
    const { model, engine, state, slots, running } = first
    return [
      {
        ...{ instance, model, engine, state, slots, running },
        strategy: own.length > 1 ? 'pipeline' : 'single',
        parts: own.map(({ deviceId, bytes }, stage) => ({ deviceId, stage, share: 1, bytes })),
      },
    ]
  })
  return { instances, models: [], moves: [], problems: [] }
}

/** Devices, instances with their parts, and what moves. */
export function statusReport(report: DeviceReport, layout: MultiGpuStatus) {
  const { instances, moves, problems } = layout
  return {
    devices: summaries(report),
    instances,
    moves,
    problems: [...new Set([...report.problems, ...problems])],
  }
}

/** Devices and the ways between them. */
export function topologyReport({ devices, links }: DeviceReport) {
  const labels = shortLabels(devices)
  return {
    devices: devices.map(({ id, name, vendor, kind, numaNode, parentId, pcie, facts, network }) => ({
      id,
      label: labels.get(id) ?? id,
      name,
      vendor,
      kind,
      ...(numaNode !== undefined && { numaNode }),
      ...(parentId !== undefined && { parentId }),
      ...(pcie && { pcie }),
      ...(facts.bandwidthGBs && { memoryGBs: facts.bandwidthGBs.value }),
      ...(network && { network }),
    })),
    links,
  }
}

/** The meter's minute, and what each device's sensors tell now; without what nobody is to watch. */
export function performanceReport({ measured, found }: { measured?: Performance; found?: DeviceReport }) {
  return { ...measured, ...(found && { devices: devicesNow(found) }) }
}

function devicesNow({ devices }: DeviceReport) {
  const labels = shortLabels(devices)
  return devices.map((device) => {
    const { utilization, memoryUtilization, powerWatts, powerLimitWatts, temperatureC, throttle } =
      device.sensors ?? {}
    return {
      id: device.id,
      label: labels.get(device.id) ?? device.id,
      memory: memoryOf(device),
      running: device.instances.reduce((sum, { running }) => sum + running, 0),
      ...(utilization !== undefined && { utilization }),
      ...(memoryUtilization !== undefined && { memoryUtilization }),
      ...(powerWatts !== undefined && { powerWatts }),
      ...(powerLimitWatts !== undefined && { powerLimitWatts }),
      ...(temperatureC !== undefined && { temperatureC }),
      ...(throttle !== undefined && { throttle }),
    }
  })
}

/** Each model that is wanted or runs. */
export function modelsReport({ models, instances }: Pick<MultiGpuStatus, 'models' | 'instances'>) {
  const names = new Set([...models, ...instances].map(({ model }) => model))
  return {
    models: [...names].sort().map((model) => {
      const running = instances.filter((one) => one.model === model && one.state !== 'closing')
      return modelReport(
        model,
        models.find((one) => one.model === model),
        running,
      )
    }),
  }
}

function modelReport(model: string, wish: WantedModel | undefined, instances: readonly LaidOutInstance[]) {
  const ready = instances.filter(({ state }) => state === 'ready')
  const strategy = wish?.strategy ?? instances[0]?.strategy
  return {
    model,
    wanted: wish?.wanted ?? 0,
    running: ready.length,
    loading: instances.length - ready.length,
    ...(strategy && { strategy }),
    ...(wish && { reason: wish.reason }),
    slots: ready.reduce((sum, { slots }) => sum + slots, 0),
    memoryBytes: instances.flatMap(({ parts }) => parts).reduce((sum, { bytes }) => sum + bytes, 0),
    devices: [...new Set(instances.flatMap(({ parts }) => parts.map(({ deviceId }) => deviceId)))],
  }
}

function summaries({ devices }: DeviceReport): DeviceSummary[] {
  const labels = shortLabels(devices)
  return devices.map((device) => {
    const { id, name, vendor, state, health, used, unusedReason } = device
    return {
      id,
      label: labels.get(id) ?? id,
      name,
      vendor,
      state,
      health: health.state,
      used,
      ...(unusedReason !== undefined && { unusedReason }),
      memory: memoryOf(device),
    }
  })
}

function memoryOf({ memoryTotalBytes, sensors, instances }: DeviceStatus): DeviceMemory {
  const usedBytes = sensors?.memoryUsedBytes
  return {
    totalBytes: memoryTotalBytes,
    ...(usedBytes !== undefined && { usedBytes }),
    modelsBytes: instances.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}
