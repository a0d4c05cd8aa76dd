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
 * Divides `width` cells by bytes: the largest remainders get what is left, and what is `shown` has one cell at least, as
 * far as there are as many.
 */
export function divideCells(
  parts: readonly { bytes: number; shown: boolean }[],
  width: number,
): readonly number[] {
  const total = parts.reduce((sum, { bytes }) => sum + Math.max(0, bytes), 0)
  const exact = parts.map(({ bytes }) => (total > 0 ? (Math.max(0, bytes) / total) * width : 0))
  const cells = exact.map((share, at) => Math.max(parts[at]?.shown ? 1 : 0, Math.floor(share)))
  const sum = () => cells.reduce((all, count) => all + count, 0)
  const byRemainder = exact.map((share, at) => ({ at, rest: share % 1 })).toSorted((a, b) => b.rest - a.rest)
  for (const { at } of byRemainder) if (sum() < width) cells[at] = (cells[at] ?? 0) + 1
  while (sum() > width) {
    const most = cells.indexOf(Math.max(...cells))
    cells[most] = (cells[most] ?? 1) - 1
  }
  return cells
}

/** The cells of a bar: what is used of the device has one at least. */
export function cellsOf(
  bytes: Readonly<Record<BarPart, number>>,
  width: number,
): Readonly<Record<BarPart, number>> {
  const total = barParts.reduce((sum, part) => sum + Math.max(0, bytes[part]), 0)
  const cells = divideCells(
    barParts.map((part) => ({
      bytes: total > 0 ? bytes[part] : Number(part === 'free'),
      shown: part !== 'free' && part !== 'kept' && total > 0 && bytes[part] / total > leastShare,
    })),
    width,
  )
  const of = (part: BarPart) => cells[barParts.indexOf(part)] ?? 0
  return {
    weights: of('weights'),
    kvCache: of('kvCache'),
    buffers: of('buffers'),
    extras: of('extras'),
    free: of('free'),
    kept: of('kept'),
  }
}
