import type { Tool, ToolProperty } from '../inference/index.ts'
import {
  type Decoded,
  decodeValue,
  goAny,
  goArray,
  goCustom,
  goLazy,
  goRecord,
  goString,
  goStruct,
  type Schema,
} from './go-json/index.ts'

/** A JSON Schema `type`: one name or several. */
const propertyType: Schema<string | string[]> = goCustom(
  'api.PropertyType',
  { type: ['string', 'array'], items: { type: 'string' } },
  (value) => (typeof value === 'string' ? value.toWellFormed() : decodeValue(goArray(goString, ''), value)),
)

const toolProperty: Schema<ToolProperty> = goLazy('api.ToolProperty', () => toolPropertyFields)

const toolProperties: Schema<Record<string, ToolProperty>> = goCustom(
  'api.ToolPropertiesMap',
  { type: 'object', additionalProperties: { type: 'object' } },
  (value) => decodeValue(goRecord(toolProperty, {}, 'map[string]api.ToolProperty'), value),
)

const toolPropertyFields: Schema<ToolProperty> = goStruct('api', 'ToolProperty', {
  anyOf: goArray(toolProperty, {}),
  type: propertyType,
  items: goAny,
  description: goString,
  enum: goArray(goAny, null),
  properties: toolProperties,
  required: goArray(goString, ''),
})

/** The JSON Schema of what a tool takes. */
export const toolParameters = goStruct('api', 'ToolFunctionParameters', {
  type: goString,
  $defs: goAny,
  items: goAny,
  required: goArray(goString, ''),
  properties: toolProperties,
})

const toolFields = goStruct('api', 'Tool', {
  type: goString,
  items: goAny,
  function: goStruct('api', 'ToolFunction', {
    name: goString,
    description: goString,
    parameters: toolParameters,
  }),
})

/** Tools as every dialect that speaks of functions sends them; other JSON Schema keywords are lost, as in Ollama. */
export const toolList = goArray<Decoded<typeof toolFields>>(toolFields, {}, 'api.Tools')

/** The canonical tools of a decoded list. */
export function toTools(tools: Decoded<typeof toolList>): Tool[] {
  return tools.map(({ type = '', items, function: called = {} }) => {
    const { name = '', description, parameters = {} } = called
    return {
      type,
      ...(items !== undefined && { items }),
      function: {
        name,
        ...(description !== undefined && { description }),
        parameters: { type: '', ...parameters },
      },
    }
  })
}
