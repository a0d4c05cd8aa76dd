import { leadingSpace } from '../text.ts'
import type { BlockEnd, FoundCall } from './sections.ts'

/**
 * Calls written as Python: `f(a=1, b="x")`, one or several, by comma or by line, within `[` and `]` or not. Values
 * are literals of Python or of JSON; other text counts as a string.
 */

const maxDepth = 100

/** The value is no value. */
const broken = Symbol('broken')

/** Reads calls; undefined where the text is not made of them. */
export function readPythonCalls(text: string): FoundCall[] | undefined {
  const reader = createReader(text.trim())
  return reader.calls()
}

/** Whether a text begins with a call, or a list of calls, of a known function; undefined while it may. */
export function beginsPythonCall(text: string, names: ReadonlySet<string>): boolean | undefined {
  const start = text.slice(leadingSpace(text))
  const inner = start.startsWith('[') ? start.slice(1).trimStart() : start
  if (inner === '') return names.size > 0 ? undefined : false
  let begins: boolean | undefined = false
  for (const name of names) {
    if (inner.startsWith(`${name}(`)) return true
    if (`${name}(`.startsWith(inner)) begins = undefined
  }
  return begins
}

/** A search for the end of one call, or of a list of them. */
export function untilPythonEnd(): (text: string) => BlockEnd | undefined {
  let position = 0
  let depth = 0
  let quote = ''
  return (text) => {
    for (; position < text.length; position++) {
      const char = text.charAt(position)
      if (quote !== '') {
        if (char === '\\') position++
        else if (char === quote) quote = ''
      } else if (depth > 0 && (char === '"' || char === "'")) quote = char
      else if (char === '(' || char === '[' || char === '{') depth++
      else if ((char === ')' || char === ']' || char === '}') && --depth <= 0) {
        return { body: position + 1, rest: position + 1 }
      } else if (depth === 0 && char === '\n' && position > leadingSpace(text)) {
        return { body: position, rest: position }
      }
    }
    return undefined
  }
}

function createReader(text: string) {
  let at = 0
  let depth = 0

  function skipSpace(): string {
    at += leadingSpace(text.slice(at))
    return text.charAt(at)
  }

  function take(char: string): boolean {
    const isThere = skipSpace() === char
    if (isThere) at++
    return isThere
  }

  function match(pattern: RegExp): string | undefined {
    const found = pattern.exec(text.slice(at))?.[0]
    at += found?.length ?? 0
    return found
  }

  function calls(): FoundCall[] | undefined {
    const isList = take('[')
    const found: FoundCall[] = []
    while (skipSpace() !== '' && !(isList && text.charAt(at) === ']')) {
      const call = oneCall()
      if (call === undefined) return undefined
      found.push(call)
      take(',')
    }
    if (isList) take(']')
    return found.length > 0 && skipSpace() === '' ? found : undefined
  }

  function oneCall(): FoundCall | undefined {
    const name = match(/^[\w.-]+/)
    if (name === undefined || !take('(')) return undefined
    const entries: [string, unknown][] = []
    while (!take(')')) {
      const key = match(/^[\w-]+/)
      if (key === undefined || !take('=')) return undefined
      const argument = value()
      if (argument === broken) return undefined
      entries.push([key, argument])
      if (!take(',') && skipSpace() !== ')') return undefined
    }
    return { name, args: Object.fromEntries(entries) }
  }

  function value(): unknown {
    const char = skipSpace()
    if (char === '"' || char === "'") return string()
    if (char !== '[' && char !== '(' && char !== '{') return bare()
    if (depth === maxDepth) return broken
    depth++
    at++
    const nested = char === '{' ? dictionary() : list(char === '[' ? ']' : ')')
    depth--
    return nested
  }

  function string(): unknown {
    const literal = match(/^("""|''')[\s\S]*?\1/) ?? match(/^(["'])(?:\\[\s\S]|(?!\1)[^\\])*\1/)
    if (literal === undefined) return broken
    const edge = /^("""|''')/.test(literal) && literal.length >= 6 ? 3 : 1
    return unescaped(literal.slice(edge, -edge))
  }

  /** A literal, or text up to what ends it. */
  function bare(): unknown {
    const word = match(/^[^,()[\]{}]*/)?.trim() ?? ''
    if (word === '') return broken
    if (word === 'true' || word === 'True') return true
    if (word === 'false' || word === 'False') return false
    if (word === 'null' || word === 'None') return null
    return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(word) ? Number(word) : word
  }

  function list(close: string): unknown {
    const items: unknown[] = []
    while (!take(close)) {
      const item = value()
      if (item === broken) return broken
      items.push(item)
      if (!take(',') && skipSpace() !== close) return broken
    }
    return items
  }

  function dictionary(): unknown {
    const entries: [string, unknown][] = []
    while (!take('}')) {
      const char = skipSpace()
      const key = char === '"' || char === "'" ? string() : match(/^[^\s:,{}]+/)
      if (typeof key !== 'string' || !take(':')) return broken
      const item = value()
      if (item === broken) return broken
      entries.push([key, item])
      if (!take(',') && skipSpace() !== '}') return broken
    }
    return Object.fromEntries(entries)
  }

  return { calls }
}

const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '0': '\0', '\n': '' }

/** Undoes the escapes that Python and JSON share; any other backslash stays. */
function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\s\S]))/g, (whole, unicode, hex, char) => {
    if (char === undefined) return String.fromCharCode(Number.parseInt(unicode ?? hex, 16))
    return '\\\'"/'.includes(char) ? char : (escapes[char] ?? whole)
  })
}
