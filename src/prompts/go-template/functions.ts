import { TemplateError } from './error.ts'
import { escapeHtml, escapeJs, escapeUrlQuery } from './escape.ts'
import { formatValue, sprint, sprintf } from './format.ts'
import { goJson } from './json.ts'
import {
  compareStrings,
  type GoList,
  type GoValue,
  isList,
  isObject,
  isStruct,
  isTrue,
  typeName,
} from './values.ts'

/** Something a template can call. `and` and `or` are the executor's: they must not evaluate all they are given. */
export interface GoFunction {
  /** Types of the parameters; `value` and `any` take all, and only differ in how nil reaches them. */
  params: readonly ('string' | 'any' | 'value')[]
  /** The last parameter takes any number of values. */
  variadic: boolean
  /** Throws `TemplateError` with the bare complaint. */
  call(...args: GoValue[]): GoValue
}

function fixed(params: GoFunction['params'], call: GoFunction['call']): GoFunction {
  return { params, variadic: false, call }
}

function variadic(params: GoFunction['params'], call: GoFunction['call']): GoFunction {
  return { params, variadic: true, call }
}

/** The functions of Go's templates. */
export const builtins: ReadonlyMap<string, GoFunction> = new Map<string, GoFunction>([
  ['and', variadic(['value', 'value'], last)],
  ['or', variadic(['value', 'value'], last)],
  ['not', fixed(['value'], (value) => !isTrue(value))],
  ['eq', variadic(['value', 'value'], equalsAny)],
  ['ne', fixed(['value', 'value'], (a, b) => !equals(a, b))],
  ['lt', fixed(['value', 'value'], (a, b) => isLess(a, b))],
  ['le', fixed(['value', 'value'], (a, b) => isLess(a, b) || equals(a, b))],
  ['gt', fixed(['value', 'value'], (a, b) => !isLess(a, b) && !equals(a, b))],
  ['ge', fixed(['value', 'value'], (a, b) => !isLess(a, b))],
  ['len', fixed(['value'], length)],
  ['index', variadic(['value', 'value'], index)],
  ['slice', variadic(['value', 'value'], slice)],
  ['call', variadic(['value', 'value'], callValue)],
  ['print', variadic(['any'], (...values) => sprint(values))],
  ['println', variadic(['any'], (...values) => `${values.map(formatValue).join(' ')}\n`)],
  ['printf', variadic(['string', 'any'], (format, ...values) => sprintf(String(format), values))],
  ['html', variadic(['any'], (...values) => escapeHtml(shown(values)))],
  ['js', variadic(['any'], (...values) => escapeJs(shown(values)))],
  ['urlquery', variadic(['any'], (...values) => escapeUrlQuery(shown(values)))],
])

/** What Ollama adds: `json`, the dates, and TypeScript's name for a JSON Schema type. */
export function ollamaFunctions(now: () => Date): ReadonlyMap<string, GoFunction> {
  return new Map<string, GoFunction>([
    ['json', fixed(['any'], goJson)],
    ['currentDate', variadic(['string'], () => isoDate(now(), 0))],
    ['yesterdayDate', variadic(['string'], () => isoDate(now(), -1))],
    ['toTypeScriptType', fixed(['any'], toTypeScriptType)],
  ])
}

/** The escapers print nil as templates do, not as `print` does. */
function shown(values: readonly GoValue[]): string {
  return sprint(values.map((value) => value ?? '<no value>'))
}

function last(...values: GoValue[]): GoValue {
  return values.at(-1)
}

function isoDate(date: Date, offsetDays: number): string {
  const day = new Date(date.getFullYear(), date.getMonth(), date.getDate() + offsetDays)
  const two = (part: number) => String(part).padStart(2, '0')
  return `${String(day.getFullYear()).padStart(4, '0')}-${two(day.getMonth() + 1)}-${two(day.getDate())}`
}

const typeScriptNames: Record<string, string> = {
  string: 'string',
  number: 'number',
  integer: 'number',
  boolean: 'boolean',
  array: 'any[]',
  object: 'Record<string, any>',
  null: 'null',
}

function toTypeScriptType(property: GoValue): string {
  if (!isStruct(property)) return 'any'
  const { AnyOf: anyOf, Type: types } = property
  if (isList(anyOf) && anyOf.length > 0) return anyOf.map(toTypeScriptType).join(' | ')
  if (!isList(types) || types.length === 0) return 'any'
  return types.map((type) => typeScriptNames[String(type)] ?? 'any').join(' | ')
}

