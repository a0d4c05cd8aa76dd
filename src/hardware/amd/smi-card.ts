/**
 * What `amd-smi static`, `list`, `metric`, `process` and `monitor` say of one card, from ROCm 6.0 to 7.1, whether as
 * JSON or as text: both come as a `Tree`. Of several names of one value the newest stands first.
 */
import type { DeviceProcess, DeviceReading, EccCounts, PcieLink, PlaceReading, Sensors } from '../contract.ts'
import { generationOf, widthOf } from '../pci/link.ts'
import { bytesOf, numberOf, pciAddressOf, pciIdOf, present } from '../units.ts'
import { cpuListOf } from './cpu-list.ts'
import {
  cardAddressOf,
  cutsCard,
  driverVersionOf,
  gfxOf,
  isIntegrated,
  nameOf,
  numaNodeOf,
  serialOf,
  uniqueIdOf,
} from './identity.ts'
import { amdReading, filled, sensorsOf, shareOf, temperatures } from './shape.ts'
import { throttleOf } from './throttle.ts'
import { at, isTree, type Tree, textAt, treesOf } from './tree.ts'

/** One card's tree as a reading; `tool` is the command that printed it. */
export function readCard(tree: Tree, tool: string): DeviceReading {
  const pciAddress = pciAddressOf(textAt(tree, 'bus.bdf', 'bdf'))
  const mode = textAt(tree, 'partition.accelerator_partition', 'partition.compute_partition')
  const isPart = cutsCard(mode)
  const identity = {
    pciDeviceId: pciIdOf(textAt(tree, 'asic.device_id')),
    gfx: gfxOf(textAt(tree, 'asic.target_graphics_version')),
    name: nameOf(textAt(tree, 'asic.market_name'), textAt(tree, 'board.product_name')),
  }
  const told = Object.values(identity).some((value) => value !== undefined)
  const kind = isPart ? 'partition' : told && isIntegrated(present(identity)) ? 'integrated' : undefined
  return amdReading(tool, {
    index: numberOf(textAt(tree, 'gpu')),
    uuid: uniqueIdOf(textAt(tree, 'hip_uuid', 'asic.asic_serial', 'uuid')),
    pciAddress,
    pciVendorId: pciIdOf(textAt(tree, 'asic.vendor_id')),
    ...identity,
    serial: serialOf(textAt(tree, 'board.product_serial')),
    kind: kind ?? (told ? 'discrete' : undefined),
    partitionProfile: isPart ? mode.toUpperCase() : undefined,
    partitioned: mode === undefined || isPart ? undefined : false,
    parent: isPart && pciAddress !== undefined ? { pciAddress: cardAddressOf(pciAddress) } : undefined,
    memoryTotalBytes: memory(tree, 'vram.size', 'vram.vram_size_mb', 'mem_usage.total_vram', 'vram_total'),
    memoryFreeBytes: memory(tree, 'mem_usage.free_vram', 'vram_free'),
    driverVersion: driverVersionOf(textAt(tree, 'driver.version', 'driver.driver_version')),
    computeUnits: numberOf(textAt(tree, 'asic.num_compute_units', 'asic.num_of_compute_units')),
    vbios: textAt(tree, ...vbios('part_number'), ...vbios('version'), ...vbios('name')),
    numaNode: numaNodeOf(textAt(tree, 'numa.node')),
    pcie: linkOf(tree),
    sensors: readSensors(tree),
  })
}

/** Where a card stands; undefined where its tree does not tell. */
export function readPlace(tree: Tree): PlaceReading | undefined {
  const numaNode = numaNodeOf(textAt(tree, 'numa.node'))
  const cpuAffinity = cpuListOf(at(tree, 'numa.cpu_affinity'))
  if (numaNode === undefined && cpuAffinity === undefined) return undefined
  const index = numberOf(textAt(tree, 'gpu'))
  return present({ index, pciAddress: pciAddressOf(textAt(tree, 'bus.bdf', 'bdf')), numaNode, cpuAffinity })
}

