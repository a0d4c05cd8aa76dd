const shortEscapes: Record<string, string> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
}

// What Go's strconv.IsPrint refuses: controls, surrogates, unassigned, and every space but U+0020.
const needsEscape = /["\\\p{C}\p{Z}]/gu

/** A string as Go's `%q` prints it (strconv.Quote). */
export function goQuote(text: string): string {
  return `"${text.replace(needsEscape, escapeRune)}"`
}

function escapeRune(rune: string): string {
  const short = shortEscapes[rune]
  if (short !== undefined) return short
  if (rune === ' ') return rune
  const code = rune.codePointAt(0) ?? 0
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
  if (code < 0x1_0000) return `\\u${code.toString(16).padStart(4, '0')}`
  return `\\U${code.toString(16).padStart(8, '0')}`
}

/** One byte as the messages of Go's JSON scanner show it: quoted as the Unicode character of that number. */
export function quoteByte(byte: number): string {
  if (byte === 0x27) return `'\\''`
  if (byte === 0x22) return `'"'`
  return `'${goQuote(String.fromCharCode(byte)).slice(1, -1)}'`
}
