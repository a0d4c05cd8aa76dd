/**
 * A value as a template sees it. `bigint` is Go's int, `number` its float64 (what JSON's numbers become), an
 * array a slice, an object a map with string keys unless `goType` says that it is a struct. `null` is a nil
 * interface and prints as `<nil>`; `undefined` is no value at all and prints as `<no value>`.
 */
export type GoValue = undefined | null | string | boolean | number | bigint | GoList | GoMap
export type GoList = readonly GoValue[] & Typed
export type GoMap = { readonly [key: string]: GoValue } & Typed

/** Where an object or array carries its Go type. */
export const goType = Symbol('goType')

interface Typed {
  readonly [goType]?: GoType
}

/** A named Go type: how its values are called in errors, and how they print and marshal where they say so. */
export interface GoType {
  name: string
  /** A struct's fields in order; without them the type is a map or a slice. */
  fields?: readonly GoField[]
  /** The `String` method. */
  print?: (value: GoValue) => string
  /** The `MarshalJSON` method. */
  json?: (value: GoValue) => string
}

export interface GoField {
  name: string
  /** Its key in JSON. */
  json: string
  /** When JSON leaves it out: at its type's zero value, or only at nil (`omitempty` of an `any`). */
  omit?: 'zero' | 'nil'
}

export function typeOf(value: GoList | GoMap): GoType | undefined {
  return value[goType]
}

export function isList(value: GoValue): value is GoList {
  return Array.isArray(value)
}

/** A map or a struct. */
export function isObject(value: GoValue): value is GoMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isStruct(value: GoValue): value is GoMap {
  return isObject(value) && typeOf(value)?.fields !== undefined
}

/** The name of the value's type, as Go's `%T`. */
export function typeName(value: GoValue): string {
  switch (typeof value) {
    case 'string':
      return 'string'
    case 'boolean':
      return 'bool'
    case 'number':
      return 'float64'
    case 'bigint':
      return 'int'
    case 'object':
      if (value === null) return 'interface {}'
      return typeOf(value)?.name ?? (isList(value) ? '[]interface {}' : 'map[string]interface {}')
    default:
      return '<nil>'
  }
}

/** Go's truth: not the zero value of its type. Structs are always true. */
export function isTrue(value: GoValue): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value)
  if (isList(value)) return value.length > 0
  return isStruct(value) || Object.keys(value).length > 0
}

/** A map's keys in the order Go ranges over them, which is that of their UTF-8 bytes. */
export function sortedKeys(map: GoMap): string[] {
  return Object.keys(map).sort(compareStrings)
}

/** Negative, zero or positive as `a` stands before, at or behind `b` in UTF-8. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = utf8Order(a.charCodeAt(i)) - utf8Order(b.charCodeAt(i))
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Halves of surrogate pairs stand for what comes behind every other unit. */
function utf8Order(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
