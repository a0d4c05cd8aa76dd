import type { Link, Topology } from '../../contract.ts'
import { isBridge } from '../classes.ts'
import { rateText } from '../labels.ts'
import { element, tag, tagWidth } from './element.ts'
import type { Box, Plan } from './layout.ts'
import { thickness } from './thickness.ts'

/** A single link between two cards, drawn below them from foot to foot. */
interface Arc {
  link: Link
  left: Box
  right: Box
  /** How many cards it leads on. */
  span: number
  leftFoot: number
  rightFoot: number
  level: number
}

const levelHeight = 22

/** The links that are nearer than the host bridge and that no bar and no switch stands for; `bottom`: where they end. */
export function drawArcs(plan: Plan, topology: Topology): { markup: string; bottom: number } {
  const arcs = arcsOf(plan, topology)
  spreadFeet(arcs)
  setLevels(arcs)
  const levels = Math.max(-1, ...arcs.map((arc) => arc.level)) + 1
  const top = plan.fabricsBottom + 8
  const deepestFirst = arcs.toSorted((one, other) => other.level - one.level)
  const lines = deepestFirst.map((arc) => drawArc(arc, top + (arc.level + 1) * levelHeight))
  const tags = arcs.map((arc) => drawTag(arc, arcs, top + (arc.level + 1) * levelHeight))
  return {
    markup: [...lines, ...tags].join(''),
    bottom: plan.fabricsBottom + (levels === 0 ? 0 : levels * levelHeight + 20),
  }
}

function arcsOf({ cards, fabrics }: Plan, { links }: Topology): Arc[] {
  const inBars = new Set(fabrics.flatMap(({ group }) => group.links))
  const order = [...cards.keys()]
  return links.flatMap((link) => {
    const single = (isBridge(link.class) || link.class === 'pxb') && !inBars.has(link)
    const [a, b] = [cards.get(link.a)?.box, cards.get(link.b)?.box]
    if (!single || !a || !b) return []
    const span = Math.abs(order.indexOf(link.a) - order.indexOf(link.b))
    const [left, right] = a.x < b.x ? [a, b] : [b, a]
    return [{ link, left, right, span, leftFoot: 0, rightFoot: 0, level: 0 }]
  })
}

/** Gives every end a foot of its own below its card, so ordered that short arcs lie within long ones. */
function spreadFeet(arcs: readonly Arc[]): void {
  const boxes = new Set(arcs.flatMap((arc) => [arc.left, arc.right]))
  for (const box of boxes) {
    const leftward = arcs.filter((arc) => arc.right === box).toSorted((a, b) => a.span - b.span)
    const rightward = arcs.filter((arc) => arc.left === box).toSorted((a, b) => b.span - a.span)
    const step = box.width / (leftward.length + rightward.length + 1)
    for (const [at, arc] of leftward.entries()) arc.rightFoot = box.x + (at + 1) * step
    for (const [at, arc] of rightward.entries()) arc.leftFoot = box.x + (leftward.length + at + 1) * step
  }
}

/** The shortest nearest to the cards; arcs that would lie on each other get levels of their own. */
function setLevels(arcs: readonly Arc[]): void {
  const levels: Arc[][] = []
  for (const arc of arcs.toSorted((a, b) => a.span - b.span || a.leftFoot - b.leftFoot)) {
    const free = levels.findIndex((others) =>
      others.every((other) => other.rightFoot + 6 < arc.leftFoot || arc.rightFoot + 6 < other.leftFoot),
    )
    arc.level = free < 0 ? levels.length : free
    const others = levels[arc.level]
    if (others) others.push(arc)
    else levels.push([arc])
  }
}

function drawArc({ link, left, right, leftFoot: x1, rightFoot: x2 }: Arc, low: number): string {
  const bend = Math.min(14, (x2 - x1) / 2)
  const [y1, y2] = [left.y + left.height, right.y + right.height]
  const down = `M${x1} ${y1} V${low - bend} Q${x1} ${low} ${x1 + bend} ${low}`
  const up = `H${x2 - bend} Q${x2} ${low} ${x2} ${low - bend} V${y2}`
  const attributes = { class: `line-${link.class}`, 'stroke-width': thickness(link.gbPerSecond) }
  return element('path', { d: `${down} ${up}`, ...attributes })
}

/** A tag stands as near to the arc's middle as it can without hiding the feet of deeper arcs. */
function drawTag({ link, leftFoot, rightFoot, level }: Arc, arcs: readonly Arc[], low: number): string {
  const { label, gbPerSecond } = link
  const text = gbPerSecond ? `${label} · ${rateText(gbPerSecond)} GB/s` : label
  const half = tagWidth(text) / 2 + 4
  const feet = arcs.filter((arc) => arc.level > level).flatMap((arc) => [arc.leftFoot, arc.rightFoot])
  const middle = (leftFoot + rightFoot) / 2
  const reach = (rightFoot - leftFoot) / 2 - half - 14
  const steps = Array.from({ length: Math.max(0, Math.floor(reach / 6)) }, (_, at) => (at + 1) * 6)
  const places = [0, ...steps.flatMap((step) => [-step, step])].map((step) => middle + step)
  const free = places.find((x) => feet.every((foot) => Math.abs(foot - x) > half))
  return tag(free ?? middle, low, text, rightFoot - leftFoot - 28)
}
