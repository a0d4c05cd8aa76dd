/**
 * Steps of one instance between which nothing changes but the length of its sequences: the first takes `firstMs`,
 * each next one `growthMs` more, because each adds a token to every sequence that decodes.
 */
export interface Stretch {
  startMs: number
  firstMs: number
  growthMs: number
  steps: number
}

/** Milliseconds that the first `steps` steps take: an arithmetic series. */
export function spanMs({ firstMs, growthMs }: Stretch, steps: number): number {
  return steps * firstMs + (growthMs * steps * (steps - 1)) / 2
}

export function endMs(stretch: Stretch): number {
  return stretch.startMs + spanMs(stretch, stretch.steps)
}

/** Steps that are over at `nowMs`; a step that ends at this very time is over. */
export function stepsOver(stretch: Stretch, nowMs: number): number {
  const passed = nowMs - stretch.startMs
  const { firstMs, growthMs, steps } = stretch
  if (passed < firstMs) return 0
  const half = firstMs - growthMs / 2
  const root =
    growthMs > 0 ? (Math.sqrt(half * half + 2 * growthMs * passed) - half) / growthMs : passed / firstMs
  let count = Math.min(steps, Math.floor(root))
  // The root is rounded: what counts is the sum that says when each step ends.
  while (count < steps && stretch.startMs + spanMs(stretch, count + 1) <= nowMs) count++
  while (count > 0 && stretch.startMs + spanMs(stretch, count) > nowMs) count--
  return count
}