function isBasic(value: GoValue): boolean {
  return value !== undefined && value !== null && typeof value !== 'object'
}

function equals(a: GoValue, b: GoValue): boolean {
  if (isBasic(a) && isBasic(b) && typeof a === typeof b) return a === b
  const aIsNil = a === undefined || a === null
  const bIsNil = b === undefined || b === null
  if (aIsNil || bIsNil) return aIsNil && bIsNil
  if (isBasic(a) || isBasic(b)) {
    throw new TemplateError(`incompatible types for comparison: ${typeName(a)} and ${typeName(b)}`)
  }
  throw new TemplateError(`non-comparable type ${formatValue(b)}: ${typeName(b)}`)
}

function equalsAny(value: GoValue, ...others: GoValue[]): boolean {
  if (others.length === 0) throw new TemplateError('missing argument for comparison')
  return others.some((other) => equals(value, other))
}

function isLess(a: GoValue, b: GoValue): boolean {
  if (!isBasic(a) || !isBasic(b)) throw new TemplateError('invalid type for comparison')
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b) < 0
  if (typeof a === 'number' && typeof b === 'number') return a < b
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b
  if (typeof a === typeof b) throw new TemplateError('invalid type for comparison')
  throw new TemplateError(`incompatible types for comparison: ${typeName(a)} and ${typeName(b)}`)
}

function length(value: GoValue): bigint {
  if (typeof value === 'string') return BigInt(Buffer.byteLength(value))
  if (isList(value)) return BigInt(value.length)
  if (isObject(value) && !isStruct(value)) return BigInt(Object.keys(value).length)
  if (value === null || value === undefined) throw new TemplateError('len of nil pointer')
  throw new TemplateError(`len of type ${typeName(value)}`)
}

function position(value: GoValue, most: number): number {
  if (value === null || value === undefined) throw new TemplateError('cannot index slice/array with nil')
  if (typeof value !== 'bigint') {
    throw new TemplateError(`cannot index slice/array with type ${typeName(value)}`)
  }
  if (value < 0n || value > BigInt(most)) throw new TemplateError(`index out of range: ${value}`)
  return Number(value)
}

function index(item: GoValue, ...keys: GoValue[]): GoValue {
  if (item === undefined || item === null) throw new TemplateError('index of untyped nil')
  return keys.reduce(indexOnce, item)
}

function indexOnce(item: GoValue, key: GoValue): GoValue {
  if (item === undefined || item === null) throw new TemplateError('index of nil pointer')
  if (isList(item)) return at(item, position(key, item.length), 'slice')
  if (typeof item === 'string') {
    const bytes = Buffer.from(item)
    return BigInt(Number(at([...bytes], position(key, bytes.length), 'string')))
  }
  if (!isObject(item) || isStruct(item)) throw new TemplateError(`can't index item of type ${typeName(item)}`)
  if (key === undefined || key === null) throw new TemplateError('value is nil; should be of type string')
  if (typeof key !== 'string') throw new TemplateError(`value has type ${typeName(key)}; should be string`)
  return Object.hasOwn(item, key) ? item[key] : null
}

function at(list: readonly GoValue[], place: number, kind: 'slice' | 'string'): GoValue {
  if (place >= list.length) throw new TemplateError(`reflect: ${kind} index out of range`)
  return list[place]
}

function slice(item: GoValue, ...bounds: GoValue[]): GoValue {
  if (item === undefined || item === null) throw new TemplateError('slice of untyped nil')
  if (bounds.length > 3) throw new TemplateError(`too many slice indexes: ${bounds.length}`)
  if (typeof item === 'string') {
    if (bounds.length === 3) throw new TemplateError('cannot 3-index slice a string')
    const bytes = Buffer.from(item)
    return bytes.subarray(...sliceBounds(bounds, bytes.length)).toString()
  }
  if (!isList(item)) throw new TemplateError(`can't slice item of type ${typeName(item)}`)
  return item.slice(...sliceBounds(bounds, item.length)) as GoList
}

function sliceBounds(bounds: readonly GoValue[], size: number): [number, number] {
  const [from = 0, to = size, most = size] = bounds.map((bound) => position(bound, size))
  if (from > to) throw new TemplateError(`invalid slice index: ${from} > ${to}`)
  if (to > most) throw new TemplateError(`invalid slice index: ${to} > ${most}`)
  return [from, to]
}

/** No value of a template is a function, so there is nothing that could be called. */
function callValue(value: GoValue): never {
  if (value === undefined || value === null) throw new TemplateError('call of nil')
  throw new TemplateError(`non-function of type ${typeName(value)}`)
}
