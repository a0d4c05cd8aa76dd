import { type GoField, type GoMap, type GoValue, isList, isObject, sortedKeys, typeOf } from './values.ts'

const escaped = /[<>&\u2028\u2029]/g
const loneSurrogate = /\\ud[89a-f][\da-f]{2}/g

/**
 * A value as Go's `json.Marshal` writes it: compact, maps sorted by key, structs in their own order, `<`, `>` and
 * `&` escaped.
 */
export function goJson(value: GoValue): string {
  switch (typeof value) {
    case 'string':
      return jsonString(value)
    case 'number':
      return Number.isFinite(value) ? JSON.stringify(value) : ''
    case 'object':
      if (value === null) return 'null'
      return typeOf(value)?.json?.(value) ?? (isList(value) ? jsonList(value) : jsonObject(value))
    case 'undefined':
      return 'null'
    default:
      return String(value)
  }
}

function jsonString(text: string): string {
  const json = JSON.stringify(text)
  const whole = json.includes('\\ud') && !text.isWellFormed() ? json.replace(loneSurrogate, '\\ufffd') : json
  return whole.replaceAll(escaped, escapeUnit)
}

function escapeUnit(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function jsonList(list: readonly GoValue[]): string {
  return `[${list.map(goJson).join(',')}]`
}

function jsonObject(object: GoMap): string {
  const fields = typeOf(object)?.fields
  if (fields === undefined) return jsonEntries(object, sortedKeys(object))
  const shown = fields.filter((field) => !isOmitted(object[field.name], field))
  return `{${shown.map((field) => jsonField(object, field)).join(',')}}`
}

/** A map in JSON with its keys in the order given. */
export function jsonEntries(object: GoMap, keys: readonly string[]): string {
  return `{${keys.map((key) => `${jsonString(key)}:${goJson(object[key])}`).join(',')}}`
}

function jsonField(object: GoMap, field: GoField): string {
  return `${jsonString(field.json)}:${goJson(object[field.name])}`
}

function isOmitted(value: GoValue, { omit }: GoField): boolean {
  return omit === 'zero' ? isZero(value) : omit === 'nil' && (value === undefined || value === null)
}

/** What `omitempty` leaves out: zero values, empty lists and maps, but no struct. */
function isZero(value: GoValue): boolean {
  if (isList(value)) return value.length === 0
  if (isObject(value)) return typeOf(value)?.fields === undefined && Object.keys(value).length === 0
  return !value
}
