import { type FoundCall, isRecord, parseObject } from './sections.ts'

const firstKeys = ['"name"', '"function"', '"type"', '"parameters"', '"arguments"', '"id"']

/** Whether an object may be a call, by its first key; undefined while that is not certain. */
export function beginsJsonCall(object: string): boolean | undefined {
  const key = object.slice(1).trimStart()
  let begins: boolean | undefined = false
  for (const known of firstKeys) {
    if (key.startsWith(known)) return true
    if (known.startsWith(key)) begins = undefined
  }
  return begins
}

/** Reads a call such as `{"name": "f", "parameters": {}}`, in any of the spellings that models use. */
export function readJsonCall(value: unknown): FoundCall | undefined {
  if (!isRecord(value)) return undefined
  const inner = isRecord(value.function) ? value.function : value
  const name = inner.name ?? value.function
  const args = inner.parameters ?? inner.arguments ?? {}
  const read = typeof args === 'string' ? parseObject(args) : isRecord(args) ? args : undefined
  return typeof name === 'string' && name !== '' && read !== undefined ? { name, args: read } : undefined
}
