import { describeRune, quote } from './literals.ts'
import { type GoValue, isList, sortedKeys, typeName, typeOf } from './values.ts'

/** A float64 as Go's `%v`: the shortest that reads back, with an exponent below 1e-4 and from 1e6. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const text = value.toExponential()
  const exponent = Number(text.slice(text.indexOf('e') + 1))
  if (exponent < -4 || exponent >= 6) return padExponent(text)
  return String(value)
}

/** Go writes at least two digits of an exponent. */
function padExponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, 'e$10$2')
}

/** A value as Go's `%v` prints it. */
export function formatValue(value: GoValue): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
      return formatFloat(value)
    case 'undefined':
      return '<nil>'
    case 'object':
      return value === null ? '<nil>' : formatObject(value)
    default:
      return String(value)
  }
}

function formatObject(value: Exclude<GoValue, undefined | null> & object): string {
  const type = typeOf(value)
  if (type?.print !== undefined) return type.print(value)
  if (isList(value)) return `[${value.map(formatValue).join(' ')}]`
  if (type?.fields !== undefined) {
    return `{${type.fields.map(({ name }) => formatValue(value[name])).join(' ')}}`
  }
  return `map[${sortedKeys(value)
    .map((key) => `${key}:${formatValue(value[key])}`)
    .join(' ')}]`
}

/** `fmt.Sprint`: a space between two operands unless one of them is a string. */
export function sprint(values: readonly GoValue[]): string {
  let text = ''
  values.forEach((value, i) => {
    if (i > 0 && typeof value !== 'string' && typeof values[i - 1] !== 'string') text += ' '
    text += formatValue(value)
  })
  return text
}

interface Directive {
  flags: string
  width: number | undefined
  precision: number | undefined
  verb: string
}

const directives = /%([-+# 0]*)(\d+)?(?:\.(\d*))?(.)?/gsu
/** A field wider than this is refused, as Go refuses one of more than seven digits. */
const maxWidth = 1_000_000

/** `fmt.Sprintf`, with the verbs that make sense for template values. What does not fit prints as Go says it. */
export function sprintf(format: string, values: readonly GoValue[]): string {
  let used = 0
  const text = format.replaceAll(
    directives,
    (_, flags: string, width, precision, verb: string | undefined) => {
      if (verb === undefined) return '%!(NOVERB)'
      if (verb === '%') return '%'
      if (used >= values.length) return `%!${verb}(MISSING)`
      const value = values[used++]
      if (Number(width) > maxWidth) return '%!(BADWIDTH)'
      if (Number(precision) > maxWidth) return '%!(BADPREC)'
      return formatDirective(value, {
        flags,
        width: width === undefined ? undefined : Number(width),
        precision: precision === undefined ? undefined : Number(precision),
        verb,
      })
    },
  )
  const extra = values.slice(used).map(typeAndValue)
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(', ')})`
}

/** An operand as Go's complaints about it show it: `int=5`, `<nil>`. */
function typeAndValue(value: GoValue): string {
  const text = formatValue(value)
  return value === null || value === undefined ? text : `${typeName(value)}=${text}`
}

function formatDirective(value: GoValue, directive: Directive): string {
  const body = formatVerb(value, directive)
  const { flags, width = 0 } = directive
  const missing = width - [...body].length
  if (missing <= 0) return body
  if (flags.includes('-')) return body + ' '.repeat(missing)
  const isNumber = typeof value === 'number' || typeof value === 'bigint'
  if (!flags.includes('0')) return ' '.repeat(missing) + body
  const sign = isNumber && /^[+-]/.test(body) ? body.slice(0, 1) : ''
  return sign + '0'.repeat(missing) + body.slice(sign.length)
}

function formatVerb(value: GoValue, directive: Directive): string {
  const { verb, flags } = directive
  if (verb === 'T') return typeName(value === null ? undefined : value)
  if (verb === 'v') return signed(formatValue(value), value, flags)
  const formatted =
    typeof value === 'bigint'
      ? formatInteger(value, directive)
      : typeof value === 'number'
        ? formatFloatVerb(value, directive)
        : typeof value === 'boolean'
          ? verb === 't' && String(value)
          : value !== null && value !== undefined && formatText(value, directive)
  if (typeof formatted === 'string') return signed(formatted, value, flags)
  return `%!${verb}(${typeAndValue(value)})`
}

function signed(text: string, value: GoValue, flags: string): string {
  if ((typeof value !== 'bigint' && typeof value !== 'number') || /^[^\d]/.test(text)) return text
  return flags.includes('+') ? `+${text}` : flags.includes(' ') ? ` ${text}` : text
}

function formatInteger(value: bigint, { verb, flags }: Directive): string | false {
  const radix = { d: 10, b: 2, o: 8, O: 8, x: 16, X: 16 }[verb]
  const code = Number(value)
  const inUnicode = code >= 0 && code <= 0x10ffff
  if (radix === undefined) {
    const rune = inUnicode ? String.fromCodePoint(code) : '\ufffd'
    if (verb === 'c') return rune
    if (verb === 'q') return quote(rune, "'")
    return verb === 'U' && inUnicode && describeRune(rune, 0).replace(/ .*/s, flags.includes('#') ? '$&' : '')
  }
  const prefix = verb === 'O' ? '0o' : flags.includes('#') ? { b: '0b', o: '0', x: '0x', X: '0X' }[verb] : ''
  const digits = (value < 0n ? -value : value).toString(radix)
  return (value < 0n ? '-' : '') + (prefix ?? '') + (verb === 'X' ? digits.toUpperCase() : digits)
}

function formatFloatVerb(value: number, { verb, precision }: Directive): string | false {
  if (!'eEfFgG'.includes(verb)) return false
  if (!Number.isFinite(value)) return formatFloat(value)
  const lower = verb.toLowerCase()
  const text =
    lower === 'f'
      ? value.toFixed(Math.min(precision ?? 6, 100))
      : lower === 'e'
        ? padExponent(value.toExponential(Math.min(precision ?? 6, 100)))
        : formatGeneral(value, precision)
  return verb === 'E' || verb === 'G' ? text.toUpperCase() : text
}

/** `%g`: the shorter of `%e` and `%f`, without trailing zeros. */
function formatGeneral(value: number, precision: number | undefined): string {
  if (precision === undefined) return formatFloat(value)
  const digits = Math.min(Math.max(precision, 1), 100)
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))))
  if (exponent < -4 || exponent >= digits) {
    return padExponent(value.toExponential(digits - 1).replace(/\.?0+e/, 'e'))
  }
  const fixed = value.toPrecision(digits)
  return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed
}

function formatText(value: Exclude<GoValue, undefined | null>, directive: Directive): string | false {
  const { verb, flags, precision } = directive
  if (typeof value === 'object' && typeOf(value)?.print === undefined && isList(value)) {
    return `[${value.map((item) => formatVerb(item, directive)).join(' ')}]`
  }
  const whole = formatValue(value)
  const text = precision === undefined ? whole : [...whole].slice(0, precision).join('')
  if (verb === 's') return text
  if (verb === 'q') return flags.includes('#') && !text.includes('`') ? `\`${text}\`` : quote(text)
  if (verb === 'x') return Buffer.from(text).toString('hex')
  return verb === 'X' && Buffer.from(text).toString('hex').toUpperCase()
}
