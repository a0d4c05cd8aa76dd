import type { Message, Think, Tool, ToolProperty } from '../inference/index.ts'
import {
  type GoField,
  type GoList,
  type GoMap,
  type GoType,
  type GoValue,
  goJson,
  goType,
  isList,
  jsonEntries,
} from './go-template/index.ts'

/**
 * Conversations as Ollama shows them to its Go templates: the same field names, the same types where a template
 * can tell (what prints as JSON, what is left out of it).
 */

type Values = Record<string, GoValue>

/** A struct type; each field is `Name` or `Name:jsonKey`, with `?` where JSON leaves out zero and `??` only nil. */
function struct(name: string, fields: string[], methods: Partial<GoType> = {}): GoType {
  return {
    name,
    fields: fields.map((field): GoField => {
      const [fieldName = '', json = fieldName] = field.split(':')
      const omit = json.endsWith('??') ? 'nil' : json.endsWith('?') ? 'zero' : undefined
      return { name: fieldName, json: json.replace(/\?+$/, ''), ...(omit && { omit }) }
    }),
    ...methods,
  }
}

const printsJson = { print: goJson }

const messageType = struct('*template.templateMessage', [
  'Role',
  'Content',
  'Thinking',
  'Images',
  'ToolCalls',
  'ToolName',
  'ToolCallID',
])
const toolCallType = struct('template.templateToolCall', ['ID', 'Function'])
const calledFunctionType = struct('template.templateToolCallFunction', ['Index', 'Name', 'Arguments'])
const argumentsType: GoType = { name: 'template.templateArgs', ...printsJson }

const toolsType: GoType = { name: 'template.templateTools', ...printsJson }
const toolType = struct(
  'template.templateTool',
  ['Type:type', 'Items:items??', 'Function:function'],
  printsJson,
)
const functionType = struct(
  'template.templateToolFunction',
  ['Name:name', 'Description:description', 'Parameters:parameters'],
  printsJson,
)
const parametersType = struct(
  'template.templateToolFunctionParameters',
  ['Type:type', 'Defs:$defs??', 'Items:items??', 'Required:required?', 'Properties:properties'],
  printsJson,
)
const propertiesType: GoType = { name: 'template.templateProperties', ...printsJson }
/** Properties of properties keep the order the client gave them; only the outermost are a Go map. */
const nestedPropertiesType: GoType = {
  name: '*api.ToolPropertiesMap',
  print: goJson,
  json: (value) => jsonEntries(value as GoMap, Object.keys(value as GoMap)),
}
const propertyType = struct('api.ToolProperty', [
  'AnyOf:anyOf?',
  'Type:type?',
  'Items:items??',
  'Description:description?',
  'Enum:enum?',
  'Properties:properties?',
  'Required:required?',
])
/** `string`, or `[string null]` where there are several. */
const propertyTypeType: GoType = {
  name: 'api.PropertyType',
  print: (value) => (isList(value) && value.length > 1 ? `[${value.join(' ')}]` : String(value)),
  json: (value) =>
    isList(value) && value.length === 1 ? goJson(value[0]) : `[${(value as GoList).map(goJson).join(',')}]`,
}

function typed(type: GoType, values: Values): GoMap {
  return { ...values, [goType]: type }
}

function typedList(type: GoType, values: GoValue[]): GoList {
  return Object.assign(values, { [goType]: type })
}

/** JSON as it came from a client is a Go value already. */
function any(value: unknown): GoValue {
  return (value ?? null) as GoValue
}

/** `.Think`, `.ThinkLevel` and `.IsThinkSet`. Thinking without a level is medium. */
export function thinkValues(think: Think | undefined): Values {
  const level = think === true ? 'medium' : think || ''
  return { Think: think !== undefined && think !== false, ThinkLevel: level, IsThinkSet: think !== undefined }
}

/** `.Messages`. */
export function messageValues(messages: readonly Message[]): GoValue {
  return messages.map((message) =>
    typed(messageType, {
      Role: message.role,
      Content: message.content ?? '',
      Thinking: message.thinking ?? '',
      // Templates only ask whether there are any, or how many.
      Images: (message.images ?? []).map(() => ''),
      ToolCalls: (message.tool_calls ?? []).map((call) =>
        typed(toolCallType, {
          ID: call.id ?? '',
          Function: typed(calledFunctionType, {
            Index: BigInt(Math.trunc(call.function.index || 0)),
            Name: call.function.name,
            Arguments: typed(argumentsType, call.function.arguments as Values),
          }),
        }),
      ),
      ToolName: message.tool_name ?? '',
      ToolCallID: message.tool_call_id ?? '',
    }),
  )
}

/** `.Tools`. */
export function toolValues(tools: readonly Tool[]): GoValue {
  return typedList(toolsType, tools.map(toolValue))
}

function toolValue(tool: Tool): GoMap {
  const { name, description, parameters } = tool.function
  return typed(toolType, {
    Type: tool.type,
    Items: any(tool.items),
    Function: typed(functionType, {
      Name: name,
      Description: description ?? '',
      Parameters: typed(parametersType, {
        Type: parameters?.type ?? '',
        Defs: any(parameters?.$defs),
        Items: any(parameters?.items),
        Required: parameters?.required ?? [],
        Properties: parameters?.properties ? propertyValues(parameters.properties, propertiesType) : null,
      }),
    }),
  })
}

function propertyValues(properties: Record<string, ToolProperty>, type: GoType): GoMap {
  const values = Object.entries(properties).map(([name, property]) => [name, propertyValue(property)])
  return typed(type, Object.fromEntries(values))
}

function propertyValue(property: ToolProperty): GoMap {
  const types = property.type ?? []
  return typed(propertyType, {
    AnyOf: (property.anyOf ?? []).map(propertyValue),
    Type: typedList(propertyTypeType, typeof types === 'string' ? [types] : [...types]),
    Items: any(property.items),
    Description: property.description ?? '',
    Enum: any(property.enum ?? []),
    Properties: property.properties ? propertyValues(property.properties, nestedPropertiesType) : null,
    Required: property.required ?? [],
  })
}
