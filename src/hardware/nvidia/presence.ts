import type { DeviceReading, DeviceState, HostSystem } from '../contract.ts'
import { pciAddressOf } from '../units.ts'
import { versionOf } from './card.ts'
import type { NvidiaProblem } from './problems.ts'
import { procReader } from './proc.ts'

const procFolder = '/proc/driver/nvidia'
const pciFolder = '/sys/bus/pci/devices'

/** The cards that the kernel's driver has, where no tool answers. */
export function cardsOfKernel(system: HostSystem): DeviceReading[] {
  return system.list(`${procFolder}/gpus`).flatMap((address) => {
    const text = system.readText(`${procFolder}/gpus/${address}/information`)
    const result =
      text === undefined ? undefined : procReader.read(`Bus Location: ${address}\n${withoutBus(text)}`)
    return result?.ok === true ? result.reading.devices : []
  })
}

const withoutBus = (text: string): string => text.replace(/^Bus Location:.*$/m, '')

/** The version of the kernel module that is loaded; undefined where none is. */
export function moduleVersion(system: HostSystem): string | undefined {
  const text = system.readText(`${procFolder}/version`)
  return versionOf(/Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)/.exec(text ?? '')?.[1])
}

/** What is wrong where nvidia-smi is missing; undefined on a machine without an NVIDIA card. */
export function problemWithoutTool(system: HostSystem): string | undefined {
  if (moduleVersion(system) !== undefined || system.list(`${procFolder}/gpus`).length > 0) {
    return (
      'The NVIDIA driver is loaded, and nvidia-smi is not found. Install the utilities of the same driver version ' +
      '(nvidia-utils), or in a container give it the "utility" capability (NVIDIA_DRIVER_CAPABILITIES=compute,utility).'
    )
  }
  const cards = cardsOfPci(system)
  if (cards.length === 0) return undefined
  const bound = [...new Set(cards.map(({ driver }) => driver).filter((driver) => driver !== undefined))]
  return (
    `There is an NVIDIA card at ${cards.map(({ address }) => address).join(', ')} without NVIDIA's driver` +
    `${bound.length === 0 ? '' : ` (it belongs to ${bound.join(', ')})`}. Install the driver to use it with CUDA.`
  )
}

/** Display and 3D controllers (class 0x03) of NVIDIA, with the driver that has them. */
function cardsOfPci(system: HostSystem): { address: string; driver: string | undefined }[] {
  return system.list(pciFolder).flatMap((name) => {
    const address = pciAddressOf(name)
    const folder = `${pciFolder}/${name}`
    if (address === undefined || system.readText(`${folder}/vendor`)?.trim() !== '0x10de') return []
    if (system.readText(`${folder}/class`)?.trim().startsWith('0x03') !== true) return []
    const driver = system.realPath(`${folder}/driver`)?.split('/').at(-1)
    // A driver that keeps the card for a virtual machine is no trouble of this machine's.
    return driver === 'vfio-pci' ? [] : [{ address, driver }]
  })
}

/** Whether this user may not open the driver's device file; it names the problem better than a tool's words. */
export function deniedFile(system: HostSystem): string | undefined {
  return ['/dev/nvidiactl', '/dev/nvidia0'].find((path) => system.mayUse(path) === false)
}

/** Cards that the kernel has and no tool can use, with why. */
export function unusable(cards: readonly DeviceReading[], problem: NvidiaProblem): DeviceReading[] {
  const state: DeviceState = problem.kind === 'no_permission' ? 'no_permission' : 'error'
  return cards.map((card) => ({
    ...card,
    state: card.state ?? state,
    stateReason: card.stateReason ?? problem.text,
  }))
}
