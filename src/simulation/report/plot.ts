import { textWidth } from '../../core/index.ts'
import type { Experiment } from '../experiment.ts'
import { element, label } from './markup.ts'
import { simulatedTitle, time } from './table.ts'

/** Mid tones that stand out from a light and a dark ground alike. */
const colours = [
  '#2f74c8',
  '#d9483b',
  '#2f8f43',
  '#d99a1c',
  '#9061d6',
  '#12a0a0',
  '#c9406a',
  '#6b7a1f',
  '#c9713a',
  '#4c86c6',
  '#8a93a0',
  '#5a4fcf',
  '#a0522d',
  '#1c2430',
]
const margin = 24
const box = { width: 360, height: 240, left: 48, gap: 40 }
/** Of the first line under the title, and from one to the next. */
const aboutTop = 51
const aboutRow = 16
/** A name stands behind its colour; a character of small text takes no more than `letter`. */
const legend = { row: 20, swatch: 24, letter: 6.4, gap: 16, narrowest: 190 }

/** One line of a plot. */
export interface QuantileLine {
  /** Lines of one panel are drawn together, those of one name in one colour. */
  panel: string
  name: string
  /** Milliseconds at evenly spaced shares, from the least value to the largest. */
  quantilesMs: readonly number[]
  /** What a reader is told who points at it. */
  told: string
}

/** A simulation's times to first token, a line for each policy and a panel for each load. */
export function drawPlot({ rows }: Experiment, about: string): string {
  const lines = rows.map(({ load, router, summary, ttftQuantilesMs }) => ({
    panel: load === undefined ? 'as recorded' : `load ${Number((load * 100).toFixed(1))} %`,
    name: router,
    quantilesMs: ttftQuantilesMs,
    told: `${router}: mean ${time(summary.ttftMs.mean)}, p99 ${time(summary.ttftMs.p99)}`,
  }))
  return drawQuantiles(lines, { title: 'Time to first token', about: [simulatedTitle, about] })
}

/**
 * Which share of the values is within which time, on one logarithmic axis. One SVG document without scripts or outside
 * files.
 */
export function drawQuantiles(
  lines: readonly QuantileLine[],
  { title, about }: { title: string; about: readonly string[] },
): string {
  const panels = [...new Set(lines.map(({ panel }) => panel))]
  const names = [...new Set(lines.map(({ name }) => name))]
  const colourOf = (name: string) => colours[names.indexOf(name) % colours.length] ?? ''
  const axis = axisOf(lines)
  const step = box.left + box.width + box.gap
  const width = 2 * margin + Math.max(panels.length * step, 480)
  // The panels' names stand above them, apart from what is told of all.
  const top = aboutTop + about.length * aboutRow + 32
  const longest = Math.max(0, ...names.map((name) => textWidth(name)))
  const column = Math.max(legend.narrowest, legend.swatch + legend.letter * longest + legend.gap)
  const perRow = Math.max(1, Math.floor((width - 2 * margin) / column))
  const legendTop = top + box.height + 60
  const height = legendTop + Math.ceil(names.length / perRow) * legend.row + margin
  const drawn = panels.map((panel, index) => {
    const at = margin + box.left + index * step
    const own = lines.filter((line) => line.panel === panel)
    const curves = own.map((line) => curveOf(line, axis, { left: at, top }, colourOf(line.name)))
    return [drawAxes(axis, { left: at, top }), label(at, top - 10, 'name ink', panel), ...curves].join('')
  })
  const named = names.map((name, index) => {
    const x = margin + (index % perRow) * column
    const y = legendTop + Math.floor(index / perRow) * legend.row
    const swatch = { x, y: y - 9, width: 18, height: 4, rx: 2, fill: colourOf(name) }
    return element('rect', swatch) + label(x + legend.swatch, y - 4, 'small ink', name)
  })
  return `${element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: 'drover-plot',
      role: 'img',
      width,
      height,
      viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
    },
    element('title', {}, title),
    element('style', {}, styleSheet),
    element('rect', { width: '100%', height: '100%', class: 'ground' }),
    label(margin, 32, 'title ink', title),
    ...about.map((line, index) => label(margin, aboutTop + aboutRow * index, 'small dim', line)),
    ...drawn,
    ...named,
  )}\n`
}

