import type { Tool, ToolProperty } from '../../inference/index.ts'
import { leadingSpace } from '../text.ts'
import type { BlockEnd, FoundCall } from './sections.ts'

/**
 * The notation in which Gemma's function calling models read and write values: JSON with bare keys, and strings
 * between two of a special token (`<|"|>` for Gemma 4, `<escape>` for FunctionGemma), so that nothing is escaped.
 */

/** A value in the notation. Keys come in alphabetical order, as in the published templates. */
export function gemmaValue(value: unknown, quote: string, quoteKeys = false): string {
  if (typeof value === 'string') return quote + value + quote
  if (Array.isArray(value)) return `[${value.map((item) => gemmaValue(item, quote, quoteKeys)).join(',')}]`
  if (typeof value !== 'object' || value === null) return String(value ?? null)
  const edge = quoteKeys ? quote : ''
  return `{${sortedEntries(value)
    .map(([key, item]) => `${edge}${key}${edge}:${gemmaValue(item, quote, quoteKeys)}`)
    .join(',')}}`
}

/** An object's entries as Jinja's `dictsort` gives them: by key, whatever its case. */
export function sortedEntries<T>(object: Record<string, T> | object): [string, T][] {
  return Object.entries(object as Record<string, T>)
    .map(([key, value]) => ({ key, value, lower: key.toLowerCase() }))
    .sort((a, b) => (a.lower < b.lower ? -1 : a.lower > b.lower ? 1 : 0))
    .map(({ key, value }) => [key, value])
}

/** A function's declaration, its properties written by `property`. */
export function gemmaDeclaration(
  { function: { name, description = '', parameters } }: Tool,
  quote: string,
  property: (property: ToolProperty) => string,
): string {
  const members: string[] = []
  const properties = sortedEntries<ToolProperty>(parameters?.properties ?? {})
  if (properties.length > 0) {
    members.push(`properties:{${properties.map(([key, value]) => `${key}:${property(value)}`).join(',')}}`)
  }
  if (parameters?.required?.length) members.push(`required:${gemmaValue(parameters.required, quote)}`)
  if (parameters?.type) members.push(`type:${gemmaValue(parameters.type.toUpperCase(), quote)}`)
  const described = `description:${gemmaValue(description, quote)}`
  return `declaration:${name}{${described}${members.length > 0 ? `,parameters:{${members.join(',')}}` : ''}}`
}

/**
 * A search for the end of `call:name{...}`: the brace that closes its arguments, wherever the model forgets its
 * closing marker. Where that brace does not come, the end is the first `close` marker, string or not.
 */
export function gemmaCallEnd(
  quote: string,
  close: string,
): () => (text: string, isLast: boolean) => BlockEnd | undefined {
  return () => {
    let position = 0
    let depth = 0
    let string: 'none' | 'gemma' | 'json' = 'none'
    return (text, isLast) => {
      while (position < text.length) {
        if (!isLast && isPrefixOf(text, position, quote, close)) return undefined
        if (string !== 'json' && text.startsWith(quote, position)) {
          string = string === 'gemma' ? 'none' : 'gemma'
          position += quote.length
          continue
        }
        const char = text.charAt(position)
        if (string === 'json' && char === '\\') position++
        else if (char === '"' && string !== 'gemma') string = string === 'json' ? 'none' : 'json'
        else if (string !== 'none') {
          // Whatever stands in a string is its text.
        } else if (depth === 0 && text.startsWith(close, position)) return endAt(text, position)
        else if (char === '{' || char === '[') depth++
        else if (depth > 0 && (char === '}' || char === ']')) depth--
        position++
        if (depth === 0 && string === 'none' && char === '}') return { body: position, rest: position }
      }
      return isLast ? endAt(text, text.indexOf(close)) : undefined
    }
  }

  function endAt(text: string, at: number): BlockEnd {
    return at < 0 ? { body: text.length, rest: text.length } : { body: at, rest: at + close.length }
  }
}

/** Whether the text ends within one of the markers that would begin at `position`. */
function isPrefixOf(text: string, position: number, ...markers: string[]): boolean {
  return markers.some(
    (marker) => text.length - position < marker.length && marker.startsWith(text.slice(position)),
  )
}

/** Reads `call:name{key:value,...}`, as tolerantly as its meaning is plain; undefined where it is not. */
export function readGemmaCall(text: string, quote: string): FoundCall | undefined {
  const brace = text.indexOf('{')
  const head = text.slice(0, brace).trim()
  if (brace < 0 || !head.startsWith('call:')) return undefined
  const name = head.slice('call:'.length).trim()
  const args = createReader(text.slice(brace), quote).object()
  return name === '' || args === undefined ? undefined : { name, args }
}

