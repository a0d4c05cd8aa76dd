import { z } from 'zod'
import { names, rowOf } from './layer.ts'

type Schema = z.core.JSONSchema.JSONSchema
type Properties = { [name: string]: Schema }
type Section = Schema & { properties: Properties }

const section = (): Section => ({ type: 'object', additionalProperties: false, properties: {} })

/** The JSON Schema (2020-12) of the configuration file, for editors that complete and check while one writes. */
export function configSchema(): Section {
  const root: Section = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of Drover',
    ...section(),
  }
  for (const name of names) {
    const path = rowOf(name).key.split('.')
    const last = path.pop() ?? name
    let place = root
    for (const part of path) place = subsection(place, part)
    place.properties[last] = schemaOf(name)
  }
  return root
}

function subsection(parent: Section, name: string): Section {
  const found = parent.properties[name]
  if (isSection(found)) return found
  const made = section()
  parent.properties[name] = made
  return made
}

function isSection(schema: Schema | undefined): schema is Section {
  return schema?.properties !== undefined
}

function schemaOf(name: (typeof names)[number]): Schema {
  const { schema, about, allowed, default: initial } = rowOf(name)
  const { $schema: _, ...written } = z.toJSONSchema(schema, { io: 'input' })
  return {
    description: `${about} Takes ${allowed}.`,
    ...(initial !== undefined && { default: initial }),
    ...written,
  }
}
