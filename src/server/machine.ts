import type { Config, DeviceEntry } from '../config/index.ts'
import type { EngineDevice } from '../engines/index.ts'
import { type CpuPart, type Device, readHost, type Sensors } from '../hardware/index.ts'
import {
  instancesPerDevice,
  replicasPerDevice,
  selects,
  serverDevices,
  unlistedGpus,
  usableBytes,
  type WorkerDevice,
  workerDevices,
} from '../placement/index.ts'
import type { DeviceRoom, LoadWish, MachineFacts } from '../routing/index.ts'
import { attachedServers } from './engine-choice.ts'
import { type LentDevices, noLentDevices } from './rpc-devices.ts'

/** What a device does when nothing is known of it, 10^9 bytes a second: a middling card, a middling host. */
const assumedBandwidthGBs = { gpu: 200, cpu: 30, server: 200, rpc: 20 }

/** What the sensors know of a device right now. */
export interface DeviceWatch {
  sensors(deviceId: string): Sensors | undefined
  /** Slowed down or about to fail: other devices are taken first. */
  degraded(deviceId: string): boolean
}

/** The devices that models are put on. */
export interface Machine {
  readonly devices: readonly WorkerDevice[]
  readonly problems: readonly string[]
  /** Their room at this moment. */
  facts(): MachineFacts
}

/** The CPU's devices as the configuration cuts it. */
export function cpuPartsOf(chosen: readonly DeviceEntry[] | undefined): CpuPart[] {
  const parts = (chosen ?? []).flatMap(({ selector }): CpuPart[] => {
    if (selector.kind === 'numa') return [{ kind: 'numa' }]
    if (selector.kind === 'cpu' && selector.cores) return [{ kind: 'cores', cores: selector.cores }]
    return []
  })
  return parts.length > 0 ? parts : [{ kind: 'whole' }]
}

/** Matches hardware, engine and configuration; `lent` are devices of other machines. */
export function createMachine(
  config: Config,
  hardware: readonly Device[],
  engineDevices: readonly EngineDevice[] | undefined,
  watch: DeviceWatch,
  lent: LentDevices = noLentDevices,
): Machine {
  const { urls, variable } = attachedServers(config)
  const { devices: own, problems } =
    urls.length > 0
      ? { devices: serverDevices(urls, variable), problems: [] }
      : workerDevices({
          hardware,
          engineDevices,
          chosen: config.devices,
          settings: config.gpuInstances,
          vulkanVisible: process.env['GGML_VK_VISIBLE_DEVICES'],
        })
  const devices = [...own, ...lent.devices]
  const gpus = devices
    .filter(({ kind }) => kind === 'gpu')
    .map(({ id, device: { vendor, name } }) => ({ id, vendor, name }))
  return {
    devices,
    problems: [...problems, ...lent.problems, ...unlistedGpus(config.multiGpu, gpus).problems],
    facts() {
      const { availableMemoryBytes } = readHost()
      const { avoid } = unlistedGpus(config.multiGpu, gpus)
      const rooms = devices.map((worker) => {
        const room = roomOf(worker, config, watch, availableMemoryBytes)
        return avoid.includes(worker.id) ? { ...room, accepts: () => false } : room
      })
      return { devices: rooms, limitBytes: config.memoryLimitBytes ?? Number.POSITIVE_INFINITY }
    },
  }
}

function roomOf(
  worker: WorkerDevice,
  config: Config,
  watch: DeviceWatch,
  hostAvailableBytes: number,
): DeviceRoom {
  const { id, kind, fallback } = worker
  const most = usableBytes(worker, config.gpuOverheadBytes)
  const heldBackBytes = config.gpuOverheadBytes + (worker.settings.reserveBytes ?? 0)
  const free = kind === 'cpu' ? hostAvailableBytes : freeBytesOf(watch.sensors(id), most, heldBackBytes)
  return {
    id,
    // Without sensors, what was free at the start is all that there is.
    limitBytes: kind === 'gpu' && free === undefined ? Math.min(most, worker.memoryFreeBytes) : most,
    availableBytes: free ?? most,
    pool: kind === 'cpu' ? 'host' : id,
    maxInstances: instancesPerDevice(worker),
    maxReplicas: replicasPerDevice(worker),
    speed: speedOf(worker),
    mayFail: kind !== 'cpu',
    fallback,
    degraded: watch.degraded(id),
    spreads: kind !== 'server',
    accepts: (wish) => accepts(worker, wish, config),
  }
}

/** What of a memory's peak an engine sees: what is measured stands beside what a table says. */
const usualEfficiency = 0.8

function speedOf({ kind, device }: WorkerDevice): number {
  const fact = device.facts.bandwidthGBs
  if (fact === undefined) return assumedBandwidthGBs[kind]
  return fact.from === 'measured' ? fact.value : fact.value * usualEfficiency
}

/** What others have not taken, less what is to be left to them. */
function freeBytesOf(
  sensors: Sensors | undefined,
  usableBytes: number,
  heldBackBytes: number,
): number | undefined {
  const { memoryTotalBytes, memoryUsedBytes } = sensors ?? {}
  if (memoryTotalBytes === undefined || memoryUsedBytes === undefined) return undefined
  return Math.max(0, Math.min(usableBytes, memoryTotalBytes - memoryUsedBytes - heldBackBytes))
}

function accepts(worker: WorkerDevice, wish: LoadWish, config: Config): boolean {
  const { gpuLayers, mainGpu } = wish.options
  if (gpuLayers === 0 && worker.kind === 'gpu') return false
  if (worker.kind === 'server' && !isServed(worker.id, wish.modelName, config)) return false
  if (mainGpu !== undefined && worker.kind === 'gpu' && (worker.device.index ?? mainGpu) !== mainGpu)
    return false
  if (worker.settings.models && !worker.settings.models.some((name) => isModel(name, wish.modelName))) {
    return false
  }
  const pins = Object.entries(config.pins ?? {}).find(([name]) => isModel(name, wish.modelName))?.[1]
  return pins?.some(({ selector }) => selects(selector, worker)) ?? true
}

/** Whether a server that runs already may have a model: one that is there for another has not. */
function isServed(url: string, modelName: string, { openaiUrls }: Config): boolean {
  const models = openaiUrls.flatMap((server) => (server.url === url ? (server.model ?? modelName) : []))
  return models.length === 0 || models.some((model) => isModel(model, modelName))
}

/** `llama3.2` means `llama3.2:latest`, as it does everywhere. */
function isModel(written: string, modelName: string): boolean {
  const full = (name: string) => (name.includes(':') ? name : `${name}:latest`).toLowerCase()
  return full(written) === full(modelName)
}
