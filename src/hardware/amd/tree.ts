/**
 * The JSON and the text of amd-smi say the same under the same names. Both are read into one tree of texts, so that one
 * table of names serves every version: a value with a unit, `{"value": 300, "unit": "W"}`, is `300 W` as in the text.
 */
import { isUnavailable } from '../units.ts'

export interface Tree {
  readonly [key: string]: Value
}

export type Value = string | Tree | readonly Value[]

/** Nothing that these tools print is nested deeper. */
const deepest = 16
/** Nor is a value of several lines longer. */
const longest = 4096

/** `MAX_PCIE_WIDTH`, `CPU AFFINITY`, `current level` as `max_pcie_width`, `cpu_affinity`, `current_level`. */
export function keyOf(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
}

/** The first JSON object or array in a text, warnings before and tables after it left out; undefined without one. */
export function jsonOf(text: string): Value | undefined {
  const start = text.search(/^[ \t]*[[{]/m)
  if (start < 0) return undefined
  const end = Math.max(text.lastIndexOf('}'), text.lastIndexOf(']'))
  const whole = parse(text.slice(start, end + 1))
  if (whole !== undefined) return whole
  // What stands after it may hold brackets too: JSON that is printed over lines closes at the start of one.
  const close = /^[\]}]/m.exec(text.slice(start + 1))
  return close ? parse(text.slice(start, start + close.index + 2)) : undefined
}

function parse(text: string): Value | undefined {
  try {
    return plainOf(JSON.parse(text), 0)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function plainOf(value: unknown, depth: number): Value | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === null || typeof value !== 'object' || depth > deepest) return undefined
  if (Array.isArray(value)) {
    return value.map((one) => plainOf(one, depth + 1)).filter((one) => one !== undefined)
  }
  if ('value' in value && Object.keys(value).length <= 2) return measured(value)
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) => {
      const read = plainOf(one, depth + 1)
      return read === undefined ? [] : [[keyOf(key), read] as const]
    }),
  )
}

function measured({ value, unit }: { value: unknown; unit?: unknown }): string {
  const figure = typeof value === 'number' || typeof value === 'string' ? String(value) : 'N/A'
  return typeof unit === 'string' && !isUnavailable(figure) ? `${figure} ${unit}` : figure
}

interface Entry {
  indent: number
  key: string
  value: string
  children: Entry[]
}

/** `GPU: 0` and all that stands indented below it. */
export interface Block {
  key: string
  heading: string
  body: Tree
}

/** What an indented report of `KEY: value` lines holds, and whether its writer left out lines by `...`. */
export function treeOfReport(text: string): { blocks: Block[]; cut: boolean } {
  const root: Entry = { indent: -1, key: '', value: '', children: [] }
  const open = [root]
  let last = root
  let cut = false
  for (const line of text.split('\n')) {
    const words = line.trim()
    if (words === '') continue
    if (/^\.{3}/.test(words)) {
      cut = true
      continue
    }
    const [, indent = '', key = '', value = ''] =
      /^(\s*)([A-Za-z0-9][^:]{0,79}):(?:\s+(.*)|\s*)$/.exec(line) ?? []
    if (key === '') {
      // The rest of a value that was too long for its line.
      if (last.value.length < longest) last.value = `${last.value} ${words}`.trim()
      continue
    }
    while ((open.at(-1)?.indent ?? -1) >= indent.length && open.length > 1) open.pop()
    last = { indent: indent.length, key: keyOf(key), value: value.trim(), children: [] }
    open.at(-1)?.children.push(last)
    if (open.length <= deepest) open.push(last)
  }
  const blocks = root.children.map(({ key, value, children }) => {
    const body = bodyOf({ value: '', children })
    return { key, heading: value, body: isTree(body) ? body : {} }
  })
  return { blocks, cut }
}

/** Names that come several times, as processes do, become a list. */
function bodyOf({ value, children }: Pick<Entry, 'value' | 'children'>): Value {
  if (children.length === 0) return value
  const lists = new Map<string, Value[]>()
  for (const child of children) {
    const list = lists.get(child.key) ?? []
    list.push(bodyOf(child))
    lists.set(child.key, list)
  }
  return Object.fromEntries(
    [...lists].map(([key, list]) => [key, list.length === 1 && list[0] ? list[0] : list]),
  )
}

export function isTree(value: Value | undefined): value is Tree {
  return typeof value === 'object' && !Array.isArray(value)
}

/** A list of trees as it is, one tree as a list of one. */
export function treesOf(value: Value | undefined): Tree[] {
  const list: readonly Value[] = Array.isArray(value) ? value : value === undefined ? [] : [value as Value]
  return list.filter(isTree)
}

/** The value at a dotted path. */
export function at(tree: Tree, path: string): Value | undefined {
  let value: Value | undefined = tree
  for (const key of path.split('.')) {
    if (!isTree(value) || !Object.hasOwn(value, key)) return undefined
    value = value[key]
  }
  return value
}

/** The first text at any of the paths that is a value and not the word for none. */
export function textAt(tree: Tree, ...paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const value = at(tree, path)
    if (typeof value === 'string' && !isUnavailable(value)) return value.trim()
  }
  return undefined
}
