import fc from 'fast-check'
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import { buildTopology } from '../build.ts'
import * as machines from '../machines.fixture.ts'
import { drawSvg } from './draw.ts'
import { styleSheet } from './style.ts'

const all: readonly (readonly [string, () => machines.Machine])[] = [
  ['one chip', machines.unified],
  ['two cards', machines.workstation],
  ['a card in partitions', machines.partitioned],
  ['four cards', machines.bridgedPairs],
  ['eight cards behind a switch', machines.switched],
  ['eight cards in a mesh', machines.cubeMesh],
  ['eight cards on four nodes', machines.instinct],
  ['sixteen cards', machines.sixteen],
  ['nothing', () => ({ devices: [], links: [] })],
]

const drawn = ({ devices, links }: machines.Machine) => drawSvg(buildTopology(devices, links))

interface Rect {
  x: number
  y: number
  width: number
  height: number
}

/** The rectangles of a class, by their written attributes. */
function rectangles(svg: string, style: string): Rect[] {
  const tags = svg.match(/<rect [^>]*>/g) ?? []
  const value = (tag: string, name: string) => Number(new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1])
  return tags
    .filter((tag) => new RegExp(`class="${style}[" ]`).test(tag))
    .map((tag) => ({
      x: value(tag, 'x'),
      y: value(tag, 'y'),
      width: value(tag, 'width'),
      height: value(tag, 'height'),
    }))
}

describe('a topology as SVG', () => {
  it.each(all)('of %s is well-formed and has no scripts or outside files', (_, machine) => {
    const svg = drawn(machine())
    expect(XMLValidator.validate(svg)).toBe(true)
    expect(svg).not.toMatch(/<script|<foreignObject|href|url\(|@import|\son\w+=/i)
    expect(svg).not.toMatch(/NaN|undefined|Infinity"/)
  })

  it.each(all)('of %s keeps everything within its edges, cards apart', (_, machine) => {
    const svg = drawn(machine())
    const [width = 0, height = 0] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)?.slice(1).map(Number) ?? []
    const cards = rectangles(svg, 'card')
    for (const { x, y, width: w, height: h } of [
      ...cards,
      ...rectangles(svg, 'box'),
      ...rectangles(svg, 'fill-\\w+'),
    ]) {
      expect([x >= 0, y >= 0, x + w <= width, y + h <= height]).toEqual([true, true, true, true])
    }
    for (const [at, a] of cards.entries()) {
      for (const b of cards.slice(at + 1)) {
        const apart =
          a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
        expect(apart).toBe(true)
      }
    }
  })

  it.each(all)('of %s names every device', (_, machine) => {
    const { devices, links } = machine()
    const svg = drawn({ devices, links })
    const cards = devices.filter(({ kind }) => kind !== 'cpu' && kind !== 'partition')
    for (const at of cards.keys()) expect(svg).toContain(`>GPU${at}<`)
    expect(svg.match(/<title>/g)?.length ?? 0).toBeGreaterThan(cards.length)
  })

  it('has a cell for every pair, in both directions', () => {
    const svg = drawn(machines.cubeMesh())
    expect(svg.match(/<title>\w+ to \w+: /g)).toHaveLength(10 * 9)
    expect(svg).toContain('<title>GPU0 to GPU3: NV2, NVLink')
  })

  it('draws a bridge that is alike for all as one bar, others link by link', () => {
    expect(drawn(machines.switched())).toContain('NVLink A: NV18 each, 450 GB/s')
    const arcs = drawn(machines.cubeMesh()).match(/<path d="[^"]*Q[^"]*" class="line-nvlink"/g)
    expect(arcs).toHaveLength(16)
  })

  it('draws PCIe switches over their cards', () => {
    expect(drawn(machines.sixteen()).match(/>PCIe switch</g)).toHaveLength(4)
  })

  it('marks lanes that are missing and devices that are not well', () => {
    expect(drawn(machines.workstation())).toMatch(/class="small bad">PCIe 4\.0 x4 of x16</)
    expect(drawn(machines.sixteen())).toMatch(/bad end">lost</)
  })

  it('draws the host bridge where no CPU is given', () => {
    const cards = machines.switched().devices.filter(({ kind }) => kind !== 'cpu')
    expect(drawn({ devices: cards, links: [] }).match(/>host bridge</g)).toHaveLength(2)
  })

  it('escapes what drivers say, whatever that is', () => {
    const name = `<script>alert("1")</script> & 'x' ]]>`
    const svg = drawn({ devices: [machines.gpu(0, name, 8)], links: [] })
    expect(svg).not.toContain('<script>')
    const parsed = new XMLParser({ ignoreAttributes: false, processEntities: true }).parse(svg)
    expect(JSON.stringify(parsed)).toContain(JSON.stringify(name).slice(1, -1))
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, label) => {
        const [a, b] = [machines.gpu(0, text, 8), machines.gpu(1, text, 8, { id: text })]
        const topology = buildTopology([a, b], [machines.link(a, b, 'pix', label)])
        return XMLValidator.validate(drawSvg(topology)) === true
      }),
    )
  })

  it('follows the reader in light and dark, and keeps its rules to itself', () => {
    expect(styleSheet()).toContain('@media (prefers-color-scheme:dark)')
    const selectors = styleSheet().match(/[^{}\n]+(?=\{)/g) ?? []
    expect(selectors.filter((selector) => !/^\.drover-topology|^@media/.test(selector.trim()))).toEqual([])
  })

  it('grows with its devices', () => {
    const widths = [machines.workstation, machines.bridgedPairs, machines.switched, machines.sixteen].map(
      (machine) => Number(/ width="(\d+)/.exec(drawn(machine()))?.[1]),
    )
    expect(widths).toEqual(widths.toSorted((a, b) => a - b))
    expect(new Set(widths).size).toBe(widths.length)
  })
})
