import type { PcieLink } from '../contract.ts'
import { present } from '../units.ts'

/** Transfers a second of each generation, in 10^9 (PCI Express base specifications 1 to 7). */
const generations: readonly number[] = [2.5, 5, 8, 16, 32, 64, 128]
const widths = new Set([1, 2, 4, 8, 12, 16, 32])

/** The generation that a speed such as `16.0 GT/s PCIe` or `32GT/s` belongs to; undefined where it is none. */
export function generationOf(speed: string | undefined): number | undefined {
  const [, figure] = /(\d+(?:\.\d+)?)\s*GT\/s/i.exec(speed ?? '') ?? []
  const at = generations.indexOf(Number(figure))
  return at < 0 ? undefined : at + 1
}

/** Lanes in `16`, `x16`; undefined where the kernel writes a figure that no slot has (0, 63, 255). */
export function widthOf(text: string | undefined): number | undefined {
  const [, figure] = /^\s*x?(\d+)\s*$/.exec(text ?? '') ?? []
  const width = Number(figure)
  return widths.has(width) ? width : undefined
}

/** A link of what is told; undefined where nothing is. */
export function linkOf(
  speed?: string,
  width?: string,
  maxSpeed?: string,
  maxWidth?: string,
): PcieLink | undefined {
  const link = present({
    generation: generationOf(speed),
    width: widthOf(width),
    maxGeneration: generationOf(maxSpeed),
    maxWidth: widthOf(maxWidth),
  })
  return Object.keys(link).length > 0 ? link : undefined
}
