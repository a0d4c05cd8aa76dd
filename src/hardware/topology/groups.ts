import type { Device, Link, Topology } from '../contract.ts'
import { drawnDevices, linkFinder, rateText } from './labels.ts'

/** Cards that one kind of bridge joins, directly or through others. */
export interface BridgeGroup {
  /** `NVLink A`. */
  name: string
  class: Link['class']
  members: Device[]
  /** Links between its members by this bridge. */
  links: Link[]
  /** Every two are joined, all alike. */
  uniform: boolean
}

const bridgeNames = { nvlink: 'NVLink', xgmi: 'Infinity Fabric', xelink: 'Xe Link' } as const

/** The groups that bridges make of the cards, named in the order of their first cards. */
export function bridgeGroups(topology: Topology): BridgeGroup[] {
  return (['nvlink', 'xgmi', 'xelink'] as const).flatMap((linkClass) => {
    const groups = componentsOf(topology, linkClass)
    return groups.map((members, at) => {
      const ids = new Set(members.map((device) => device.id))
      const links = topology.links.filter(
        (link) => link.class === linkClass && ids.has(link.a) && ids.has(link.b),
      )
      const kinds = new Set(links.map((link) => `${link.label} ${link.gbPerSecond?.value}`))
      const uniform = kinds.size === 1 && links.length === (members.length * (members.length - 1)) / 2
      return { name: `${bridgeNames[linkClass]} ${letterOf(at)}`, class: linkClass, members, links, uniform }
    })
  })
}

/** Sets of two or more drawn devices that links of a class join. */
export function componentsOf(topology: Topology, linkClass: Link['class']): Device[][] {
  const find = linkFinder(topology)
  const waiting = new Set(drawnDevices(topology).filter((device) => device.kind !== 'cpu'))
  const components: Device[][] = []
  for (const first of waiting) {
    waiting.delete(first)
    const members = [first]
    for (const member of members) {
      for (const other of waiting) {
        if (find(member, other)?.class !== linkClass) continue
        waiting.delete(other)
        members.push(other)
      }
    }
    if (members.length > 1) components.push(topology.devices.filter((device) => members.includes(device)))
  }
  return components
}

/** A, B, ... Z, A2, ... */
function letterOf(at: number): string {
  const round = Math.floor(at / 26)
  return String.fromCharCode(65 + (at % 26)) + (round === 0 ? '' : round + 1)
}

/** How a bridge group is joined: `NV12 each, 300 GB/s` or `NV1 to NV2, 25 to 50 GB/s, not all joined`. */
export function bridgeText({ members, links, uniform }: BridgeGroup): string {
  const byRate = links.toSorted((a, b) => (a.gbPerSecond?.value ?? 0) - (b.gbPerSecond?.value ?? 0))
  const [least, most] = [byRate[0], byRate.at(-1)]
  const span = (low: string | undefined, high: string | undefined) =>
    low === high ? (low ?? '') : `${low} to ${high}`
  const rate = (link: Link | undefined) => link?.gbPerSecond && rateText(link.gbPerSecond)
  const rates = rate(least) === undefined ? '' : `, ${span(rate(least), rate(most))} GB/s`
  const complete = links.length === (members.length * (members.length - 1)) / 2
  return `${span(least?.label, most?.label)}${uniform && members.length > 2 ? ' each' : ''}${rates}${complete ? '' : ', not all joined'}`
}
