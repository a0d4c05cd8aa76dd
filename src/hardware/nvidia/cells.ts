import { isUnavailable } from '../units.ts'

/** One line of a nested report: `nvidia-smi -q` prints it by indentation, `-q -x` as an element. */
export interface Entry {
  /** As `keyOf` gives it. */
  key: string
  value: string
  children: Entry[]
}

/**
 * All that one text says of one card, by dotted key (`fb_memory_usage.total`, `memory.total`), each cell as it was
 * written. The three reports of nvidia-smi (XML, text, CSV) all come down to this, so that one table of names
 * (`fields.ts`) reads them all.
 */
export type Cells = ReadonlyMap<string, string>

/** Words beside those of `isUnavailable` by which nvidia-smi says that a driver cannot tell a value. */
const notTold = /^\[?\s*(function )?not found\s*\]?$|deprecated\s*\]?$/i

/**
 * A name in one form: lower case, `_` for all that is no letter, digit or dot, without a unit in brackets. The words
 * `throttle reasons` (drivers before 535) become `event reasons`.
 */
export function keyOf(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/\s*\[[^\]]*\]$/, '')
    .replace(/[^a-z0-9.]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .replaceAll('clocks_throttle_reason', 'clocks_event_reason')
}

/** The cells below `entries` by their dotted key; what is named in `leftOut` is not descended into. The first of two same keys holds. */
export function cellsOf(entries: readonly Entry[], leftOut: ReadonlySet<string> = new Set()): Cells {
  const cells = new Map<string, string>()
  const walk = (list: readonly Entry[], prefix: string): void => {
    for (const { key, value, children } of list) {
      if (leftOut.has(key)) continue
      const path = prefix === '' ? key : `${prefix}.${key}`
      if (value !== '' && !cells.has(path)) cells.set(path, value)
      walk(children, path)
    }
  }
  walk(entries, '')
  return cells
}

/** The first of the named cells that holds a value; undefined where all say that there is none. */
export function cell(cells: Cells, names: readonly string[]): string | undefined {
  for (const name of names) {
    const text = cells.get(name)
    if (text !== undefined && !isUnavailable(text) && !notTold.test(text)) return text.trim()
  }
  return undefined
}

/** `Yes`, `Enabled`, `On`, `Active` as true, their opposites as false; undefined for all else. */
export function flagOf(text: string | undefined): boolean | undefined {
  const word = text?.trim() ?? ''
  if (/^(yes|enabled|on|active|true|1)$/i.test(word)) return true
  return /^(no|disabled|off|not active|false|0)$/i.test(word) ? false : undefined
}

/** `value`, or undefined where it has no field: so that nothing told is an absent object. */
export function filled<T extends object>(value: T): T | undefined {
  return Object.keys(value).length > 0 ? value : undefined
}
