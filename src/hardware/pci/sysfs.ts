import type { OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, pciIdOf, present } from '../units.ts'
import { describeFunctions, numaNodeOf, type PciFunction } from './functions.ts'
import { linkOf } from './link.ts'
import { bridgesAndCard, devicesFolder, type SysfsFiles, withoutOwnSwitch } from './path.ts'
import { recordedSysfs } from './sysfs-record.ts'

/** Class and subclass of `0x030200`. */
function classOf(text: string | undefined): number | undefined {
  const [, digits] = /^0x([0-9a-f]{4})/i.exec(text?.trim() ?? '') ?? []
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}

const ofInterest = (classCode: number | undefined) =>
  classCode !== undefined && (classCode >> 8 === 0x03 || classCode >> 8 === 0x12 || classCode === 0x0680)

/** Displays, accelerators and NVSwitch bridges of the machine, as `/sys/bus/pci/devices` tells them. */
export function readSysfsFunctions(files: SysfsFiles): PciFunction[] {
  return files.list(devicesFolder).flatMap((name) => {
    const address = pciAddressOf(name)
    const classCode = classOf(files.readText(`${devicesFolder}/${name}/class`))
    return address !== undefined && ofInterest(classCode) ? readSysfsFunction(files, address) : []
  })
}

function readSysfsFunction(files: SysfsFiles, address: string): PciFunction {
  const folder = `${devicesFolder}/${address}`
  const read = (name: string) => files.readText(`${folder}/${name}`)?.trim()
  const { path, port } = withoutOwnSwitch(bridgesAndCard(files, address), (at) =>
    files.readText(`${devicesFolder}/${at}/vendor`)?.trim(),
  )
  return present({
    address,
    classCode: classOf(read('class')),
    vendorId: pciIdOf(read('vendor')),
    deviceId: pciIdOf(read('device')),
    driver: driverOf(files, folder),
    virtualFunction: files.realPath(`${folder}/physfn`) === undefined ? undefined : true,
    numaNode: numaNodeOf(read('numa_node')),
    cpuAffinity: read('local_cpulist') || undefined,
    path: path.length > 0 ? path : undefined,
    ...readSysfsLink(files, address, port),
  })
}

/** The bound driver; a card that has a DRM node has one, even where the link to it is not to be seen. */
function driverOf(files: SysfsFiles, folder: string): string | null | undefined {
  const name = files.realPath(`${folder}/driver`)?.split('/').at(-1)
  if (name !== undefined) return name
  return files.list(`${folder}/drm`).length > 0 ? undefined : null
}

/**
 * The link of a card as negotiated, read where the slot's link ends (`port`), and whether the card still answers. A
 * card that sleeps is left alone: reading its registers would wake it, or give the ones of a card that is gone.
 */
export function readSysfsLink(
  files: SysfsFiles,
  address: string,
  port = address,
): Pick<PciFunction, 'pcie' | 'silent'> {
  const read = (at: string, name: string) => files.readText(`${devicesFolder}/${at}/${name}`)?.trim()
  if (read(address, 'power/runtime_status') === 'suspended') return {}
  // All ones in the link's register: a width of 63, and a speed that does not exist.
  if (read(address, 'current_link_width') === '63') return { silent: true }
  const [speed, width, maxSpeed, maxWidth] = [
    'current_link_speed',
    'current_link_width',
    'max_link_speed',
    'max_link_width',
  ].map((name) => read(port, name))
  return present({ pcie: linkOf(speed, width, maxSpeed, maxWidth) })
}

/** A recorded part of sysfs with its PCI devices: JSON of paths and what stands there. */
export const sysfsReader: OutputReader = {
  tool: 'sysfs (recorded)',
  matches: (text) => /^\s*\{/.test(text) && /sys\/bus\/pci\/devices\//.test(text.slice(0, 100_000)),
  read(text) {
    const files = recordedSysfs(text)
    if (files === undefined) return refused('no JSON of the form {"files": {path: text}}')
    return readingOf('sysfs (recorded)', describeFunctions('sysfs', readSysfsFunctions(files)))
  },
}
