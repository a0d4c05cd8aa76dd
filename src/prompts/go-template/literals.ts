import { TemplateError } from './error.ts'

const printable = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u
const escapes: Record<string, string> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
}

/** Whether Go would print the character as it is: a space, or anything that leaves ink. */
export function isPrintable(rune: string): boolean {
  return printable.test(rune)
}

/** A string or character as a Go literal (`strconv.Quote`, `strconv.QuoteRune`). */
export function quote(text: string, delimiter: '"' | "'" = '"'): string {
  let quoted = ''
  for (const rune of text) {
    quoted += rune === delimiter ? `\\${rune}` : (escapes[rune] ?? escapeRune(rune))
  }
  return delimiter + quoted + delimiter
}

function escapeRune(rune: string): string {
  const code = rune.codePointAt(0) ?? 0
  // Half a surrogate pair cannot be written as UTF-8.
  if (code >= 0xd800 && code <= 0xdfff) return '\ufffd'
  if (isPrintable(rune)) return rune
  const hex = code.toString(16)
  if (code < 0x80) return `\\x${hex.padStart(2, '0')}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

/** The character at `pos` the way Go's `%#U` shows it: `U+007D '}'`. */
export function describeRune(text: string, pos: number): string {
  const code = text.codePointAt(pos) ?? 0
  const rune = String.fromCodePoint(code)
  const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
  return isPrintable(rune) ? `${name} '${rune}'` : name
}

const simpleEscapes: Record<string, string> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
}
const numericEscapes = /(?:x([\da-fA-F]{2})|([0-7]{3})|u([\da-fA-F]{4})|U([\da-fA-F]{8}))/y

/** One unit of a quoted literal: a text, or a byte that may be part of a character. */
function readEscape(text: string, pos: number, delimiter: string): { value: string | number; end: number } {
  const char = text[pos] ?? ''
  const simple = char === delimiter ? delimiter : simpleEscapes[char]
  if (simple !== undefined) return { value: simple, end: pos + 1 }
  numericEscapes.lastIndex = pos
  const match = numericEscapes.exec(text)
  if (match === null) throw new TemplateError('invalid syntax')
  const [all, hexByte, octalByte, short, long] = match
  const end = pos + all.length
  const byte = hexByte !== undefined ? Number.parseInt(hexByte, 16) : Number.parseInt(octalByte ?? '-1', 8)
  if (byte > 255) throw new TemplateError('invalid syntax')
  if (byte >= 0) return { value: byte, end }
  const code = Number.parseInt(short ?? long ?? '', 16)
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new TemplateError('invalid syntax')
  return { value: String.fromCodePoint(code), end }
}

/** The text of a quoted or raw string literal, delimiters included (`strconv.Unquote`). Throws `TemplateError`. */
export function unquote(literal: string): string {
  const delimiter = literal[0] ?? ''
  const inner = literal.slice(1, -1)
  if (delimiter === '`') return inner.replaceAll('\r', '')
  let text = ''
  let bytes: number[] = []
  let pos = 0
  while (pos < inner.length) {
    const backslash = inner.indexOf('\\', pos)
    const plain = inner.slice(pos, backslash < 0 ? inner.length : backslash)
    if (plain !== '') {
      text += Buffer.from(bytes).toString() + plain
      bytes = []
    }
    if (backslash < 0) break
    const { value, end } = readEscape(inner, backslash + 1, delimiter)
    if (typeof value === 'number') bytes.push(value)
    else {
      text += Buffer.from(bytes).toString() + value
      bytes = []
    }
    pos = end
  }
  return text + Buffer.from(bytes).toString()
}

function parseCharConstant(literal: string): bigint {
  const inner = literal.slice(1, -1)
  const escaped = inner[0] === '\\' ? readEscape(inner, 1, "'") : undefined
  const value = escaped?.value ?? String.fromCodePoint(inner.codePointAt(0) ?? 0)
  const length = escaped?.end ?? value.toString().length
  if (inner === '') throw new TemplateError('invalid syntax')
  if (length !== inner.length) throw new TemplateError(`malformed character constant: ${literal}`)
  return BigInt(typeof value === 'number' ? value : (value.codePointAt(0) ?? 0))
}

const integer = /^([+-]?)(0[xX](?:_?[\da-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?\d)*)$/
const decimalFloat = /^[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?$/
const hexFloat = /^([+-]?)0[xX]([\da-fA-F_]*)\.?([\da-fA-F_]*)[pP]([+-]?\d+)$/
const hexInteger = /^0[xX][^pP]*$/

function parseInteger(text: string): bigint | undefined {
  const match = integer.exec(text)
  if (match === null) return undefined
  const digits = (match[2] ?? '').replaceAll('_', '')
  const isOldOctal = /^0\d/.test(digits)
  const magnitude = BigInt(isOldOctal ? `0o${digits.slice(1)}` : digits)
  return match[1] === '-' ? -magnitude : magnitude
}

function parseFloatLiteral(text: string): number | undefined {
  const hex = hexFloat.exec(text.replaceAll('_', ''))
  if (hex !== null) {
    const [, sign, whole = '', fraction = '', exponent] = hex
    if (whole + fraction === '') return undefined
    const mantissa = Number.parseInt(whole + fraction, 16)
    return (sign === '-' ? -1 : 1) * mantissa * 2 ** (Number(exponent) - 4 * fraction.length)
  }
  if (!decimalFloat.test(text)) return undefined
  const value = Number(text.replaceAll('_', ''))
  return Number.isFinite(value) ? value : undefined
}

/**
 * A number literal: a `bigint` is Go's int, a `number` its float64. Integers beyond 64 bits are only refused when
 * they are used, as Go does. Throws `TemplateError`.
 */
export function parseNumber(literal: string): bigint | number {
  if (literal.startsWith("'")) return parseCharConstant(literal)
  if (literal.endsWith('i')) throw new TemplateError(`complex numbers are not supported: ${quote(literal)}`)
  const asInteger = parseInteger(literal)
  const looksFloat = /[.eEpP]/.test(literal) && !hexInteger.test(literal)
  if (asInteger !== undefined && asInteger < 1n << 64n && asInteger >= -(1n << 63n)) {
    return looksFloat ? Number(asInteger) : asInteger
  }
  const asFloat = parseFloatLiteral(literal)
  if (asFloat !== undefined && looksFloat) return asFloat
  if (asFloat !== undefined || asInteger !== undefined) {
    throw new TemplateError(`integer overflow: ${quote(literal)}`)
  }
  throw new TemplateError(`illegal number syntax: ${quote(literal)}`)
}
