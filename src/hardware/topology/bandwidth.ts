import type { Device, Fact, Link, LinkClass } from '../contract.ts'
import { nvlinkGbPerSecond } from '../specs/index.ts'
import { pcieGbPerSecond, runningPcie } from './pcie.ts'

/** What copies reach of a PCIe link's raw rate, below one socket and across sockets. */
const pcieEfficiency = 0.8
const acrossSocketsEfficiency = 0.7

/** What one stream gets between two sockets, 10^9 bytes a second. */
const interSocketGBs = 20

/** NVLink's rate of a link by generation, for cards of which only the generation is known. */
const nvlinkCapabilities: Readonly<Record<string, string>> = {
  'NVLink 1': '6.0',
  'NVLink 2': '7.0',
  'NVLink 3': '8.0',
  'NVLink 4': '9.0',
  'NVLink 5': '10.0',
}

/**
 * What a link should carry each way, 10^9 bytes a second, marked `derived`. `bridgePeers`: with how many others a
 * device is joined by the link's class, who share what its bridge can do. Undefined where nothing to reckon from is known.
 */
export function estimateBandwidth(
  a: Device,
  b: Device,
  link: Pick<Link, 'class' | 'links'>,
  bridgePeers: (device: Device) => number,
): Fact | undefined {
  switch (link.class) {
    case 'nvlink':
      return nvlinkRate(a, b, link.links) ?? sharedBridgeRate(a, b, bridgePeers)
    case 'xgmi':
    case 'xelink':
      return sharedBridgeRate(a, b, bridgePeers)
    case 'unknown':
      return undefined
    default:
      return hostRate(a, b, link.class)
  }
}

/** Links times the rate of one, as the slower card has it, and no more than the table gives the card in all. */
function nvlinkRate(a: Device, b: Device, links: number | undefined): Fact | undefined {
  const rates = [a, b].map(nvlinkRateOf).filter((rate) => rate !== undefined)
  if (links === undefined || rates.length === 0) return undefined
  const most = [a, b].map(
    (device) => device.facts.interconnect?.gbPerSecond?.value ?? Number.POSITIVE_INFINITY,
  )
  return derived(Math.min(links * Math.min(...rates), ...most.map((total) => total / 2)))
}

function nvlinkRateOf({ computeCapability, facts }: Device): number | undefined {
  const capability = computeCapability ?? nvlinkCapabilities[facts.interconnect?.name ?? '']
  return capability === undefined ? undefined : nvlinkGbPerSecond(capability)
}

/** A card's bridge, one way, parted among those it leads to. */
function sharedBridgeRate(a: Device, b: Device, bridgePeers: (device: Device) => number): Fact | undefined {
  const rates = [a, b].map((device) => {
    const total = device.facts.interconnect?.gbPerSecond
    return total && { each: total.value / 2 / Math.max(1, bridgePeers(device)), uncertain: total.uncertain }
  })
  const [one, other] = rates
  if (!one || !other) return undefined
  return derived(Math.min(one.each, other.each), one.uncertain || other.uncertain)
}

/** The way through PCIe and the host's memory. */
function hostRate(a: Device, b: Device, linkClass: LinkClass): Fact | undefined {
  const cards = [a, b].filter((device) => device.kind !== 'cpu')
  const shared = [a, b].filter((device) => device.unifiedMemory || device.kind === 'cpu')
  if (linkClass === 'sys' && cards.length === 0) return derived(interSocketGBs, true)
  if (shared.length === 2 && linkClass !== 'sys') return memoryRate(shared)
  if (linkClass === 'same_board' && cards.some((device) => device.kind === 'partition')) return undefined
  const ends = cards.filter((device) => !device.unifiedMemory).map(runningPcie)
  const known = ends.filter((end) => end !== undefined)
  if (known.length < ends.length || known.length === 0) return undefined
  const raw = Math.min(...known.map((end) => pcieGbPerSecond(end.generation, end.width)))
  const rate =
    linkClass === 'sys' ? Math.min(raw * acrossSocketsEfficiency, interSocketGBs) : raw * pcieEfficiency
  return derived(
    rate,
    known.some((end) => end.assumed),
  )
}

/** Two that work on one memory meet there. */
function memoryRate(devices: readonly Device[]): Fact | undefined {
  const rates = devices.map((device) => device.facts.bandwidthGBs).filter((fact) => fact !== undefined)
  if (rates.length === 0) return undefined
  return derived(Math.min(...rates.map((fact) => fact.value)), true)
}

function derived(value: number, uncertain = false): Fact {
  return { value: Number(value.toPrecision(4)), from: 'derived', ...(uncertain && { uncertain }) }
}
