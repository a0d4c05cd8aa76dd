import type { Tool, ToolProperty } from '../../inference/index.ts'

/** JSON as Python's `json.dumps` spaces it: `{"a": 1, "b": [2, 3]}`. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => spacedJson(item ?? null)).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value).filter(([, item]) => item !== undefined)
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`).join(', ')}}`
}

/** A tool with its members in the order in which Ollama writes them, and none that is empty. */
export function orderedTool({ type, items, function: { name, description, parameters } }: Tool): object {
  return {
    type,
    ...(items !== undefined && items !== null && { items }),
    function: { name, ...(description && { description }), parameters: orderedParameters(parameters) },
  }
}

/** A function's parameters, in the same order. */
export function orderedParameters(parameters: Tool['function']['parameters'] | undefined): object {
  const { type = '', $defs, items, required, properties } = parameters ?? {}
  return {
    type,
    ...($defs !== undefined && $defs !== null && { $defs }),
    ...(items !== undefined && items !== null && { items }),
    ...(required?.length && { required }),
    properties: properties === undefined ? null : orderedProperties(properties),
  }
}

function orderedProperties(properties: Record<string, ToolProperty>): object {
  return Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [name, orderedProperty(property)]),
  )
}

/** A parameter's schema, in the same order. */
export function orderedProperty(property: ToolProperty): object {
  const { anyOf, items, description, properties, required } = property
  const type = typesOf(property)
  return {
    ...(anyOf?.length && { anyOf: anyOf.map(orderedProperty) }),
    ...(type.length > 0 && { type: type.length === 1 ? type[0] : type }),
    ...(items !== undefined && items !== null && { items }),
    ...(description && { description }),
    ...(property.enum?.length && { enum: property.enum }),
    ...(properties && { properties: orderedProperties(properties) }),
    ...(required?.length && { required }),
  }
}

/** The types a parameter may have. */
export function typesOf({ type }: ToolProperty): string[] {
  return type === undefined ? [] : typeof type === 'string' ? [type] : type
}
