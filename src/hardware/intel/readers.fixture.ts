import type { Reading } from '../contract.ts'
import { readOutput } from '../read-output.ts'
import { intelReaders } from './index.ts'

/** What the readers make of a text; throws where they refuse it. */
export function read(text: string): Reading {
  const result = readOutput(text, intelReaders)
  if (!result.ok) throw new Error(`not read: ${result.reason}`)
  return result.reading
}

/** Why the readers refuse a text; throws where they read it. */
export function reasonOf(text: string): string {
  const result = readOutput(text, intelReaders)
  if (result.ok) throw new Error(`read as ${result.reading.tool}`)
  return result.reason
}

/** Lines of a table in the frame that xpu-smi draws. */
export const box = (...lines: string[]) => ['+-----+-----+', ...lines, '+-----+-----+', ''].join('\n')
