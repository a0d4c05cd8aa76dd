/**
 * What the probes say and what the inventory makes of it. A probe reads tools or kernel files into `DeviceReading`s;
 * the inventory merges the readings of one card into one `Device`. A value that a tool leaves out, or marks as not
 * available, is absent: nothing here is ever NaN, and no 0 stands for "unknown".
 */

export type Vendor = 'nvidia' | 'amd' | 'intel' | 'apple' | 'cpu' | 'other'

/**
 * `discrete`: a card with memory of its own; `integrated`: it shares the host's memory; `partition`: a part of a
 * card that takes its own work (MIG, CPX, a tile); `cpu`: cores and the memory beside them.
 */
export type DeviceKind = 'discrete' | 'integrated' | 'partition' | 'cpu'

/**
 * `ok`; `lost`: fell off the bus or needs a reset; `error`: the driver sees it and cannot talk to it;
 * `no_permission`: it is there, this user may not use it; `hidden`: a `*_VISIBLE_DEVICES` variable hides it;
 * `excluded`: the configuration does.
 */
export type DeviceState = 'ok' | 'lost' | 'error' | 'no_permission' | 'hidden' | 'excluded'

/** A PCIe link: what was negotiated now, and what card and slot could do together. */
export interface PcieLink {
  generation?: number
  width?: number
  maxGeneration?: number
  maxWidth?: number
}

/** Why a card runs slower than it could; `idle` and `application_clocks` are no fault. */
export type ThrottleReason =
  | 'idle'
  | 'application_clocks'
  | 'power_cap'
  | 'hw_slowdown'
  | 'hw_thermal'
  | 'hw_power_brake'
  | 'sw_thermal'
  | 'sync_boost'
  | 'display_clocks'
  | 'current_limit'
  | 'voltage'
  | 'other'

export interface DeviceProcess {
  pid: number
  name?: string
  memoryBytes?: number
  kind?: 'compute' | 'graphics' | 'both'
}

/** Memory errors since the counters were reset, and what became of the rows or pages. */
export interface EccCounts {
  /** The driver's switch, where the card has one. */
  enabled?: boolean
  corrected?: number
  uncorrected?: number
  /** Pages or rows that were taken out of use. */
  retired?: number
  /** A repair waits for a reset. */
  pending?: boolean
  /** A repair failed: the card wants replacing. */
  remapFailed?: boolean
}

/** One look at a card's sensors. */
export interface Sensors {
  /** Share of time in which the card computed, 0 to 1. */
  utilization?: number
  /** Share of time in which its memory was read or written, 0 to 1. */
  memoryUtilization?: number
  memoryUsedBytes?: number
  memoryTotalBytes?: number
  temperatureC?: number
  hotspotC?: number
  memoryTemperatureC?: number
  /** From here on the card slows itself down; from `shutdownC` on it goes off. */
  slowdownC?: number
  shutdownC?: number
  powerWatts?: number
  powerLimitWatts?: number
  graphicsClockMhz?: number
  graphicsClockMaxMhz?: number
  memoryClockMhz?: number
  memoryClockMaxMhz?: number
  /** Empty: not throttled. Absent: not told. */
  throttle?: ThrottleReason[]
  ecc?: EccCounts
  /** Fan speed as a share of its fastest, 0 to 1. */
  fanRatio?: number
  fanRpm?: number
  pcie?: PcieLink
  pcieReplays?: number
  processes?: DeviceProcess[]
}

/** What one look of one tool says of one card. */
export interface DeviceReading {
  vendor: Vendor
  /** The tool or folder: `nvidia-smi -q -x`, `rocm-smi`, `sysfs`. */
  source: string
  /** The card's number in this tool. */
  index?: number
  /** As the vendor gives it: `GPU-…`, `MIG-…`, AMD's unique id `0x…`, Intel's UUID. */
  uuid?: string
  /** `dddd:bb:dd.f` in lower case, the domain of four digits or more; see `pciAddressOf`. */
  pciAddress?: string
  /** `0x2684`, lower case, four digits. */
  pciDeviceId?: string
  pciVendorId?: string
  serial?: string
  name?: string
  kind?: DeviceKind
  /** Of a partition: the card it is a part of, by what this tool says of that. */
  parent?: { uuid?: string; pciAddress?: string; index?: number }
  /** `1g.10gb`, `CPX`, `tile 0`. */
  partitionProfile?: string
  /** Whether the card's partition mode (MIG) is on: then the card itself takes no work, its partitions do. */
  partitioned?: boolean
  memoryTotalBytes?: number
  memoryFreeBytes?: number
  driverVersion?: string
  /** The newest runtime that the driver takes: `CUDA 13.1`, `ROCm 6.4.0`, `Metal 3`. */
  runtime?: string
  architecture?: string
  /** NVIDIA: `8.9`. */
  computeCapability?: string
  /** AMD: `gfx1100`. */
  gfx?: string
  /** Streaming multiprocessors, compute units, execution units or GPU cores. */
  computeUnits?: number
  vbios?: string
  numaNode?: number
  pcie?: PcieLink
  state?: DeviceState
  /** Why it is not `ok`, in the tool's words. */
  stateReason?: string
  /** NVIDIA: the driver stays loaded while nobody uses the card. */
  persistence?: boolean
  sensors?: Sensors
}

