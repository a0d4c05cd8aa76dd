import type { LifecycleState } from '../lifecycle/index.ts'

/** Whether an instance outside of `avoid` serves the model, or one would be loaded. */
export function hasOther({ entries }: LifecycleState, key: string, avoid: ReadonlySet<number>): boolean {
  const own = [...entries.values()].filter((entry) => entry.key === key && entry.phase !== 'closing')
  return own.length === 0 || own.some(({ id }) => !avoid.has(id))
}

/** Whether an instance of the model outside of `taken` has a slot free. */
export function hasIdle({ entries }: LifecycleState, key: string, taken: ReadonlySet<number>): boolean {
  return [...entries.values()].some(
    (entry) =>
      entry.key === key &&
      entry.phase === 'ready' &&
      !entry.retiring &&
      !taken.has(entry.id) &&
      entry.busy < entry.plan.slots,
  )
}

/** Slots that nobody runs in or waits for; one where nothing is loaded yet. */
export function idleSlots({ entries, waiters }: LifecycleState): number {
  if (entries.size === 0 && waiters.size === 0) return 1
  const ready = [...entries.values()].filter(({ phase, retiring }) => phase === 'ready' && !retiring)
  const free = ready.reduce((sum, { plan, busy }) => sum + Math.max(0, plan.slots - busy), 0)
  return Math.max(0, free - waiters.size)
}
