import type { Device, Topology } from '../../contract.ts'
import { classesOf, linkClasses } from '../classes.ts'
import { drawnDevices, drawnLinks, linkFinder, rateText } from '../labels.ts'
import { element, escapeXml, label, textWidth } from './element.ts'
import type { Labels } from './nodes.ts'
import { thickness } from './thickness.ts'

const cell = { width: 66, height: 36 }
const headWidth = 58
const headHeight = 26

/** A part of the drawing with its size. */
export interface Part {
  markup: string
  width: number
  height: number
}

/** The matrix of link classes with their rates, its upper left corner at (x, y). */
export function drawMatrix(topology: Topology, labels: Labels, x: number, y: number): Part {
  const devices = drawnDevices(topology)
  const heads = devices.flatMap((device, at) => {
    const text = labels.get(device.id) ?? ''
    return [
      label(x + headWidth + (at + 0.5) * cell.width, y + 17, 'small ink bold middle', text),
      label(x + headWidth - 10, y + headHeight + (at + 0.5) * cell.height + 4, 'small ink bold end', text),
    ]
  })
  const find = linkFinder(topology)
  const cells = devices.flatMap((a, row) =>
    devices.map((b, column) => {
      const corner = { x: x + headWidth + column * cell.width, y: y + headHeight + row * cell.height }
      return drawCell(a, b, corner, find, labels)
    }),
  )
  return {
    markup: [...heads, ...cells].join(''),
    width: headWidth + devices.length * cell.width,
    height: headHeight + devices.length * cell.height,
  }
}

function drawCell(
  a: Device,
  b: Device,
  { x, y }: { x: number; y: number },
  find: ReturnType<typeof linkFinder>,
  labels: Labels,
): string {
  const place = { x: x + 1, y: y + 1, width: cell.width - 2, height: cell.height - 2, rx: 4 }
  const link = find(a, b)
  if (!link) return element('rect', { ...place, class: 'box' })
  const middle = x + cell.width / 2
  const rate = link.gbPerSecond
  const rateLine = rate ? [label(middle, y + 29, 'small dim middle', rateText(rate))] : []
  const title = `${labels.get(a.id)} to ${labels.get(b.id)}: ${link.label}, ${linkClasses[link.class].meaning}`
  return element(
    'g',
    {},
    element('title', {}, escapeXml(title)),
    element('rect', { ...place, class: `fill-${link.class} tint` }),
    label(middle, y + (rate ? 16 : 22), 'small ink bold middle', link.label),
    ...rateLine,
  )
}

/** What colours and numbers mean, one row a class, its upper left corner at (x, y). */
export function drawLegend(topology: Topology, x: number, y: number): Part {
  const links = drawnLinks(topology)
  const rows = classesOf(links).map((name) => {
    const { label: short, meaning } = linkClasses[name]
    const typical = links.find((link) => link.class === name)?.gbPerSecond
    return { name, width: thickness(typical), short: name === 'nvlink' ? 'NV#' : short, meaning }
  })
  const told = links.some(({ gbPerSecond }) => gbPerSecond && gbPerSecond.from !== 'derived')
  const note = `Numbers are GB/s each way, estimated${told ? '; * told by the driver or measured' : ''}.`
  const markup = rows.map(({ name, width, short, meaning }, at) => {
    const line = { class: `line-${name}`, 'stroke-width': width, d: `M${x + 4} ${y + 12 + at * 22} h28` }
    const baseline = y + 16 + at * 22
    return (
      element('path', line) +
      label(x + 46, baseline, 'small ink bold', short) +
      label(x + 104, baseline, 'body ink', meaning)
    )
  })
  return {
    markup: [...markup, label(x, y + 20 + rows.length * 22, 'small dim', note)].join(''),
    width: Math.max(textWidth(note, 11), ...rows.map(({ meaning }) => 104 + textWidth(meaning, 12))),
    height: rows.length * 22 + 26,
  }
}
