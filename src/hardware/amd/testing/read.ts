import type { Reading } from '../../contract.ts'
import { amdReaders } from '../index.ts'

/** What the first reader that knows the text makes of it; throws with the reason where it is refused. */
export function read(text: string): Reading {
  const reader = amdReaders.find(({ matches }) => matches(text))
  if (!reader) throw new Error(`no reader knows this text: ${text.slice(0, 80)}`)
  const result = reader.read(text)
  if (!result.ok) throw new Error(`${reader.tool}: ${result.reason}`)
  return result.reading
}

/** Why a text is refused; undefined where it is read. */
export function whyRefused(text: string): string | undefined {
  const result = amdReaders.find(({ matches }) => matches(text))?.read(text)
  return result?.ok === false ? result.reason : undefined
}

/** Every number in a value, however deep. */
export function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : []
}
