import type { JsonSchema } from '../go-json/index.ts'

/* The words that the JSON Schemas of answers are written in. */

export const string: JsonSchema = { type: 'string' }
export const integer: JsonSchema = { type: 'integer' }
export const number: JsonSchema = { type: 'number' }
export const boolean: JsonSchema = { type: 'boolean' }
export const date: JsonSchema = { type: 'string', format: 'date-time' }
export const anything: JsonSchema = {}
export const dictionary: JsonSchema = { type: 'object', additionalProperties: true }
export const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
export const either = (...schemas: JsonSchema[]): JsonSchema => ({ anyOf: schemas })
export const nullable = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] })

/** An object; a name that ends with `?` may be absent. */
export function object(members: Record<string, JsonSchema>): JsonSchema {
  const names = Object.keys(members)
  const bare = (name: string) => name.replace(/\?$/, '')
  return {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [bare(name), members[name]])),
    required: names.filter((name) => !name.endsWith('?')),
  }
}