interface Axis {
  leastMs: number
  mostMs: number
}

/** Whole powers of ten around all that is shown. */
function axisOf(lines: readonly QuantileLine[]): Axis {
  const values = lines.flatMap(({ quantilesMs }) => [quantilesMs[2] ?? 1, quantilesMs.at(-1) ?? 1])
  const least = Math.floor(Math.log10(Math.max(0.1, Math.min(...values))))
  const most = Math.ceil(Math.log10(Math.max(1, ...values)))
  return { leastMs: 10 ** least, mostMs: 10 ** Math.max(most, least + 1) }
}

function xOf(ms: number, { leastMs, mostMs }: Axis, left: number): number {
  const share = Math.log(Math.max(ms, leastMs) / leastMs) / Math.log(mostMs / leastMs)
  return left + share * box.width
}

interface Corner {
  left: number
  top: number
}

function drawAxes(axis: Axis, { left, top }: Corner): string {
  const bottom = top + box.height
  const parts: string[] = []
  for (let ms = axis.leastMs; ms <= axis.mostMs * 1.001; ms *= 10) {
    const x = xOf(ms, axis, left)
    parts.push(element('line', { x1: x, x2: x, y1: top, y2: bottom, class: 'grid' }))
    parts.push(label(x, bottom + 16, 'small dim middle', tick(ms)))
  }
  for (const share of [0, 0.5, 0.9, 1]) {
    const y = bottom - share * box.height
    parts.push(element('line', { x1: left, x2: left + box.width, y1: y, y2: y, class: 'grid' }))
    parts.push(label(left - 6, y + 4, 'small dim end', `${share * 100} %`))
  }
  return parts.join('')
}

function tick(ms: number): string {
  const [value = '', unit = ''] = time(ms).split(' ')
  return `${Number(value)} ${unit}`
}

function curveOf(
  { quantilesMs, told }: QuantileLine,
  axis: Axis,
  { left, top }: Corner,
  colour: string,
): string {
  const last = quantilesMs.length - 1
  const points = quantilesMs.map((ms, index) => {
    const y = top + box.height - (index / last) * box.height
    return `${xOf(ms, axis, left).toFixed(1)},${y.toFixed(1)}`
  })
  return element(
    'polyline',
    { points: points.join(' '), stroke: colour, class: 'line' },
    element('title', {}, told),
  )
}

const light = { ground: '#ffffff', edge: '#d3d9e2', ink: '#1c2430', dim: '#5d6878' }
const dark = { ground: '#12161c', edge: '#36404e', ink: '#e8ecf2', dim: '#9aa6b6' }

function themeOf({ ground, edge, ink, dim }: typeof light): string {
  return (
    `.drover-plot .ground{fill:${ground}}.drover-plot .grid{stroke:${edge}}` +
    `.drover-plot .ink{fill:${ink}}.drover-plot .dim{fill:${dim}}`
  )
}

/** Every rule under the drawing's own class, so that it keeps to itself inside a page. */
const styleSheet = [
  '.drover-plot{font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}',
  '.drover-plot .title{font-size:20px;font-weight:600}',
  '.drover-plot .name{font-size:14px;font-weight:600}',
  '.drover-plot .small{font-size:11px}',
  '.drover-plot .middle{text-anchor:middle}',
  '.drover-plot .end{text-anchor:end}',
  '.drover-plot .line{fill:none;stroke-width:2;stroke-linejoin:round}',
  themeOf(light),
  `@media (prefers-color-scheme:dark){${themeOf(dark)}}`,
].join('\n')
