import { z } from 'zod'

export const slotMs = 15 * 60_000
export const slotsOfDay = 86_400_000 / slotMs
export const slotsOfWeek = 7 * slotsOfDay
export const mostGaps = 16

/** When a model was wanted. */
export interface ForecastHistory {
  lastArrivalMs: number
  firstBurstMs: number
  lastBurstMs: number
  /** Between the beginnings of bursts, oldest first. */
  gapsMs: number[]
  /** In how many weeks a burst has begun in each slot of the week. */
  weeks: Uint8Array
  /** Of forecasts, each counted less the longer ago it was. */
  hits: number
  misses: number
  surprises: number
}

export function historyFrom(nowMs: number): ForecastHistory {
  return {
    lastArrivalMs: nowMs,
    firstBurstMs: nowMs,
    lastBurstMs: nowMs,
    gapsMs: [],
    weeks: new Uint8Array(slotsOfWeek),
    hits: 0,
    misses: 0,
    surprises: 0,
  }
}

const count = z.number().min(0)

/** A history as it is kept in a file: of the week those slots that have any. */
export const keptHistory = z.object({
  model: z.string(),
  lastArrivalMs: count,
  firstBurstMs: count,
  lastBurstMs: count,
  gapsMs: z.array(count).max(mostGaps),
  weeks: z
    .array(z.tuple([z.int().min(0).lt(slotsOfWeek), z.int().min(1).max(255)]))
    .max(slotsOfWeek)
    .readonly(),
  hits: count,
  misses: count,
  surprises: count,
})

export type KeptHistory = z.infer<typeof keptHistory>

export function kept(model: string, { weeks, ...history }: ForecastHistory): KeptHistory {
  const slots = [...weeks.entries()].filter(([, times]) => times > 0)
  return { model, ...history, weeks: slots }
}

export function restored({ model: _, weeks: slots, ...history }: KeptHistory): ForecastHistory {
  const weeks = new Uint8Array(slotsOfWeek)
  for (const [slot, times] of slots) weeks[slot] = times
  return { ...history, weeks }
}
