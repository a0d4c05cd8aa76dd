import type { DeviceProbe, DeviceReading, HostSystem, ProbeResult } from '../contract.ts'
import type { SysfsFiles } from '../pci/path.ts'
import { present } from '../units.ts'
import { skipMissing } from './missing.ts'
import { isBareName, knownGpu } from './names.ts'
import { mayCompute } from './permission.ts'
import { type Counters, ratesBetween, readCounters, readSensors } from './sensors.ts'
import { type DrmCard, findCards, readDrmCard, readLink } from './sysfs.ts'
import { withTiles } from './tiles.ts'
import { askTool, type ToolAnswer } from './tool.ts'

/** A card that was found, with its counters at the last look. */
interface KnownCard {
  card: DrmCard
  files: SysfsFiles
  counters?: Counters
}

const known = new WeakMap<HostSystem, KnownCard[]>()

/**
 * Intel's GPUs: as the kernel's folders tell them on Linux, and as `xpu-smi` (or `xpumcli`) tells them where it is
 * installed; one reading a card, by its PCI address. Cards with several tiles are followed by their tiles where the
 * runtime shows those as devices. The sensors are read from the kernel's folders alone, no program is run for them.
 */
export const intelProbe: DeviceProbe = {
  vendor: 'intel',
  async list(system) {
    const result: ProbeResult = { vendor: 'intel', devices: [], links: [], places: [], problems: [] }
    if (system.platform === 'darwin') return result
    const cards = system.platform === 'linux' ? remember(system) : []
    const seen = cards.map((card) => present({ ...readDrmCard(system, card), ...mayCompute(system, card) }))
    const answer = await askTool(system, seen)
    const devices = numbered(merged(seen, answer).toSorted(byAddress))
    const { links, places, problems } = answer
    return { ...result, devices: withTiles(devices, answer.tiles, system.env), links, places, problems }
  },
  async sample(system) {
    if (system.platform !== 'linux') return []
    if (!known.has(system)) remember(system)
    return (known.get(system) ?? []).map((entry) => sampleCard(system, entry))
  },
}

function remember(system: HostSystem): DrmCard[] {
  const cards = findCards(system)
  const before = known.get(system) ?? []
  const countersOf = (card: DrmCard) => before.find((entry) => entry.card.folder === card.folder)?.counters
  known.set(
    system,
    cards.map((card) => present({ card, files: skipMissing(system), counters: countersOf(card) })),
  )
  return cards
}

/** What the tool and the folders say of one card; the tool is believed first, but not a name that is only an id. */
function merged(seen: readonly DeviceReading[], { devices }: ToolAnswer): DeviceReading[] {
  const told = devices.map((device) => {
    const same = seen.find((card) => card.pciAddress !== undefined && card.pciAddress === device.pciAddress)
    return joined(device, same)
  })
  const addresses = new Set(told.map(({ pciAddress }) => pciAddress))
  const untold = seen.filter(({ pciAddress }) => pciAddress === undefined || !addresses.has(pciAddress))
  return [...told, ...untold.map((card) => joined(card, undefined))]
}

function joined(first: DeviceReading, second: DeviceReading | undefined): DeviceReading {
  const one: DeviceReading = { ...second, ...first }
  const knownAs = knownGpu(one.pciDeviceId)
  const name =
    [first.name, second?.name, knownAs?.name].find((candidate) => !isBareName(candidate)) ?? one.name
  const state =
    second?.state === undefined ? {} : present({ state: second.state, stateReason: second.stateReason })
  return present({
    ...one,
    name,
    kind: one.kind ?? knownAs?.kind,
    // The tool tells what a link was built for, the folders what became of it.
    pcie: first.pcie && second?.pcie ? { ...first.pcie, ...second.pcie } : one.pcie,
    sensors: first.sensors && second?.sensors ? { ...second.sensors, ...first.sensors } : one.sensors,
    ...state,
  })
}

/**
 * Numbers for cards that no tool has numbered, as Level Zero counts: cards by their address, then processors'
 * graphics.
 */
function numbered(devices: readonly DeviceReading[]): DeviceReading[] {
  const taken = new Set(devices.map(({ index }) => index))
  const inOrder = devices.toSorted(
    (a, b) => Number(a.kind === 'integrated') - Number(b.kind === 'integrated'),
  )
  const numbers = new Map<DeviceReading, number>()
  let next = 0
  for (const device of inOrder) {
    if (device.index !== undefined) continue
    while (taken.has(next)) next += 1
    numbers.set(device, next)
    next += 1
  }
  return devices.map((device) => ({ ...device, index: device.index ?? numbers.get(device) ?? 0 }))
}

function byAddress(a: DeviceReading, b: DeviceReading): number {
  return (a.pciAddress ?? '~').localeCompare(b.pciAddress ?? '~') || (a.index ?? 0) - (b.index ?? 0)
}

function sampleCard(system: HostSystem, entry: KnownCard): DeviceReading {
  const { card, files } = entry
  const identity: DeviceReading = present({
    vendor: 'intel' as const,
    source: card.driver === undefined ? 'sysfs drm' : `sysfs ${card.driver}`,
    pciAddress: card.address,
    pciDeviceId: card.deviceId,
  })
  if (['uevent', 'vendor'].every((name) => system.readText(`${card.folder}/device/${name}`) === undefined)) {
    delete entry.counters
    const stateReason = `${card.folder} is gone: the card fell off the bus or its driver was unloaded; look in the kernel log (dmesg), reset it or reboot`
    return { ...identity, state: 'lost', stateReason }
  }
  const now = readCounters(files, card, performance.now())
  const rates = ratesBetween(entry.counters, now)
  entry.counters = now
  const { pcie, ...state } = readLink(files, card)
  return { ...identity, ...state, sensors: present({ ...readSensors(files, card), ...rates, pcie }) }
}
