import type { OutputReader, ReadResult } from './contract.ts'
import { refused } from './reading.ts'

/** A text longer than this is no tool's. */
const mostCharacters = 16 * 1024 * 1024

/**
 * Reads whatever a tool of a GPU vendor, or the system, has printed: the readers are asked in turn. A text that none
 * takes is refused with a reason. Never throws.
 */
export function readOutput(text: string, readers: readonly OutputReader[]): ReadResult {
  if (text.trim() === '') return refused('the text is empty')
  if (text.length > mostCharacters)
    return refused(`the text has ${text.length} characters: no tool prints so much`)
  const candidates = readers.filter((reader) => reader.matches(text))
  let reason: string | undefined
  for (const reader of candidates) {
    const result = reader.read(text)
    if (result.ok) return result
    reason ??= result.reason
  }
  return refused(reason ?? 'it is nothing that a tool for GPUs prints, as far as Drover knows')
}