/** The value is no value, or not a whole one. */
const broken = Symbol('broken')

const maxDepth = 100

/** Reads values one behind the other. What a model leaves open at the very end counts as closed. */
function createReader(text: string, quote: string) {
  let at = 0
  let depth = 0

  function skipSpace(): string {
    at += leadingSpace(text.slice(at))
    return text.charAt(at)
  }

  function value(): unknown {
    const char = skipSpace()
    if (text.startsWith(quote, at)) return quoted(quote)
    if (char === '"') return jsonString() ?? bare()
    if (char === "'") return singleQuoted() ?? bare()
    if (char !== '{' && char !== '[') return bare()
    if (depth === maxDepth) return broken
    depth++
    const nested = char === '{' ? (object() ?? broken) : list()
    depth--
    return nested
  }

  /** A string to the next quote token; one that is left open goes to the last brace. */
  function quoted(mark: string): string {
    const start = at + mark.length
    const end = text.indexOf(mark, start)
    if (end >= 0) {
      at = end + mark.length
      return text.slice(start, end)
    }
    const trimmed = text.trimEnd()
    at = /[}\]]$/.test(trimmed) ? trimmed.length - 1 : trimmed.length
    return text.slice(start, at)
  }

  function jsonString(): string | undefined {
    const literal = /^"(?:[^"\\]|\\[\s\S])*"/.exec(text.slice(at))?.[0]
    if (literal === undefined) return undefined
    at += literal.length
    try {
      return String(JSON.parse(literal))
    } catch {
      // Line ends and odd escapes are no JSON, but they are what the model meant to write.
      return literal.slice(1, -1)
    }
  }

  /** `'text'`, which some models write, at times with a stray quote token behind it. */
  function singleQuoted(): string | undefined {
    const literal = /^'((?:[^'\\]|\\[\s\S])*)'/.exec(text.slice(at))
    if (literal === null) return undefined
    let end = at + literal[0].length
    if (text.startsWith(quote, end)) end += quote.length
    if (!/^\s*([,}\]]|$)/.test(text.slice(end))) return undefined
    at = end
    return literal[1] ?? ''
  }

  /** A number, a word, or a string without its quotes: up to the next key, or to the end of what holds it. */
  function bare(): unknown {
    const rest = text.slice(at)
    const literal = /^(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=\s*(?:[,}\]]|$))/.exec(rest)?.[0]
    if (literal !== undefined) {
      at += literal.length
      return JSON.parse(literal)
    }
    const stop = /,\s*[\p{L}\p{N}_]+\s*:|[}\]]\s*(?=$|[,}\]])|,(?=[^:{}[\]]{0,200}\])/u.exec(rest)
    const end = stop?.index ?? rest.length
    at += end
    const word = rest.slice(0, end).trim()
    return word === '' ? broken : word
  }

  function key(): string | undefined {
    skipSpace()
    if (text.startsWith(quote, at)) return quoted(quote)
    const found = /^(?:"([^"]*)"|'([^']*)'|([^\s:{}[\],]+))/.exec(text.slice(at))
    if (found === null) return undefined
    at += found[0].length
    return found[1] ?? found[2] ?? found[3]
  }

  /** Takes a comma; false where the closing bracket or the end comes, undefined for anything else. */
  function more(close: string): boolean | undefined {
    const char = skipSpace()
    if (char === ',') at++
    if (char === close) at++
    return char === ',' ? true : char === close || char === '' ? false : undefined
  }

  function object(): Record<string, unknown> | undefined {
    const entries: [string, unknown][] = []
    at++
    while (skipSpace() !== '}' && at < text.length) {
      const name = key()
      if (name === undefined || skipSpace() !== ':') return undefined
      at++
      const member = value()
      if (member === broken) return undefined
      entries.push([name, member])
      const goesOn = more('}')
      if (goesOn === undefined) return undefined
      if (!goesOn) return Object.fromEntries(entries)
    }
    at++
    return Object.fromEntries(entries)
  }

  function list(): unknown {
    const items: unknown[] = []
    at++
    while (skipSpace() !== ']' && at < text.length) {
      const item = value()
      if (item === broken) return broken
      items.push(item)
      const goesOn = more(']')
      if (goesOn === undefined) return broken
      if (!goesOn) return items
    }
    at++
    return items
  }

  return { object }
}
