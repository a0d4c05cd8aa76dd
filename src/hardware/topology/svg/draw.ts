import type { Topology } from '../../contract.ts'
import { shortLabels } from '../labels.ts'
import { element, escapeXml, label } from './element.ts'
import { planOf } from './layout.ts'
import { drawLines } from './lines.ts'
import { drawLegend, drawMatrix } from './matrix.ts'
import { drawGround, drawMembers } from './nodes.ts'
import { styleSheet } from './style.ts'

const margin = 24
const titleHeight = 64

/**
 * The topology as one SVG document without scripts or outside files: NUMA nodes with their devices, the links between
 * them by colour (class) and thickness (rate), the matrix of all pairs, and a legend. Follows the reader's light or
 * dark colours; width grows with the devices.
 */
export function drawSvg(topology: Topology): string {
  const labels = shortLabels(topology.devices)
  const plan = planOf(topology, titleHeight)
  const lines = drawLines(plan, topology)
  const matrixTop = lines.bottom + 30
  const matrix = drawMatrix(topology, labels, margin, matrixTop)
  const beside = plan.width - matrix.width - 3 * margin > 360
  const legend = beside
    ? drawLegend(topology, matrix.width + 2 * margin + 16, matrixTop + 24)
    : drawLegend(topology, margin, matrixTop + matrix.height + 16)
  const below = beside ? Math.max(matrix.height, legend.height + 24) : matrix.height + 16 + legend.height
  const width = Math.max(plan.width, matrix.width + 2 * margin, legend.width + 2 * margin, 420)
  const height = matrixTop + below + margin
  const summary = summaryOf(topology)
  return `${element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: 'drover-topology',
      role: 'img',
      width,
      height,
      viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
    },
    element('title', {}, 'Topology'),
    element('desc', {}, escapeXml(summary)),
    element('style', {}, styleSheet()),
    element('rect', { width: '100%', height: '100%', class: 'ground' }),
    label(margin, 32, 'title ink', 'Topology'),
    label(margin, 51, 'body dim', summary),
    ...plan.nodes.map(drawGround),
    lines.markup,
    ...plan.nodes.map((node) => drawMembers(node, topology, labels)),
    matrix.markup,
    legend.markup,
  )}\n`
}

/** `8 GPUs, 2 CPUs, 7 partitions`. */
function summaryOf({ devices }: Topology): string {
  const counts = { GPU: 0, partition: 0, CPU: 0 }
  for (const { kind } of devices)
    counts[kind === 'cpu' ? 'CPU' : kind === 'partition' ? 'partition' : 'GPU'] += 1
  const told = Object.entries(counts).filter(([, count]) => count > 0)
  return told.map(([name, count]) => `${count} ${name}${count === 1 ? '' : 's'}`).join(', ') || 'no devices'
}
