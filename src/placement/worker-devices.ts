/**
 * Which of the machine's devices the engine can put models on, and how. The hardware is matched with what the engine
 * itself lists: its numbers follow the order of enumeration, so a card is found by its kind of backend and its place
 * among the cards of its vendor, or by name. Pure.
 */
import type { DeviceEntry, DeviceSelector, DeviceSettings } from '../config/index.ts'
import type { EngineDevice, NetworkFacts } from '../engines/index.ts'
import { type Device, pciAddressOf, type Vendor, visibilityOf } from '../hardware/index.ts'

/** A device that instances can be started on. */
export interface WorkerDevice {
  id: string
  device: Device
  /** `server`: an engine that runs already, with whatever devices it has; `rpc`: a device that another machine lends. */
  kind: 'gpu' | 'cpu' | 'server' | 'rpc'
  /** Of an `rpc` device: where its machine is reached, its number there, and how far away it was measured to be. */
  rpc?: { address: string; position: number; network?: NetworkFacts }
  /** What the engine calls it, where it lists devices. */
  engineName?: string
  /** Variables by which a process or server is told that it is this device. */
  env?: Readonly<Record<string, string>>
  /** Of Vulkan, for the visibility variable. */
  vulkanIndex?: number
  memoryTotalBytes: number
  memoryFreeBytes: number
  settings: DeviceSettings
  /** Used where no other is left. */
  fallback: boolean
}

export interface WorkerDevices {
  devices: WorkerDevice[]
  /** Cards that the engine cannot use, or that settings name and nobody has: each with what to do. */
  problems: string[]
}

export interface WorkerDeviceRequest {
  /** GPUs, and the CPU as it is cut into devices. */
  hardware: readonly Device[]
  /** What the engine lists; undefined for one that lists nothing and takes any card (Ollama). */
  engineDevices: readonly EngineDevice[] | undefined
  /** The devices to use; undefined: every GPU, and the CPU where there is none. */
  chosen?: readonly DeviceEntry[] | undefined
  /** Settings of single devices. */
  settings?: readonly DeviceEntry[] | undefined
  /** `GGML_VK_VISIBLE_DEVICES` of this process, which renumbers what Vulkan lists. */
  vulkanVisible?: string | undefined
}

export function workerDevices(request: WorkerDeviceRequest): WorkerDevices {
  const problems: string[] = []
  const gpus = gpusOf(request, problems)
  const cpus = request.hardware
    .filter(({ kind }) => kind === 'cpu')
    .map(
      (device): WorkerDevice => ({
        id: device.id,
        device,
        kind: 'cpu',
        memoryTotalBytes: device.memoryTotalBytes,
        memoryFreeBytes: device.memoryTotalBytes,
        settings: {},
        fallback: false,
      }),
    )
  const all = [...gpus, ...cpus].map((worker) => ({
    ...worker,
    settings: settingsOf(worker, [...(request.chosen ?? []), ...(request.settings ?? [])]),
  }))
  problems.push(...strangers(all, request))
  const included = all.filter(({ settings }) => !settings.exclude)
  const named = (worker: WorkerDevice) => request.chosen?.some(({ selector }) => selects(selector, worker))
  const used = included.filter(
    (worker) => worker.kind === 'cpu' || request.chosen === undefined || named(worker),
  )
  const hasGpu = used.some(({ kind }) => kind === 'gpu')
  const devices = used.map((worker) => ({
    ...worker,
    fallback: worker.kind === 'cpu' && hasGpu && !named(worker),
  }))
  return { devices, problems }
}

function gpusOf(request: WorkerDeviceRequest, problems: string[]): WorkerDevice[] {
  const cards = request.hardware.filter(({ kind, partitioned }) => kind !== 'cpu' && !partitioned)
  const working = cards.filter(({ state }) => state === 'ok')
  const { engineDevices } = request
  if (engineDevices === undefined) return working.map((device) => workerOf(device))
  const listed = engineDevices.filter(({ name }) => !name.startsWith('RPC'))
  const matched = new Map<EngineDevice, Device>()
  for (const device of working) {
    const found = match(device, working, listed, matched)
    if (found) matched.set(found, device)
    else if (device.kind !== 'integrated') problems.push(unusable(device, listed))
  }
  const known = [...matched].map(([engineDevice, device]) =>
    workerOf(device, engineDevice, vulkanIndexOf(engineDevice, request.vulkanVisible)),
  )
  const unknown = listed
    .filter((one) => !matched.has(one) && !isDouble(one, [...matched.values()]))
    .map((one) => workerOf(strangerOf(one), one, vulkanIndexOf(one, request.vulkanVisible)))
  return [...known, ...unknown].toSorted(
    (a, b) => request.hardware.indexOf(a.device) - request.hardware.indexOf(b.device),
  )
}

