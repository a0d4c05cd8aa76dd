/**
 * What rocm-smi says of one card, by the names in its JSON, CSV and text alike. They changed from ROCm 2 to 6: letters'
 * case, a colon at the end, `(c)` for `(C)`, `GPU ID` for `Device ID`.
 */
import type { DeviceReading, PcieLink, PlaceReading } from '../contract.ts'
import { generationOf, widthOf } from '../pci/link.ts'
import { isUnavailable, numberOf, pciAddressOf, pciIdOf, present } from '../units.ts'
import { cutsCard, gfxOf, isIntegrated, nameOf, numaNodeOf, serialOf, uniqueIdOf } from './identity.ts'
import { amdReading, filled, sensorsOf, shareOf, temperatures } from './shape.ts'

/** All that one report says of one card, by `rocmKeyOf` of its name. */
export type Facts = ReadonlyMap<string, string>

/** A name in one form: lower case, no colon at the end, single spaces. `Card Model` keeps its case: see below. */
export function rocmKeyOf(name: string): string {
  const plain = name.trim().replace(/:+$/, '').replace(/\s+/g, ' ')
  return plain === 'Card Model' ? 'Card Model' : plain.toLowerCase()
}

function told(facts: Facts, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = facts.get(name)?.trim()
    if (value !== undefined && !isUnavailable(value) && !/^(not supported|n\/a)/i.test(value)) return value
  }
  return undefined
}

/** One card; `index` is the number in its name, `card2`. */
export function readRocmCard(
  tool: string,
  index: number,
  facts: Facts,
  driverVersion?: string,
): DeviceReading {
  const number = (...names: string[]) => numberOf(told(facts, ...names))
  const memoryTotalBytes = bytes(number('vram total memory (b)'))
  const used = bytes(number('vram total used memory (b)'))
  const identity = present({
    // Up to ROCm 6.0 `Card model` is the id of the board's maker, and `Card Model` that of the chip from 6.1 on.
    pciDeviceId: pciIdOf(told(facts, 'device id', 'gpu id', 'Card Model')),
    gfx: gfxOf(told(facts, 'gfx version')),
    name: nameOf(told(facts, 'card series'), told(facts, 'device name')),
  })
  const mode = told(facts, 'compute partition')
  const cut = cutsCard(mode)
  const some = Object.keys(identity).length > 0
  const pcie = linkOf(facts)
  return amdReading(tool, {
    index,
    uuid: uniqueIdOf(told(facts, 'unique id')),
    pciAddress: pciAddressOf(told(facts, 'pci bus')),
    ...identity,
    kind: cut ? 'partition' : some ? (isIntegrated(identity) ? 'integrated' : 'discrete') : undefined,
    partitionProfile: cut ? mode.toUpperCase() : undefined,
    partitioned: mode === undefined || cut ? undefined : false,
    serial: serialOf(told(facts, 'serial number')),
    vbios: told(facts, 'vbios version'),
    driverVersion,
    memoryTotalBytes,
    memoryFreeBytes:
      memoryTotalBytes === undefined || used === undefined ? undefined : Math.max(0, memoryTotalBytes - used),
    numaNode: numaNodeOf(told(facts, '(topology) numa node')),
    pcie,
    sensors: sensorsOf({
      utilization: shareOf(number('gpu use (%)')),
      // The name says memory in use; the figure is the share of time in which the memory was busy.
      memoryUtilization: shareOf(number('gpu memory read/write activity (%)', 'gpu memory use (%)')),
      memoryUsedBytes: used,
      memoryTotalBytes,
      ...temperatures(
        number('temperature (sensor edge) (c)'),
        number('temperature (sensor junction) (c)'),
        number('temperature (sensor memory) (c)', 'temperature (sensor mem) (c)'),
      ),
      powerWatts: number(
        'current socket graphics package power (w)',
        'average graphics package power (w)',
        'current graphics package power (w)',
      ),
      powerLimitWatts: number('max graphics package power (w)'),
      graphicsClockMhz: clockOf(facts, 'sclk'),
      graphicsClockMaxMhz: rangeEnd(told(facts, 'valid sclk range')),
      memoryClockMhz: clockOf(facts, 'mclk'),
      memoryClockMaxMhz: rangeEnd(told(facts, 'valid mclk range')),
      fanRatio: shareOf(number('fan speed (%)')),
      fanRpm: number('fan rpm'),
      pcie,
      pcieReplays: number('pcie replay count'),
    }),
  })
}

/** Where the card stands; undefined where that is not told. */
export function rocmPlace(index: number, facts: Facts): PlaceReading | undefined {
  const numaNode = numaNodeOf(told(facts, '(topology) numa node'))
  if (numaNode === undefined) return undefined
  return present({ index, pciAddress: pciAddressOf(told(facts, 'pci bus')), numaNode })
}

function bytes(value: number | undefined): number | undefined {
  return value !== undefined && value >= 0 ? value : undefined
}

/** `(1725Mhz)`, `8 (1725Mhz)`, `S: (137Mhz)`, `808Mhz`. */
function clockOf(facts: Facts, clock: string): number | undefined {
  for (const name of [`${clock} clock speed`, `${clock} clock level`]) {
    const [, figure] = /(\d+(?:\.\d+)?)\s*mhz/i.exec(facts.get(name) ?? '') ?? []
    if (figure !== undefined) return Number(figure)
  }
  return undefined
}

/** `139Mhz - 2100Mhz` goes up to 2100. */
function rangeEnd(text: string | undefined): number | undefined {
  const most = numberOf(/-\s*([\d.]+)\s*mhz/i.exec(text ?? '')?.[1])
  return most === 0 ? undefined : most
}

/** `1 (16.0GT/s x16)`: the link as the card's power management has it now. */
function linkOf(facts: Facts): PcieLink | undefined {
  const [, speed, width] = /\(\s*([\d.]+\s*GT\/s),?\s*x(\d+)/i.exec(facts.get('pcie clock level') ?? '') ?? []
  return filled(present({ generation: generationOf(speed), width: widthOf(width) }))
}
