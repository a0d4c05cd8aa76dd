import type { Device, Link, LinkClass, Topology } from '../../contract.ts'
import { bridgeText } from '../groups.ts'
import { linkFinder, rateText } from '../labels.ts'
import { drawArcs } from './arcs.ts'
import { element, fitted, label, tag } from './element.ts'
import { centreOf, type Fabric, type NodePlan, type Placed, type Plan } from './layout.ts'
import { thickness } from './thickness.ts'

/** All lines of a drawing; `bottom`: where those below the cards end. */
export function drawLines(plan: Plan, topology: Topology): { markup: string; bottom: number } {
  const wires = plan.nodes.map((node) => drawWires(node, topology))
  const fabrics = plan.fabrics.map((fabric) => drawFabric(fabric, plan.cards))
  const arcs = drawArcs(plan, topology)
  return {
    markup: [drawBetweenNodes(plan, topology), ...wires, ...fabrics, arcs.markup].join(''),
    bottom: arcs.bottom,
  }
}

function drawFabric({ group, box }: Fabric, cards: ReadonlyMap<string, Placed>): string {
  const rate = group.links[0]?.gbPerSecond
  const drops = group.members.flatMap((device) => {
    const card = cards.get(device.id)?.box
    if (!card) return []
    const attributes = { class: `line-${group.class}`, 'stroke-width': thickness(rate) }
    return [vertical(centreOf(card), card.y + card.height, box.y + 6, attributes)]
  })
  const { x, y, width, height } = box
  const text = `${group.name}: ${bridgeText(group)}`
  return element(
    'g',
    {},
    ...drops,
    element('rect', { x, y, width, height, rx: height / 2, class: `fill-${group.class}` }),
    label(x + width / 2, y + 18, 'body on-colour middle', fitted(text, 12, width - 16)),
  )
}

/** The PCIe lines of a node: from the host to switches, and to the cards. */
function drawWires(node: NodePlan, topology: Topology): string {
  const find = linkFinder(topology)
  const hostBottom = node.host.y + node.host.height
  const switchWires = node.switches.map(({ box, members }) => {
    const rates = members.map((card) => hostLink(node, card, find)?.gbPerSecond)
    const fastest = rates.toSorted((a, b) => (b?.value ?? 0) - (a?.value ?? 0))[0]
    return vertical(centreOf(box), hostBottom, box.y, {
      class: 'line-phb',
      'stroke-width': thickness(fastest),
    })
  })
  const cardWires = node.cards.map(({ device, box }) => {
    const parent = node.switches.find(({ members }) => members.includes(device))
    const link = hostLink(node, device, find)
    const linkClass: LinkClass = parent ? 'pix' : (link?.class ?? 'unknown')
    const from = parent ? parent.box.y + parent.box.height : hostBottom
    const line = vertical(centreOf(box), from, box.y, {
      class: `line-${linkClass}`,
      'stroke-width': thickness(link?.gbPerSecond),
    })
    const rate = link?.gbPerSecond
    const text = rate
      ? label(centreOf(box) + 9, box.y - 9, 'small dim box-halo', `${rateText(rate)} GB/s`)
      : ''
    return line + text
  })
  return [...switchWires, ...cardWires].join('')
}

/** A card's link to its node's CPU. */
function hostLink(node: NodePlan, card: Device, find: ReturnType<typeof linkFinder>): Link | undefined {
  const [cpu] = node.cpus
  return cpu && find(cpu.device, card)
}

/** The line that joins the nodes, with what goes between them at the least. */
function drawBetweenNodes({ nodes, betweenNodesY: y }: Plan, topology: Topology): string {
  if (y === undefined) return ''
  const find = linkFinder(topology)
  const cpus = nodes.flatMap((node) => node.cpus.slice(0, 1))
  const [first, second] = cpus
  const rate = first && second && find(first.device, second.device)?.gbPerSecond
  const attributes = { class: 'line-sys', 'stroke-width': thickness(rate) }
  const centres = nodes.map(({ host }) => centreOf(host))
  const [left, right] = [Math.min(...centres), Math.max(...centres)]
  const drops = nodes.map(({ host }) => vertical(centreOf(host), y, host.y, attributes))
  const text = rate ? `between NUMA nodes, ${rateText(rate)} GB/s` : 'between NUMA nodes'
  const line = element('path', { d: `M${left} ${y} H${right}`, ...attributes })
  return element('g', {}, line, ...drops, tag((left + right) / 2, y, text, right - left))
}

function vertical(x: number, from: number, to: number, attributes: Record<string, string | number>): string {
  return element('path', { d: `M${x} ${from} V${to}`, ...attributes })
}
