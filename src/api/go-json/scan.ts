import { quoteByte } from './quote.ts'

/**
 * Deepest nesting of a request. Go stops at 10 000; a thousand levels are already more than any client sends and
 * leave the stack of every later reader safe.
 */
const maxNestingDepth = 1000

/** Where the first JSON value ends, or why it is none, in the words of Go's `encoding/json` scanner. */
type ScanResult = { end: number } | { error: string }

class ScanError extends Error {}

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39

/**
 * Walks the first JSON value of `bytes` as Go's decoder does (states and wording of encoding/json/scanner.go):
 * bytes after the value are not looked at, an input of only spaces is `EOF`, one that stops early `unexpected EOF`.
 * Much slower than `JSON.parse`, so it only runs on what that refused.
 */
export function scanJson(bytes: Uint8Array): ScanResult {
  const scanner = createScanner(bytes)
  try {
    return { end: scanner.value() }
  } catch (thrown) {
    if (thrown instanceof ScanError) return { error: thrown.message }
    throw thrown
  }
}

function createScanner(bytes: Uint8Array) {
  let at = 0

  const next = (): number => {
    const byte = bytes[at]
    if (byte === undefined) throw new ScanError('unexpected EOF')
    return byte
  }
  const refuse = (context: string): never => {
    throw new ScanError(`invalid character ${quoteByte(next())} ${context}`)
  }
  const skipSpaces = () => {
    for (let byte = bytes[at]; byte !== undefined && isSpace(byte); byte = bytes[at]) at++
  }

  const string = () => {
    at++
    for (;;) {
      const byte = next()
      if (byte === quote) break
      if (byte < 0x20) refuse('in string literal')
      at++
      if (byte === backslash) escapeSequence()
    }
    at++
  }
  const escapeSequence = () => {
    const byte = next()
    if (byte === 0x75) {
      at++
      for (let digits = 0; digits < 4; digits++) {
        if (!/[0-9a-fA-F]/.test(String.fromCharCode(next()))) refuse('in \\u hexadecimal character escape')
        at++
      }
      return
    }
    if (!'bfnrt\\/"'.includes(String.fromCharCode(byte))) refuse('in string escape code')
    at++
  }
  const literal = (word: string) => {
    at++
    for (const letter of word.slice(1)) {
      if (next() !== letter.charCodeAt(0)) refuse(`in literal ${word} (expecting '${letter}')`)
      at++
    }
  }
  const digits = () => {
    for (let byte = bytes[at]; byte !== undefined && isDigit(byte); byte = bytes[at]) at++
  }
  const number = () => {
    if (next() === 0x2d) at++
    if (!isDigit(next())) refuse('in numeric literal')
    if (next() === 0x30) at++
    else digits()
    if (bytes[at] === 0x2e) {
      at++
      if (!isDigit(next())) refuse('after decimal point in numeric literal')
      digits()
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      at++
      if (next() === 0x2b || next() === 0x2d) at++
      if (!isDigit(next())) refuse('in exponent of numeric literal')
      digits()
    }
  }
  const scalar = () => {
    const byte = next()
    if (byte === quote) string()
    else if (byte === 0x2d || isDigit(byte)) number()
    else if (byte === 0x74) literal('true')
    else if (byte === 0x66) literal('false')
    else if (byte === 0x6e) literal('null')
    else refuse('looking for beginning of value')
  }
  const key = () => {
    if (next() !== quote) refuse('looking for beginning of object key string')
    string()
    skipSpaces()
    if (next() !== 0x3a) refuse('after object key')
    at++
  }

  /** Reads one whole value; returns the offset after it. */
  const value = (): number => {
    const closers: number[] = []
    skipSpaces()
    if (bytes[at] === undefined) throw new ScanError('EOF')
    for (;;) {
      skipSpaces()
      const opener = next()
      if (opener === openBrace || opener === openBracket) {
        if (closers.length === maxNestingDepth) refuse('exceeded max depth')
        const closer = opener === openBrace ? closeBrace : closeBracket
        at++
        skipSpaces()
        if (next() === closer) at++
        else {
          closers.push(closer)
          if (opener === openBrace) key()
          continue
        }
      } else scalar()
      if (closeAll(closers)) return at
    }
  }
  /** After a value: closes what ends here; true when nothing is open, false when another value must follow. */
  const closeAll = (closers: number[]): boolean => {
    for (;;) {
      const closer = closers.at(-1)
      if (closer === undefined) return true
      skipSpaces()
      if (next() === 0x2c) {
        at++
        skipSpaces()
        if (closer === closeBrace) key()
        return false
      }
      if (next() !== closer)
        refuse(closer === closeBrace ? 'after object key:value pair' : 'after array element')
      at++
      closers.pop()
    }
  }
  return { value }
}

/**
 * Whether a JSON text nests deeper than `maxNestingDepth`. Strings are skipped by searching for their end, so an
 * image of megabytes costs no more than finding one byte.
 */
export function nestsTooDeep(bytes: Buffer): boolean {
  if (bytes.length <= maxNestingDepth) return false
  let depth = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) at = endOfString(bytes, at + 1)
    else if (byte === openBrace || byte === openBracket) {
      if (++depth > maxNestingDepth) return true
    } else if (byte === closeBrace || byte === closeBracket) depth--
  }
  return false
}

function endOfString(bytes: Buffer, start: number): number {
  for (let at = bytes.indexOf(quote, start); at >= 0; at = bytes.indexOf(quote, at + 1)) {
    let backslashes = 0
    while (bytes[at - 1 - backslashes] === backslash) backslashes++
    if (backslashes % 2 === 0) return at
  }
  return bytes.length
}
