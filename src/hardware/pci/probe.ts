import type { DeviceProbe, DeviceReading, HostSystem, ProbeResult } from '../contract.ts'
import { present } from '../units.ts'
import { describeFunctions, type PciFunction, readingOfFunction, selectGpus } from './functions.ts'
import { readLspciLines } from './lspci-machine.ts'
import { bridgesAndCard, devicesFolder, withoutOwnSwitch } from './path.ts'
import { readSysfsFunctions, readSysfsLink } from './sysfs.ts'

const source = 'sysfs pci'
const timeoutMs = 2000

/** A card with the address that its link is read at. */
interface KnownCard {
  card: PciFunction
  port: string | undefined
}

/** The cards of the last full look at each host, so that a look at the sensors need not read every device again. */
const known = new WeakMap<HostSystem, KnownCard[]>()

/**
 * All GPUs on the PCI bus of a Linux host, whether their driver is there or not, with the ways between them. Displays
 * of hypervisors and management controllers are left out. Names are asked of `lspci` where it is installed.
 */
export const pciProbe: DeviceProbe = {
  vendor: 'other',
  async list(system) {
    const result: ProbeResult = { vendor: 'other', devices: [], links: [], places: [], problems: [] }
    if (system.platform !== 'linux') return result
    const functions = readSysfsFunctions(system)
    remember(system, functions)
    if (selectGpus(functions).gpus.length === 0) return result
    const { devices, links, places } = describeFunctions(source, await withNames(system, functions))
    return { ...result, devices, links, places }
  },
  async sample(system) {
    if (system.platform !== 'linux') return []
    const cards = known.get(system) ?? remember(system, readSysfsFunctions(system))
    return cards.map((entry) => sampleCard(system, entry))
  },
}

function remember(system: HostSystem, functions: readonly PciFunction[]): KnownCard[] {
  const vendorOf = (at: string) => system.readText(`${devicesFolder}/${at}/vendor`)?.trim()
  const cards = selectGpus(functions).gpus.map((card) => {
    const { port } = withoutOwnSwitch(bridgesAndCard(system, card.address), vendorOf)
    return { card, port }
  })
  known.set(system, cards)
  return cards
}

/** Adds the names that `lspci` has; without it, or where it fails, the cards go by their ids. */
async function withNames(system: HostSystem, functions: readonly PciFunction[]): Promise<PciFunction[]> {
  const { stdout } = await system.run('lspci', ['-D', '-mm', '-nn'], timeoutMs)
  const names = new Map(readLspciLines(stdout).map(({ address, name }) => [address, name]))
  return functions.map((fn) => present({ ...fn, name: names.get(fn.address) }))
}

/** The link as it is now, or that the card is gone: from the bus, or from the folder of devices altogether. */
function sampleCard(system: HostSystem, { card, port }: KnownCard): DeviceReading {
  const { address, vendorId, deviceId } = card
  const identity: PciFunction = present({ address, vendorId, deviceId })
  if (system.readText(`${devicesFolder}/${address}/vendor`) === undefined) {
    const stateReason =
      'the card is gone from the PCI bus: reset it ("echo 1 > /sys/bus/pci/rescan"), or reboot'
    return { ...readingOfFunction(source, identity), state: 'lost', stateReason }
  }
  const { pcie, silent } = readSysfsLink(system, address, port)
  const reading = readingOfFunction(source, present({ ...identity, silent }))
  return pcie === undefined ? reading : { ...reading, sensors: { pcie } }
}
