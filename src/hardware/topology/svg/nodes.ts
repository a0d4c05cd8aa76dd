import type { Device, Topology } from '../../contract.ts'
import { describeDevice } from '../describe.ts'
import { element, escapeXml, fitted, label, twoLines } from './element.ts'
import type { Box, NodePlan, Placed } from './layout.ts'

/** The labels of devices, by id. */
export type Labels = ReadonlyMap<string, string>

/** A NUMA node's ground and title; lines come between it and what stands on it. */
export function drawGround({ box, title }: NodePlan): string {
  return element('g', {}, rectangle(box, 'box', 12), label(box.x + 16, box.y + 22, 'node dim', title))
}

/** What stands in a NUMA node: CPUs, switches, cards. */
export function drawMembers(plan: NodePlan, topology: Topology, labels: Labels): string {
  const host = plan.cpus.length === 0 && plan.cards.length > 0 ? [drawHost(plan.host)] : []
  const cpus = plan.cpus.map((placed) => drawCpu(placed, topology, labels))
  const switches = plan.switches.map(({ box }) =>
    element(
      'g',
      {},
      rectangle(box, 'card', 6),
      label(box.x + box.width / 2, box.y + 16, 'small dim middle', 'PCIe switch'),
    ),
  )
  const cards = plan.cards.map((placed) => drawCard(placed, topology, labels))
  return [...host, ...cpus, ...switches, ...cards].join('')
}

function drawHost(box: Box): string {
  return element(
    'g',
    {},
    rectangle(box, 'card dash', 8),
    label(box.x + 12, box.y + 28, 'body dim', 'host bridge'),
  )
}

function drawCpu({ device, box }: Placed, topology: Topology, labels: Labels): string {
  const { name, memory, cores, state } = describeDevice(device, topology)
  const short = labels.get(device.id) ?? ''
  const nameX = box.x + 22 + short.length * 10
  const room = box.x + box.width - 10 - nameX
  const facts = [cores, memory].filter((fact) => fact !== undefined).join(' · ')
  return element(
    'g',
    {},
    element('title', {}, titleOf(device)),
    rectangle(box, 'card', 8),
    label(box.x + 12, box.y + 20, 'name ink', short),
    label(nameX, box.y + 20, 'body ink', fitted(name, 12, room)),
    label(box.x + 12, box.y + 37, 'small dim', fitted(facts, 11, box.width - 24)),
    ...(state === undefined ? [] : [label(box.x + box.width - 12, box.y + 37, 'small bad end', state)]),
  )
}

function drawCard({ device, box }: Placed, topology: Topology, labels: Labels): string {
  const { name, memory, link, slow, state, parts } = describeDevice(device, topology)
  const room = box.width - 24
  const bandwidth = device.facts.bandwidthGBs?.value
  const speed = bandwidth === undefined ? undefined : `${Math.round(bandwidth)} GB/s`
  const line = (y: number, style: string, text: string | undefined) =>
    text === undefined ? '' : label(box.x + 12, box.y + y, style, text)
  const small = (y: number, style: string, text: string | undefined) =>
    line(y, `small ${style}`, text && fitted(text, 11, room))
  return element(
    'g',
    {},
    element('title', {}, titleOf(device)),
    rectangle(box, state === undefined ? 'card' : 'card dash', 8),
    line(21, 'name ink', labels.get(device.id)),
    state === undefined ? '' : label(box.x + box.width - 12, box.y + 21, 'small bad end', state),
    ...twoLines(name, 12, room).map((text, at) => line(39 + at * 14, 'body ink', text)),
    small(70, 'dim', [memory, speed].filter((fact) => fact !== undefined).join(' · ')),
    small(86, slow ? 'bad' : 'dim', link),
    small(103, 'dim', parts),
  )
}

/** What a pointer over the card shows: the name in full, and the address. */
function titleOf({ name, id, pciAddress }: Device): string {
  return escapeXml([name, pciAddress ?? id].join(', '))
}

function rectangle(box: Box, style: string, radius: number): string {
  const { x, y, width, height } = box
  return element('rect', { x, y, width, height, rx: radius, class: style })
}
