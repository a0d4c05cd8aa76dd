import { DroverError } from '../../inference/index.ts'
import { patternToGrammar } from './pattern-grammar.ts'

type Schema = Record<string, unknown>

/** More rules than this come only from a schema that was made to hurt. */
const mostRules = 5_000
/** Integers of a range no wider than this are listed one by one. */
const widestListedRange = 256

/** Rules that schemas share. Blanks are short, so that no answer consists of them. */
const sharedRules = {
  ws: String.raw`( " " | "\n" [ \t]{0,20} )?`,
  character: String.raw`[^"\\\x7F\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F]{4} )`,
  string: String.raw`"\"" character* "\""`,
  integer: String.raw`"-"? natural`,
  natural: String.raw`"0" | [1-9] [0-9]{0,15}`,
  number: String.raw`integer ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?`,
  boolean: String.raw`"true" | "false"`,
  null: String.raw`"null"`,
  value: 'object | array | string | number | boolean | null',
  object: String.raw`"{" ws ( member ( "," ws member )* )? "}"`,
  member: String.raw`string ws ":" ws value ws`,
  array: String.raw`"[" ws ( value ws ( "," ws value ws )* )? "]"`,
  date: String.raw`[0-9]{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | [12] [0-9] | "3" [01] )`,
  time: String.raw`( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{3} )? ( "Z" | [+-] ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] )`,
  uuid: String.raw`[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}`,
} as const

const stringFormats: Record<string, string> = {
  date: 'date',
  time: 'time',
  'date-time': 'date "T" time',
  uuid: 'uuid',
}

/** Keywords that change which values are right and that no grammar here can say. */
const inexpressible = ['not', 'if', 'patternProperties', 'dependentRequired', 'dependentSchemas', 'contains']

/**
 * The GBNF grammar of the JSON texts that satisfy a JSON Schema. Properties come in the schema's order, and none
 * come that it does not name unless `additionalProperties` lets them. Not looked at: bounds of numbers that are
 * no integers, `multipleOf`, `uniqueItems`, `minProperties`. Throws `invalid_format` that names what cannot be
 * expressed, and where.
 *
 * The library's own converter ignores `required`, `anyOf` and references outside `$defs`, and writes `null` for
 * what it does not know.
 */
