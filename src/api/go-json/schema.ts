import { decodeBase64 } from './base64.ts'
import { DecodeError } from './errors.ts'

/** What JSON Schema says of a field; the OpenAPI document is assembled from it. */
export type JsonSchema = Record<string, unknown>

/**
 * One description of a JSON value: its TypeScript type, how Go's `encoding/json` would decode it (types, leniency,
 * error texts), and its JSON Schema. `decode` gives `undefined` where Go leaves a field at its zero value.
 */
export interface Schema<T> {
  /** Go's name of the type, as its errors show it. */
  readonly goType: string
  readonly jsonSchema: JsonSchema
  decode(value: unknown, place: Place): T | undefined
}

export type Decoded<S> = S extends Schema<infer T> ? T : never

/**
 * Where the decoder stands, and the first type error it met. As Go does, decoding goes on after a type error and
 * only the first is reported, while an error of a type's own decoder (`own`) ends it at once.
 */
class Place {
  /** Innermost struct and path of fields to it, from the nearest type with a decoder of its own. */
  structName = ''
  path: string[] = []
  firstError: { mismatch: Mismatch } | { message: string } | undefined

  mismatch(value: unknown, goType: string): undefined {
    this.note(kindOf(value), goType)
  }

  outOfRange(value: number, goType: string): undefined {
    this.note(`number ${value}`, goType)
  }

  fail(message: string): undefined {
    this.firstError ??= { message }
  }

  private note(found: string, goType: string): void {
    const { structName, path } = this
    this.firstError ??= { mismatch: { found, goType, structName, path: path.join('.') } }
  }
}

interface Mismatch {
  found: string
  goType: string
  structName: string
  path: string
}

/** A type error on its way out of a type's own decoder; the decoder around it adds its struct and path. */
class MismatchError extends DecodeError {
  readonly mismatch: Mismatch

  constructor(mismatch: Mismatch) {
    super(mismatchText(mismatch))
    this.mismatch = mismatch
  }
}

function mismatchText({ found, goType, structName, path }: Mismatch): string {
  if (structName === '' && path === '')
    return `json: cannot unmarshal ${found} into Go value of type ${goType}`
  return `json: cannot unmarshal ${found} into Go struct field ${structName}.${path} of type ${goType}`
}