const vbios = (name: string) => [`vbios.${name}`, `ifwi.${name}`]
const number = (tree: Tree, ...paths: string[]) => numberOf(textAt(tree, ...paths))
const memory = (tree: Tree, ...paths: string[]) => bytesOf(textAt(tree, ...paths), 'MB')
const share = (tree: Tree, ...paths: string[]) => shareOf(number(tree, ...paths))

function linkOf(tree: Tree): PcieLink | undefined {
  const told = numberOf(textAt(tree, 'bus.pcie_interface_version'))
  return filled(
    present({
      generation: generation(textAt(tree, 'pcie.speed', 'pcie.current_speed')),
      width: widthOf(textAt(tree, 'pcie.width', 'pcie.current_width', 'pcie.current_lanes')),
      maxGeneration:
        generation(textAt(tree, 'bus.max_pcie_speed')) ??
        (told !== undefined && told >= 1 && told <= 7 ? told : undefined),
      maxWidth: widthOf(textAt(tree, 'bus.max_pcie_width', 'bus.max_pcie_lanes')),
    }),
  )
}

/** Older tools leave the unit out. */
function generation(speed: string | undefined): number | undefined {
  return generationOf(speed !== undefined && /^[\d.]+$/.test(speed) ? `${speed} GT/s` : speed)
}

function readSensors(tree: Tree): Sensors | undefined {
  const gfx = clockBlock(tree, 'gfx')
  const mem = clockBlock(tree, 'mem')
  const { generation: pcieGeneration, width } = linkOf(tree) ?? {}
  return sensorsOf({
    utilization: share(tree, 'usage.gfx_activity', 'usage.gfx_usage', 'gfx', 'gfx_util', 'gfx_utilization'),
    memoryUtilization: share(tree, 'usage.umc_activity', 'usage.mem_activity', 'mem', 'mem_util', 'umc'),
    memoryUsedBytes: memory(tree, 'mem_usage.used_vram', 'vram_used'),
    memoryTotalBytes: memory(tree, 'mem_usage.total_vram', 'vram_total'),
    ...temperatures(
      number(tree, 'temperature.edge', 'temperature.edge_temperature', 'edge_temperature'),
      number(
        tree,
        'temperature.hotspot',
        'temperature.hotspot_temperature',
        'hotspot_temperature',
        'gpu_temperature',
      ),
      number(
        tree,
        'temperature.mem',
        'temperature.vram',
        'temperature.mem_temperature',
        'memory_temperature',
      ),
    ),
    ...limits(tree),
    powerWatts: number(
      tree,
      'power.socket_power',
      'power.current_socket_power',
      'power.average_socket_power',
      'power_usage',
    ),
    powerLimitWatts: powerLimit(tree),
    graphicsClockMhz: number(gfx, 'clk', 'cur_clk') ?? number(tree, 'gfx_clock', 'gfx_clk'),
    graphicsClockMaxMhz: number(gfx, 'max_clk') ?? topLevel(tree, 'clock.sys'),
    memoryClockMhz: number(mem, 'clk', 'cur_clk') ?? number(tree, 'mem_clock', 'mem_clk'),
    memoryClockMaxMhz: number(mem, 'max_clk') ?? topLevel(tree, 'clock.mem'),
    throttle: throttleOf(tree),
    ecc: eccOf(tree),
    ...fanOf(tree),
    pcie: filled(present({ generation: pcieGeneration, width })),
    pcieReplays: number(tree, 'pcie.replay_count', 'pcie_replay'),
    processes: processesOf(tree),
  })
}

/** The limits of the sensor that gives the card's temperature: the edge, else the hottest point. */
function limits(tree: Tree): Pick<Sensors, 'slowdownC' | 'shutdownC'> {
  const limit = (what: string) =>
    number(
      tree,
      `limit.${what}_edge_temperature`,
      `limit.${what}_edge`,
      `limit.${what}_hotspot_temperature`,
      `limit.${what}_hotspot`,
    )
  return present({ slowdownC: limit('slowdown'), shutdownC: limit('shutdown') })
}

