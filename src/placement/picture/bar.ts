/** What a stretch of a bar stands for. */
export type BarPart = 'weights' | 'kvCache' | 'buffers' | 'extras' | 'free' | 'kept'

interface Look {
  /** Told apart without colour too. */
  glyph: string
  /** ANSI's code of a colour that is readable on light and dark. */
  sgr: string
  meaning: string
}

/** In the order in which they stand in a bar. */
export const looks: Readonly<Record<BarPart, Look>> = {
  weights: { glyph: '█', sgr: '36', meaning: 'weights' },
  kvCache: { glyph: '▓', sgr: '33', meaning: 'KV cache' },
  buffers: { glyph: '▒', sgr: '35', meaning: 'buffers' },
  extras: { glyph: '+', sgr: '34', meaning: 'projector, draft' },
  free: { glyph: '·', sgr: '2', meaning: 'free' },
  kept: { glyph: '/', sgr: '2', meaning: 'kept or taken' },
}

export const barParts = Object.keys(looks) as BarPart[]

export function painted(part: BarPart, cells: number, color: boolean): string {
  const { glyph, sgr } = looks[part]
  if (cells <= 0) return ''
  return color ? `\u001b[${sgr}m${glyph.repeat(cells)}\u001b[0m` : glyph.repeat(cells)
}

/** Less of the whole than this is no cell of its own. */
const leastShare = 0.002

/**
 * Divides `width` cells by the parts' bytes: the largest remainders get what is left, and what is used has one cell at
 * least.
 */
export function cellsOf(
  bytes: Readonly<Record<BarPart, number>>,
  width: number,
): Readonly<Record<BarPart, number>> {
  const total = barParts.reduce((sum, part) => sum + Math.max(0, bytes[part]), 0)
  const exact = barParts.map((part) => ({
    part,
    cells: total > 0 ? (Math.max(0, bytes[part]) / total) * width : part === 'free' ? width : 0,
    least: part !== 'free' && part !== 'kept' && total > 0 && bytes[part] / total > leastShare ? 1 : 0,
  }))
  const cells = new Map(
    exact.map(({ part, cells: share, least }) => [part, Math.max(least, Math.floor(share))]),
  )
  const sum = () => [...cells.values()].reduce((all, count) => all + count, 0)
  const byRemainder = exact.toSorted((a, b) => (b.cells % 1) - (a.cells % 1))
  for (const { part } of byRemainder) if (sum() < width) cells.set(part, (cells.get(part) ?? 0) + 1)
  while (sum() > width) {
    const [part, count] = [...cells].reduce((most, one) => (one[1] > most[1] ? one : most))
    cells.set(part, count - 1)
  }
  const of = (part: BarPart) => cells.get(part) ?? 0
  return {
    weights: of('weights'),
    kvCache: of('kvCache'),
    buffers: of('buffers'),
    extras: of('extras'),
    free: of('free'),
    kept: of('kept'),
  }
}