/** Decodes a whole value. Throws `DecodeError` in Go's words. */
export function decodeValue<T>(schema: Schema<T>, value: unknown): T | undefined {
  const place = new Place()
  const decoded = schema.decode(value, place)
  if (!place.firstError) return decoded
  throw 'mismatch' in place.firstError
    ? new MismatchError(place.firstError.mismatch)
    : new DecodeError(place.firstError.message)
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A string; lone surrogates become U+FFFD, as in Go. */
export const goString: Schema<string> = {
  goType: 'string',
  jsonSchema: { type: 'string' },
  decode(value, place) {
    if (value === null) return undefined
    return typeof value === 'string' ? value.toWellFormed() : place.mismatch(value, 'string')
  },
}

export const goBool: Schema<boolean> = {
  goType: 'bool',
  jsonSchema: { type: 'boolean' },
  decode(value, place) {
    if (value === null) return undefined
    return typeof value === 'boolean' ? value : place.mismatch(value, 'bool')
  },
}

/** An integer. A fraction is an error that shows the number. */
export const goInt: Schema<number> = {
  goType: 'int',
  jsonSchema: { type: 'integer' },
  decode(value, place) {
    if (value === null) return undefined
    if (typeof value !== 'number') return place.mismatch(value, 'int')
    return Number.isInteger(value) && Math.abs(value) < 2 ** 63 ? value : place.outOfRange(value, 'int')
  },
}

/** A floating-point number. */
export function goFloat(goType: 'float32' | 'float64'): Schema<number> {
  return {
    goType,
    jsonSchema: { type: 'number' },
    decode(value, place) {
      if (value === null) return undefined
      if (typeof value !== 'number') return place.mismatch(value, goType)
      return Number.isFinite(value) ? value : place.outOfRange(value, goType)
    },
  }
}

/** Anything; Go's `any` or `json.RawMessage`. */
export const goAny: Schema<unknown> = {
  goType: 'interface {}',
  jsonSchema: {},
  decode: (value) => (value === null ? undefined : value),
}

/** A JSON object with any members, key order kept. */
export const goMap: Schema<Record<string, unknown>> = {
  goType: 'map[string]interface {}',
  jsonSchema: { type: 'object' },
  decode(value, place) {
    if (value === null) return undefined
    return isObject(value) ? value : place.mismatch(value, 'map[string]interface {}')
  },
}

/** Bytes as standard base64. `goType` is the name of the byte slice. */
export function goBytes(goType: string): Schema<Uint8Array> {
  return {
    goType,
    jsonSchema: { type: 'string', contentEncoding: 'base64' },
    decode(value, place) {
      if (value === null) return undefined
      if (typeof value !== 'string') return place.mismatch(value, goType)
      try {
        return decodeBase64(value)
      } catch (thrown) {
        if (thrown instanceof DecodeError) return place.fail(thrown.message)
        throw thrown
      }
    },
  }
}

/** An array; a `null` element is the zero value `zero`. */
export function goArray<T>(item: Schema<T>, zero: T, goType = `[]${item.goType}`): Schema<T[]> {
  return {
    goType,
    jsonSchema: { type: 'array', items: item.jsonSchema },
    decode(value, place) {
      if (value === null) return undefined
      if (!Array.isArray(value)) return place.mismatch(value, goType)
      return value.map((element) => item.decode(element, place) ?? zero)
    },
  }
}

/** An object of which every member has one type, key order kept; Go's ordered map. */
export function goRecord<T>(item: Schema<T>, zero: T, goType: string): Schema<Record<string, T>> {
  return {
    goType,
    jsonSchema: { type: 'object', additionalProperties: item.jsonSchema },
    decode(value, place) {
      if (value === null) return undefined
      if (!isObject(value)) return place.mismatch(value, goType)
      return Object.fromEntries(
        Object.entries(value).map(([key, member]) => [key, item.decode(member, place) ?? zero]),
      )
    },
  }
}

type Fields = Record<string, Schema<unknown>>
type Struct<F extends Fields> = { [K in keyof F]?: Decoded<F[K]> }

/**
 * An object with named fields: keys match whatever their case, unknown ones are ignored, the last of several wins.
 * What comes out has the order of `fields`, as Go's structs are printed in theirs.
 * `name` is the Go type's name within package `pkg`.
 */
export function goStruct<F extends Fields>(pkg: string, name: string, fields: F): Schema<Struct<F>> {
  const goType = name === '' ? 'struct' : `${pkg}.${name}`
  const names = Object.keys(fields)
  const byLowerCase = new Map(names.map((key) => [key.toLowerCase(), key]))
  const nameOf = (key: string) => (Object.hasOwn(fields, key) ? key : byLowerCase.get(key.toLowerCase()))
  return {
    goType,
    jsonSchema: {
      type: 'object',
      properties: Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.jsonSchema])),
    },
    decode(value, place) {
      if (value === null) return undefined
      if (!isObject(value)) return place.mismatch(value, goType)
      const decoded = new Map<string, unknown>()
      const outer = place.structName
      for (const [key, member] of Object.entries(value)) {
        const field = nameOf(key)
        if (field === undefined) continue
        place.structName = name
        place.path.push(field)
        const result = fields[field]?.decode(member, place)
        if (result !== undefined) decoded.set(field, result)
        place.path.pop()
      }
      place.structName = outer
      const present = names.filter((field) => decoded.has(field))
      return Object.fromEntries(present.map((field) => [field, decoded.get(field)])) as Struct<F>
    },
  }
}

/** A schema that is known later, for types that contain themselves. */
export function goLazy<T>(goType: string, resolve: () => Schema<T>): Schema<T> {
  return { goType, jsonSchema: { type: 'object' }, decode: (value, place) => resolve().decode(value, place) }
}

/**
 * A type with a decoder of its own (Go's `UnmarshalJSON`). What `convert` throws ends the decoding at once and is
 * the error, except a type error, to which struct and path of this place are added.
 */
export function goCustom<T>(
  goType: string,
  jsonSchema: JsonSchema,
  convert: (value: unknown) => T | undefined,
): Schema<T> {
  return {
    goType,
    jsonSchema,
    decode(value, place) {
      if (value === null) return undefined
      try {
        return convert(value)
      } catch (thrown) {
        if (!(thrown instanceof MismatchError)) throw thrown
        if (place.structName === '' && place.path.length === 0) throw thrown
        const inner = thrown.mismatch
        const path = [...place.path, ...(inner.path === '' ? [] : [inner.path])].join('.')
        throw new MismatchError({ ...inner, structName: place.structName, path })
      }
    },
  }
}