function powerLimit(tree: Tree): number | undefined {
  return number(
    tree,
    'limit.socket_power',
    'limit.ppt0.socket_power_limit',
    'limit.current_power',
    'limit.power_cap',
    'power_cap',
    'limit.max_power',
    'limit.ppt0.max_power_limit',
  )
}

/** The clock of the first die that tells one: `gfx_0`, `gfx_1`, ..., or `gfx` in older tools. */
function clockBlock(tree: Tree, name: string): Tree {
  const clocks = at(tree, 'clock')
  if (!isTree(clocks)) return {}
  const blocks = Object.entries(clocks).flatMap(([key, value]) =>
    isTree(value) && new RegExp(`^${name}(_\\d+)?$`).test(key) ? [value] : [],
  )
  return blocks.find((block) => number(block, 'clk', 'cur_clk') !== undefined) ?? {}
}

/** The fastest of the levels that `amd-smi static` lists. */
function topLevel(tree: Tree, path: string): number | undefined {
  const levels = at(tree, `${path}.frequency_levels`)
  if (!isTree(levels)) return undefined
  const clocks = Object.values(levels).flatMap((level) =>
    typeof level === 'string' ? (numberOf(level) ?? []) : [],
  )
  return clocks.length > 0 ? Math.max(...clocks) : undefined
}

function eccOf(tree: Tree): EccCounts | undefined {
  const state = textAt(tree, 'ras.ecc_block_state.umc')
  const exceeded = textAt(tree, 'ras.bad_page_threshold_exceeded')
  return filled(
    present({
      enabled: state === undefined ? undefined : /^enabled$/i.test(state),
      corrected:
        number(tree, 'ecc.total_correctable_count', 'ecc.correctable_count', 'single_bit_ecc') ??
        sumOfBlocks(tree, 'correctable_count'),
      uncorrected:
        number(tree, 'ecc.total_uncorrectable_count', 'ecc.uncorrectable_count', 'double_bit_ecc') ??
        sumOfBlocks(tree, 'uncorrectable_count'),
      // So many pages are bad that AMD takes the card back.
      remapFailed: exceeded === undefined ? undefined : /^true$/i.test(exceeded),
    }),
  )
}

function sumOfBlocks(tree: Tree, name: string): number | undefined {
  const blocks = at(tree, 'ecc_blocks')
  if (!isTree(blocks)) return undefined
  const counts = Object.values(blocks).flatMap((block) => (isTree(block) ? (number(block, name) ?? []) : []))
  return counts.length > 0 ? counts.reduce((sum, count) => sum + count, 0) : undefined
}

function fanOf(tree: Tree): Pick<Sensors, 'fanRatio' | 'fanRpm'> {
  const [speed, fastest] = [number(tree, 'fan.speed'), number(tree, 'fan.max')]
  const told = share(tree, 'fan.usage')
  const ratio = speed !== undefined && fastest ? Math.min(1, speed / fastest) : undefined
  return present({ fanRatio: told ?? ratio, fanRpm: number(tree, 'fan.rpm') })
}

/** Each process stands in a block of its own, in JSON within a list. */
function processesOf(tree: Tree): DeviceProcess[] | undefined {
  const list = [
    ...treesOf(at(tree, 'process_info')),
    ...treesOf(at(tree, 'process_list')).map((one) =>
      isTree(one['process_info']) ? one['process_info'] : one,
    ),
  ]
  const processes = list.flatMap((one) => {
    const pid = number(one, 'pid')
    if (pid === undefined || !Number.isSafeInteger(pid) || pid <= 0) return []
    const memoryBytes = bytesOf(textAt(one, 'memory_usage.vram_mem', 'vram_mem', 'mem_usage'), 'B')
    return [present({ pid, name: textAt(one, 'name'), memoryBytes })]
  })
  return processes.length > 0 ? processes : undefined
}