const backends: Readonly<Record<string, Vendor>> = {
  CUDA: 'nvidia',
  ROCm: 'amd',
  HIP: 'amd',
  SYCL: 'intel',
  Metal: 'apple',
  MTL: 'apple',
}

function backendOf({ name }: EngineDevice): string {
  return /^[A-Za-z]+/.exec(name)?.[0] ?? ''
}

/** The engine's entry for a card: of the vendor's own backend where there is one, else of Vulkan by name. */
function match(
  device: Device,
  working: readonly Device[],
  listed: readonly EngineDevice[],
  taken: ReadonlyMap<EngineDevice, Device>,
): EngineDevice | undefined {
  const own = listed.filter((one) => backends[backendOf(one)] === device.vendor)
  const position = working.filter(({ vendor }) => vendor === device.vendor).indexOf(device)
  const byPlace = own.length > 0 ? own[position] : undefined
  if (byPlace && !taken.has(byPlace)) return byPlace
  return listed.find(
    (one) => backendOf(one) === 'Vulkan' && !taken.has(one) && sameName(one.description, device.name),
  )
}

/** `NVIDIA GeForce RTX 3090`, `AMD Radeon RX 7900 XTX (RADV NAVI31)`: what is in brackets is the driver's. */
function sameName(a: string, b: string): boolean {
  const plain = (text: string) =>
    text
      .replace(/\(.*?\)/g, '')
      .toLowerCase()
      .replace(/nvidia|amd|intel|graphics/g, '')
      .replace(/[^a-z0-9]/g, '')
  const [first, second] = [plain(a), plain(b)]
  return first !== '' && second !== '' && (first.includes(second) || second.includes(first))
}

/** The same card once more, under another backend of the engine. */
function isDouble(one: EngineDevice, matched: readonly Device[]): boolean {
  return matched.some((device) => sameName(one.description, device.name))
}

/** A device that only the engine knows of. */
function strangerOf({ name, description, totalBytes }: EngineDevice): Device {
  return {
    id: `engine:${name}`,
    vendor: 'other',
    kind: 'discrete',
    name: description,
    state: 'ok',
    sources: ['engine'],
    memoryTotalBytes: totalBytes,
    unifiedMemory: false,
    facts: { tflops: {}, supports: {} },
  }
}

function vulkanIndexOf(one: EngineDevice, visible: string | undefined): number | undefined {
  if (backendOf(one) !== 'Vulkan') return undefined
  const position = Number(/\d+$/.exec(one.name)?.[0] ?? 0)
  const renumbered = visible?.split(',')[position]
  return renumbered === undefined || renumbered.trim() === '' ? position : Number(renumbered)
}

function workerOf(device: Device, engineDevice?: EngineDevice, vulkanIndex?: number): WorkerDevice {
  const memoryTotalBytes = engineDevice?.totalBytes || device.memoryTotalBytes
  return {
    id: device.id,
    device,
    kind: 'gpu',
    memoryTotalBytes,
    memoryFreeBytes: engineDevice?.freeBytes || device.memoryFreeBytes || memoryTotalBytes,
    settings: {},
    fallback: false,
    ...(engineDevice && { engineName: engineDevice.name }),
    ...(vulkanIndex !== undefined && { vulkanIndex }),
  }
}

function unusable({ name, vendor }: Device, listed: readonly EngineDevice[]): string {
  const backend = { nvidia: 'CUDA', amd: 'ROCm', intel: 'SYCL', apple: 'Metal', other: 'Vulkan', cpu: '' }[
    vendor
  ]
  const has = listed.map((one) => one.name).join(', ') || 'no GPU'
  return (
    `${name}: the engine does not see it (it lists ${has}). It was built without ${backend} and Vulkan, or the ` +
    "driver's libraries are missing: install an engine built for this card, or see `drover doctor`"
  )
}

