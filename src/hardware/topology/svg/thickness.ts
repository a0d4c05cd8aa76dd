import type { Fact } from '../../contract.ts'

/** Width of a link's line in pixels: the root of its rate, so that 10 and 1000 GB/s go into one picture. */
export function thickness(rate: Fact | undefined): number {
  return rate === undefined ? 1.5 : Math.min(9, 1 + Math.sqrt(Math.max(0, rate.value)) * 0.38)
}
