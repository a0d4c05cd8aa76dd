import type { LoadCaps, LoadPlan } from './state.ts'

/** A context is not cut below this after a load ran out of memory. */
const shortestContext = 2048

/**
 * What to try next after a load with `plan` ran out of memory: half the slots, then half the context where nobody
 * asked for it by name. Undefined when nothing is left to give up.
 */
export function lowerCaps(plan: LoadPlan): LoadCaps | undefined {
  if (plan.slots > 1) return { slots: Math.floor(plan.slots / 2), contextLength: plan.contextLength }
  if (plan.options.contextLength !== undefined || plan.contextLength <= shortestContext) return undefined
  return { slots: 1, contextLength: Math.max(shortestContext, Math.floor(plan.contextLength / 2)) }
}
