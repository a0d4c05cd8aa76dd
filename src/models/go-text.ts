/*
 * Values as Go's package `fmt` prints them: `/api/show` shows parameters in this form, and clients read it.
 */

const escapes: Record<string, string> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
}

/** A text as a Go string literal (`strconv.Quote`): what cannot be printed is escaped. */
export function goQuote(text: string): string {
  const characters = Array.from(text.toWellFormed(), (character) => {
    const known = escapes[character]
    if (known !== undefined) return known
    return character === ' ' || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(character)
      ? character
      : codePoint(character)
  })
  return `"${characters.join('')}"`
}

function codePoint(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const hex = code.toString(16)
  if (code < 0x80) return `\\x${hex.padStart(2, '0')}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

/** `%g` writes an exponent from here on; the shortest form is decided as if it had six digits. */
const leastPositiveExponent = 6
const leastNegativeExponent = -5

/**
 * A 64-bit float as Go's `%v` and `%#v` print it: the fewest digits that give it back, with an exponent of at least
 * two digits below 1e-4 and from 1e6 on (so a context of 1048576 reads 1.048576e+06).
 */
export function goNumber(value: number): string {
  const [digits = '', exponentText = '0'] = value.toExponential().split('e')
  const exponent = Number(exponentText)
  if (exponent > leastNegativeExponent && exponent < leastPositiveExponent) return String(value)
  const sign = exponent < 0 ? '-' : '+'
  return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`
}