/**
 * How two devices are joined, nearest first. `nvlink`, `xgmi`, `xelink`: the vendor's own bridge; `same_board`: parts
 * of one card; `pix`: one PCIe switch; `pxb`: several switches; `phb`: the host bridge of one CPU; `node`: host bridges
 * of one NUMA node; `sys`: between NUMA nodes.
 */
export type LinkClass =
  | 'nvlink'
  | 'xgmi'
  | 'xelink'
  | 'same_board'
  | 'pix'
  | 'pxb'
  | 'phb'
  | 'node'
  | 'sys'
  | 'unknown'

/** What a tool says of the way between two of its cards; symmetric unless it is told both ways. */
export interface LinkReading {
  /** Numbers or addresses of the cards as the same tool gives them; `tile`: the part of the card that it names. */
  a: { index?: number; pciAddress?: string; tile?: number }
  b: { index?: number; pciAddress?: string; tile?: number }
  class: LinkClass
  /** The cell as it was written: `NV18`, `PHB`, `XGMI`. */
  label: string
  /** Bonded links of the vendor's own bridge. */
  links?: number
  /** Each way, where it is told. */
  gbPerSecond?: number
  /** Whether one card may read the other's memory. */
  peerAccess?: boolean
}

/** A row of a tool's topology: where a card stands. */
export interface PlaceReading {
  index?: number
  pciAddress?: string
  numaNode?: number
  /** A CPU list: `0-15,32-47`. */
  cpuAffinity?: string
}

/** All that one text of a tool gave. */
export interface Reading {
  /** `nvidia-smi -q -x`, `xpu-smi discovery -j`, ... */
  tool: string
  devices: DeviceReading[]
  links: LinkReading[]
  places: PlaceReading[]
  /** What a person should know: cut tables, cards that did not answer. */
  notes: string[]
}

/** A text read, or why it was not. A parser never throws for any text. */
export type ReadResult = { ok: true; reading: Reading } | { ok: false; reason: string }

/** The machine as probes see it; a test replays a recorded one. */
export interface HostSystem {
  platform: NodeJS.Platform
  env: Readonly<Record<string, string | undefined>>
  /**
   * Runs a program for at most `timeoutMs`. `missing`: there is none of that name; `timeout`: it was ended. `stdout`
   * holds what it printed until then.
   */
  run(program: string, args: readonly string[], timeoutMs: number): Promise<ProgramResult>
  /** A file's text (at most 1 MiB of it); undefined where it does not exist or may not be read. */
  readText(path: string): string | undefined
  /** Names in a folder, sorted; empty where it does not exist or may not be read. */
  list(path: string): string[]
  /** The absolute path that a link leads to, or the path itself; undefined where there is nothing. */
  realPath(path: string): string | undefined
  /** Whether this user may open the file for reading and writing; undefined where it does not exist. */
  mayUse(path: string): boolean | undefined
}

export interface ProgramResult {
  outcome: 'ok' | 'failed' | 'missing' | 'timeout'
  stdout: string
  stderr: string
  exitCode?: number
}

/** What a probe found, with what it could not. */
export interface ProbeResult {
  vendor: Vendor
  devices: DeviceReading[]
  links: LinkReading[]
  places: PlaceReading[]
  /** Each as one readable text with what to do about it: a tool that failed, a driver without its library. */
  problems: string[]
}

/** One a vendor. Nothing found is an empty list, not an error. */
export interface DeviceProbe {
  readonly vendor: Vendor
  /** Everything, slowly (at most about two seconds a program). Never throws. */
  list(system: HostSystem): Promise<ProbeResult>
  /**
   * The sensors of all its cards, by any of `uuid`, `pciAddress`, `index` that the readings carry. Cheap enough for
   * once a second. Never throws: a card that does not answer is a reading with a `state`.
   */
  sample(system: HostSystem): Promise<DeviceReading[]>
}

