/** How values are spread, in their own unit. */
export interface Spread {
  mean: number
  p50: number
  p90: number
  p99: number
}

/** Of values in any order, which are sorted in place. All zero where there is none. */
export function spreadOf(values: number[] | Float64Array): Spread {
  const inOrder = values.sort((a, b) => a - b)
  let total = 0
  for (const value of inOrder) total += value
  return {
    mean: inOrder.length > 0 ? total / inOrder.length : 0,
    p50: quantile(inOrder, 0.5),
    p90: quantile(inOrder, 0.9),
    p99: quantile(inOrder, 0.99),
  }
}

/** Of values in order; between two of them it is taken to grow evenly. */
export function quantile(inOrder: ArrayLike<number>, share: number): number {
  const at = share * (inOrder.length - 1)
  const low = inOrder[Math.floor(at)] ?? 0
  const high = inOrder[Math.ceil(at)] ?? low
  return low + (high - low) * (at - Math.floor(at))
}
