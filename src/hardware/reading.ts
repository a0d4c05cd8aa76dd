import type { Reading, ReadResult } from './contract.ts'

/** A reading with what it has; the rest is empty. */
export function readingOf(tool: string, parts: Partial<Omit<Reading, 'tool'>>): ReadResult {
  return { ok: true, reading: { tool, devices: [], links: [], places: [], notes: [], ...parts } }
}

/** Why a text was not read. */
export function refused(reason: string): ReadResult {
  return { ok: false, reason }
}