/** Reads one kind of text; `matches` is a quick look whether it is that kind. */
export interface OutputReader {
  /** `nvidia-smi -q -x`, `rocm-smi --json`, ... */
  tool: string
  matches(text: string): boolean
  read(text: string): ReadResult
}

/** A number with where it comes from. */
export interface Fact {
  value: number
  /** `tool`: the card said it; `table`: the specification table; `measured`: through a real engine; `derived`: worked out. */
  from: 'tool' | 'table' | 'measured' | 'derived'
  /** The source itself doubts it. */
  uncertain?: boolean
}

export type Precision = 'fp32' | 'fp16' | 'bf16' | 'fp8' | 'int8' | 'fp4'

/** What a card can do, most of which it does not tell itself. */
export interface DeviceFacts {
  /** Peak of the memory, 10^9 bytes a second. */
  bandwidthGBs?: Fact
  /** Dense peak without sparsity, 10^12 operations a second. */
  tflops: Partial<Record<Precision, Fact>>
  /** Board power by design. */
  tdpWatts?: Fact
  /** The vendor's own bridge: `NVLink 4`, and 10^9 bytes a second of one card, both ways together. */
  interconnect?: { name: string; gbPerSecond?: Fact }
  /** The PCIe generation and lanes that the card was built for. */
  pcie?: { generation: number; width: number }
  /** Absent: not known. */
  supports: Partial<Record<'fp16' | 'fp16Fast' | 'bf16' | 'fp8' | 'fp4' | 'int8', boolean>>
  /** The entry of the table that these facts come from. */
  tableEntry?: string
}

/** One device of this machine, from all that was said of it. */
export interface Device {
  /** The same after reboots and reordering: the UUID, else `pci:0000:3b:00.0`, else `cpu:0`. */
  id: string
  vendor: Vendor
  kind: DeviceKind
  name: string
  state: DeviceState
  /** Why it is not `ok`, and what to do. */
  stateReason?: string
  /** Tools and folders that saw it. */
  sources: string[]
  /** The vendor's own number of it, which may change from boot to boot. */
  index?: number
  uuid?: string
  pciAddress?: string
  pciDeviceId?: string
  /** Of a partition: the card. */
  parentId?: string
  partitionProfile?: string
  /** The card is cut into partitions, and they take its work. */
  partitioned?: boolean
  memoryTotalBytes: number
  memoryFreeBytes?: number
  /** It shares the host's memory. */
  unifiedMemory: boolean
  driverVersion?: string
  runtime?: string
  architecture?: string
  computeCapability?: string
  gfx?: string
  computeUnits?: number
  numaNode?: number
  pcie?: PcieLink
  persistence?: boolean
  /** CPU device: the cores that are its own. Of a GPU: the cores near it, where they are told. */
  cores?: number[]
  facts: DeviceFacts
  /** As seen when it was found. */
  sensors?: Sensors
}

/** The way between two devices. */
export interface Link {
  a: string
  b: string
  class: LinkClass
  /** As the tool wrote it (`NV12`), or as Drover names the class (`PHB`, `SYS`). */
  label: string
  links?: number
  /** Each way, 10^9 bytes a second. */
  gbPerSecond?: Fact
  peerAccess?: boolean
}

/** Devices and the links between each two of them. */
export interface Topology {
  devices: readonly Device[]
  /** Each pair once, `a` before `b` in the order of `devices`. */
  links: readonly Link[]
}

/** Something that happened to a device between two looks at its sensors. */
export interface DeviceEvent {
  atMs: number
  kind: 'xid' | 'sxid' | 'fallen_off_bus' | 'driver_reset' | 'other'
  /** XID number. */
  code?: number
  pciAddress?: string
  text: string
}

export type HealthState = 'healthy' | 'degraded' | 'failing' | 'lost'

/** A verdict over a device, with every reason for it, the gravest first. */
export interface Health {
  state: HealthState
  reasons: HealthReason[]
}

export interface HealthReason {
  /** For metrics and tests: `hot`, `throttled`, `slow_link`, `ecc_corrected`, `ecc_uncorrected`, `xid`, `lost`, ... */
  code: string
  state: Exclude<HealthState, 'healthy'>
  /** What is seen, with its value and its limit. */
  text: string
  /** What to do about it. */
  advice?: string
}