/** Servers that run already, as devices: each takes what models it has memory for, and is chosen by `variable`. */
export function serverDevices(urls: readonly string[], variable = 'OLLAMA_HOST'): WorkerDevice[] {
  return urls.map((url) => ({
    id: url,
    device: {
      id: url,
      vendor: 'other',
      kind: 'discrete',
      name: `server at ${url}`,
      state: 'ok',
      sources: ['configuration'],
      memoryTotalBytes: 0,
      unifiedMemory: false,
      facts: { tflops: {}, supports: {} },
    },
    kind: 'server',
    env: { [variable]: url },
    // It knows itself what fits, and refuses what does not.
    memoryTotalBytes: Number.MAX_SAFE_INTEGER,
    memoryFreeBytes: Number.MAX_SAFE_INTEGER,
    settings: {},
    fallback: false,
  }))
}

/** Whether a selector means this device. Numbers are the vendor tools' own, and unique where there is one vendor. */
export function selects(
  selector: DeviceSelector,
  { device, kind }: Pick<WorkerDevice, 'device' | 'kind'>,
): boolean {
  switch (selector.kind) {
    case 'gpus':
      return kind === 'gpu'
    case 'numa':
      return device.id.startsWith('numa:')
    case 'cpu': {
      if (kind !== 'cpu') return false
      if (selector.cores === undefined) return true
      const { cores } = selector
      return device.cores?.length === cores.length && cores.every((core) => device.cores?.includes(core))
    }
    case 'gpu':
      return kind === 'gpu' && isNamed(device, selector.name)
  }
}

function isNamed({ id, uuid, pciAddress, index, name }: Device, wanted: string): boolean {
  if (/^\d+$/.test(wanted)) return index === Number(wanted)
  const lower = wanted.toLowerCase()
  return (
    id.toLowerCase() === lower ||
    uuid?.toLowerCase() === lower ||
    name.toLowerCase() === lower ||
    (pciAddress !== undefined && pciAddressOf(wanted) === pciAddress)
  )
}

function settingsOf(worker: WorkerDevice, entries: readonly DeviceEntry[]): DeviceSettings {
  const own = entries.filter(({ selector }) => selects(selector, worker))
  return Object.assign({}, ...own.map(({ settings }) => settings))
}

/** Entries that name a GPU which is not there: a misspelt UUID would otherwise change nothing in silence. */
function strangers(
  workers: readonly WorkerDevice[],
  { chosen = [], settings = [] }: WorkerDeviceRequest,
): string[] {
  return [...chosen, ...settings].flatMap(({ selector }) =>
    selector.kind === 'gpu' && !workers.some((worker) => selects(selector, worker))
      ? [`devices: there is no usable GPU "${selector.name}": see \`drover gpus\` for the names`]
      : [],
  )
}

/** The environment and the cores of a process that is to use these devices and no other. */
export function confinementOf(devices: readonly WorkerDevice[]): {
  env: Record<string, string>
  cores?: number[]
} {
  const own: Record<string, string> = Object.assign({}, ...devices.map(({ env }) => env ?? {}))
  if (devices.some(({ kind }) => kind === 'server')) return { env: own }
  const gpus = devices.filter(({ kind }) => kind === 'gpu')
  const env = visibilityOf(
    gpus.map(({ device, vulkanIndex, engineName }) => ({
      // A card that is used by Vulkan is hidden from the vendor's own runtime.
      vendor: engineName?.startsWith('Vulkan') ? 'other' : device.vendor,
      ...(device.uuid !== undefined && { uuid: device.uuid }),
      ...(device.index !== undefined && { index: device.index }),
      ...(vulkanIndex !== undefined && { vulkanIndex }),
    })),
  )
  if (gpus.length > 0) return { env }
  const cores = devices.flatMap(({ device }) => device.cores ?? [])
  const whole = devices.some(({ device }) => device.cores === undefined)
  return { env, ...(!whole && cores.length > 0 && { cores }) }
}
