import type { DeviceReading, OutputReader, PcieLink } from '../contract.ts'
import { widthOf } from '../pci/link.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciAddressOf, pciIdOf, present } from '../units.ts'
import { gfxOf, nameOf } from './identity.ts'
import { amdReading, filled, sensorsOf, shareOf, temperatures } from './shape.ts'
import { throttleOfLimiter } from './throttle.ts'
import { at, isTree, jsonOf, type Tree, textAt, treesOf } from './tree.ts'

const tool = 'amdgpu_top'

/** `amdgpu_top -J` (a look, with its cards in `devices`) and `amdgpu_top -d -J` (all facts, a list of cards). */
export const amdgpuTopReader: OutputReader = {
  tool,
  matches: (text) =>
    /"(ASIC Name|DevicePath)"\s*:/.test(text) && /"(VRAM|Sensors|gpu_activity)"\s*:/.test(text),
  read(text) {
    const json = jsonOf(text)
    if (json === undefined) return refused('no JSON: it ends too early, or something was printed into it')
    const cards = treesOf(isTree(json) && at(json, 'devices') !== undefined ? at(json, 'devices') : json)
    const devices = cards.map((card, index) =>
      readCard(isTree(card['info']) ? { ...card['info'], ...card } : card, index),
    )
    return devices.length > 0 ? readingOf(tool, { devices }) : refused('no card is in it')
  },
}

function readCard(card: Tree, index: number): DeviceReading {
  const number = (...paths: string[]) => numberOf(textAt(card, ...paths))
  const memoryTotalBytes =
    bytesOf(textAt(card, 'vram_size'), 'B') ?? bytesOf(textAt(card, 'vram.total_vram'), 'MiB')
  const memoryUsedBytes =
    bytesOf(textAt(card, 'vram_usage_size'), 'B') ?? bytesOf(textAt(card, 'vram.total_vram_usage'), 'MiB')
  const type = textAt(card, 'gpu_type')
  const id = number('deviceid', 'devicepath.deviceid')
  const runtime = textAt(card, 'rocm_version')
  return amdReading(tool, {
    index,
    pciAddress: pciAddressOf(textAt(card, 'pci', 'devicepath.pci')),
    pciDeviceId: id === undefined ? undefined : pciIdOf(id.toString(16).padStart(4, '0')),
    name: nameOf(textAt(card, 'devicename', 'devicepath.devicename')),
    kind: type === undefined ? undefined : /apu/i.test(type) ? 'integrated' : 'discrete',
    gfx: gfxOf(textAt(card, 'gfx_target_version')),
    architecture: textAt(card, 'gpu_family'),
    computeUnits: number('total_compute_unit'),
    vbios: textAt(card, 'vbios.pn'),
    runtime: runtime === undefined ? undefined : `ROCm ${runtime}`,
    memoryTotalBytes,
    memoryFreeBytes:
      memoryTotalBytes === undefined || memoryUsedBytes === undefined
        ? undefined
        : Math.max(0, memoryTotalBytes - memoryUsedBytes),
    pcie: linkOf(card),
    sensors: sensorsOf({
      utilization: shareOf(number('gpu_activity.gfx')),
      memoryUtilization: shareOf(number('gpu_activity.memory')),
      memoryUsedBytes,
      memoryTotalBytes,
      ...temperatures(
        number('sensors.edge_temperature'),
        number('sensors.junction_temperature'),
        number('sensors.memory_temperature'),
      ),
      slowdownC: number('sensors.edge_critical_temperature', 'sensors.junction_critical_temperature'),
      shutdownC: number('sensors.edge_emergency_temperature', 'sensors.junction_emergency_temperature'),
      // The power of an APU is that of the processor too.
      powerWatts: /apu/i.test(type ?? '')
        ? undefined
        : number('sensors.average_power', 'sensors.input_power'),
      powerLimitWatts: number('power_cap.current'),
      graphicsClockMhz: number('sensors.gfx_sclk'),
      graphicsClockMaxMhz: number('gpu_clock.max'),
      memoryClockMhz: number('sensors.gfx_mclk'),
      memoryClockMaxMhz: number('memory_clock.max'),
      throttle: throttleOf(card),
      ...fanOf(card),
      pcie: filled(
        present({
          generation: generation(card, 'sensors.pcie_link_speed'),
          width: width(card, 'sensors.pcie_link_speed'),
        }),
      ),
    }),
  })
}

function generation(card: Tree, path: string): number | undefined {
  const value = numberOf(textAt(card, `${path}.gen`))
  return value !== undefined && value >= 1 && value <= 7 ? value : undefined
}

function width(card: Tree, path: string): number | undefined {
  return widthOf(textAt(card, `${path}.width`))
}

function linkOf(card: Tree): PcieLink | undefined {
  return filled(
    present({
      generation: generation(card, 'sensors.pcie_link_speed'),
      width: width(card, 'sensors.pcie_link_speed'),
      maxGeneration: generation(card, 'pcie_link.max_dpm_link') ?? generation(card, 'pcie_link.max_gpu_link'),
      maxWidth: width(card, 'pcie_link.max_dpm_link') ?? width(card, 'pcie_link.max_gpu_link'),
    }),
  )
}

function fanOf(card: Tree) {
  const [rpm, fastest] = [numberOf(textAt(card, 'sensors.fan')), numberOf(textAt(card, 'sensors.fan_max'))]
  const fanRatio = rpm !== undefined && fastest ? Math.min(1, rpm / fastest) : undefined
  return { fanRpm: rpm, fanRatio }
}

function throttleOf(card: Tree) {
  const limiters = at(card, 'gpu_metrics.throttle_status')
  if (!Array.isArray(limiters)) return undefined
  return [...new Set(limiters.flatMap((name) => (typeof name === 'string' ? throttleOfLimiter(name) : [])))]
}