export function schemaToGrammar(root: Schema): string {
  const rules = new Map<string, string>()
  const ruleOfReference = new Map<string, string>()
  const body = visit(root, '#')
  const lines = [`root ::= ${body}`]
  for (const [name, text] of [...Object.entries(sharedRules), ...rules]) lines.push(`${name} ::= ${text}`)
  return `${lines.join('\n')}\n`

  function define(text: string): string {
    if (rules.size >= mostRules) throw refusal('it is too large', '#')
    const name = `r${rules.size}`
    rules.set(name, text)
    return name
  }

  /** A GBNF expression; `path` is for messages. */
  function visit(given: unknown, path: string): string {
    if (given === true) return 'value'
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw refusal(`${JSON.stringify(given)} is no schema`, path)
    }
    const schema = given as Schema
    const strange = inexpressible.find((keyword) => keyword in schema)
    if (strange) throw refusal(`"${strange}" cannot be expressed`, path)
    if (typeof schema.$ref === 'string') return reference(schema.$ref, path)
    if ('const' in schema) return literal(JSON.stringify(schema.const))
    if (Array.isArray(schema.enum))
      return alternatives(schema.enum.map((item) => literal(JSON.stringify(item))))
    if (Array.isArray(schema.allOf)) {
      const [only, ...others] = schema.allOf
      const alone = others.length === 0 && !('properties' in schema) && !('type' in schema)
      return visit(alone ? only : mergeAll(schema, schema.allOf, path), path)
    }
    const choices = schema.anyOf ?? schema.oneOf
    if (Array.isArray(choices)) {
      const { anyOf: _any, oneOf: _one, ...common } = schema
      const shared = 'properties' in common || 'type' in common ? common : {}
      return alternatives(
        choices.map((choice, i) => visit(mergeAll(shared, [choice], path), `${path}/anyOf/${i}`)),
      )
    }
    if (Array.isArray(schema.type)) {
      return alternatives(schema.type.map((type) => visit({ ...schema, type }, path)))
    }
    return ofType(schema, path)
  }

  function ofType(schema: Schema, path: string): string {
    const type = schema.type ?? impliedType(schema)
    switch (type) {
      case undefined:
        return 'value'
      case 'object':
        return object(schema, path)
      case 'array':
        return array(schema, path)
      case 'string':
        return string(schema, path)
      case 'integer':
        return integer(schema)
      case 'number':
      case 'boolean':
      case 'null':
        return String(type)
      default:
        throw refusal(`unknown type ${JSON.stringify(type)}`, path)
    }
  }

  /** One rule a reference, named before it is filled: schemas may contain themselves. */
  function reference(target: string, path: string): string {
    const known = ruleOfReference.get(target)
    if (known) return known
    const name = define('')
    ruleOfReference.set(target, name)
    rules.set(name, visit(resolve(target, path), target))
    return name
  }

  function resolve(target: string, path: string): unknown {
    if (!target.startsWith('#')) throw refusal(`"${target}" lies outside the schema`, path)
    const keys = target.slice(1).split('/').slice(1)
    let found: unknown = root
    for (const key of keys.map((part) =>
      decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'),
    )) {
      found = typeof found === 'object' && found !== null ? (found as Schema)[key] : undefined
    }
    if (found === undefined) throw refusal(`"${target}" does not exist`, path)
    return found
  }

  /** Everything that several schemas demand together, as one. */
  function mergeAll(base: Schema, parts: readonly unknown[], path: string): Schema {
    const { allOf: _, ...merged } = base
    for (const part of parts) {
      let schema = part as Schema
      while (Object.keys(base).length > 0 && typeof schema?.$ref === 'string') {
        schema = resolve(schema.$ref, path) as Schema
      }
      if (typeof schema !== 'object' || schema === null) {
        if (Object.keys(merged).length === 0) return part as Schema
        throw refusal(`${JSON.stringify(part)} is no schema`, path)
      }
      const properties = { ...(merged.properties as Schema), ...(schema.properties as Schema) }
      const required = [...((merged.required as unknown[]) ?? []), ...((schema.required as unknown[]) ?? [])]
      Object.assign(merged, schema)
      if (Object.keys(properties).length > 0) merged.properties = properties
      if (required.length > 0) merged.required = required
    }
    return merged
  }

  /**
   * Members in order. `rest` is what may follow a member, `start` what may come first, both built from the last
   * property back: so a comma stands only between two that are there.
   */
  function object(schema: Schema, path: string): string {
    const required = new Set((schema.required as string[] | undefined) ?? [])
    const named = { ...(schema.properties as Schema | undefined) }
    for (const name of required) named[name] ??= true
    const entries = Object.entries(named)
    const additional = schema.additionalProperties
    if (entries.length === 0 && (additional === undefined || additional === true)) return 'object'
    const other = additional
      ? define(`string ws ":" ws ${group(visit(additional, `${path}/additionalProperties`))} ws`)
      : ''
    let rest = other && define(`( "," ws ${other} )*`)
    let start = other && define(`( ${other} ( "," ws ${other} )* )?`)
    for (const [name, property] of entries.reverse()) {
      const value = visit(property, `${path}/properties/${name}`)
      const member = define(`${literal(JSON.stringify(name))} ws ":" ws ${group(value)} ws`)
      const first = `${member} ${rest}`
      if (required.has(name)) {
        start = define(first)
        rest = define(`"," ws ${first}`)
      } else {
        start = define(start === '' ? `( ${first} )?` : `${first} | ${start}`)
        rest = define(`( "," ws ${member} )? ${rest}`)
      }
    }
    return `"{" ws ${start} "}"`
  }

  function array(schema: Schema, path: string): string {
    const tuple = (schema.prefixItems ??
      (Array.isArray(schema.items) ? schema.items : undefined)) as unknown[]
    if (tuple) {
      const items = tuple.map((item, index) => `${group(visit(item, `${path}/prefixItems/${index}`))} ws`)
      return `"[" ws ${items.join(' "," ws ')} "]"`
    }
    const least = Number(schema.minItems ?? 0)
    const most = schema.maxItems === undefined ? undefined : Number(schema.maxItems)
    if (most !== undefined && most < least)
      throw refusal(`maxItems ${most} is less than minItems ${least}`, path)
    if (most === 0) return '"[" ws "]"'
    const item = define(`${group(visit(schema.items ?? true, `${path}/items`))} ws`)
    const more = `( "," ws ${item} ){${Math.max(0, least - 1)},${most === undefined ? '' : most - 1}}`
    return least === 0 ? `"[" ws ( ${item} ${more} )? "]"` : `"[" ws ${item} ${more} "]"`
  }

  function string(schema: Schema, path: string): string {
    const { format, pattern, minLength = 0, maxLength = '' } = schema
    if (typeof pattern === 'string') {
      const text = patternToGrammar(pattern)
      if (text === undefined)
        throw refusal(`the pattern ${JSON.stringify(pattern)} cannot be expressed`, path)
      return `"\\"" ${text} "\\""`
    }
    const known = typeof format === 'string' ? stringFormats[format] : undefined
    if (known) return `"\\"" ${known} "\\""`
    if (minLength === 0 && maxLength === '') return 'string'
    return `"\\"" character{${minLength},${maxLength}} "\\""`
  }
}

function integer({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): string {
  const least = largest(
    ceiling(minimum),
    typeof exclusiveMinimum === 'number' ? Math.floor(exclusiveMinimum) + 1 : undefined,
  )
  const most = smallest(
    floor(maximum),
    typeof exclusiveMaximum === 'number' ? Math.ceil(exclusiveMaximum) - 1 : undefined,
  )
  if (least !== undefined && most !== undefined && most >= least && most - least <= widestListedRange) {
    return alternatives(
      Array.from({ length: most - least + 1 }, (_, index) => literal(String(least + index))),
    )
  }
  return least !== undefined && least >= 0 ? 'natural' : 'integer'
}

const ceiling = (value: unknown) => (typeof value === 'number' ? Math.ceil(value) : undefined)
const floor = (value: unknown) => (typeof value === 'number' ? Math.floor(value) : undefined)
const largest = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? (a ?? b) : Math.max(a, b)
const smallest = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)

/** Schemas often leave the type to be read from their keywords. */
function impliedType(schema: Schema): string | undefined {
  if ('properties' in schema || 'additionalProperties' in schema || 'required' in schema) return 'object'
  if ('items' in schema || 'prefixItems' in schema) return 'array'
  if ('pattern' in schema || 'minLength' in schema || 'maxLength' in schema) return 'string'
  return undefined
}

const alternatives = (options: readonly string[]) => options.map(group).join(' | ')
const group = (text: string) => (/^\w+$/.test(text) ? text : `( ${text} )`)

/** A GBNF string of exactly this text. */
export function literal(text: string): string {
  const escaped = text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
  return `"${escaped}"`
}

function refusal(reason: string, path: string): DroverError {
  return new DroverError(
    'invalid_format',
    `invalid format: the schema cannot be used: ${reason} (at ${path})`,
  )
}
