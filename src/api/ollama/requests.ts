import type { Message, Role, Think, ToolCall } from '../../inference/index.ts'
import {
  type Decoded,
  DecodeError,
  decodeValue,
  goAny,
  goArray,
  goBool,
  goBytes,
  goCustom,
  goInt,
  goMap,
  goQuote,
  goRecord,
  goString,
  goStruct,
  maxDurationMs,
  parseGoDuration,
  type Schema,
} from '../go-json/index.ts'
import { multiGpuWish } from '../multigpu/wishes.ts'
import { toolList } from '../tools.ts'

const zeroBytes = new Uint8Array()
const images = goArray(goBytes('api.ImageData'), zeroBytes)

/** Milliseconds: a number is seconds, a string a Go duration; negative is for ever. */
const keepAlive: Schema<number> = goCustom(
  'api.Duration',
  { type: ['number', 'string'], description: 'Seconds, or a duration such as "10m"; negative is for ever.' },
  (value) => {
    if (typeof value !== 'number' && typeof value !== 'string') {
      throw new DecodeError(`Unsupported type: '${goDynamicType(value)}'`)
    }
    const ms = typeof value === 'number' ? value * 1000 : parseGoDuration(value)
    return ms < 0 || ms > maxDurationMs ? Number.POSITIVE_INFINITY : ms
  },
)

function goDynamicType(value: unknown): string {
  if (typeof value === 'boolean') return 'bool'
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}'
}

const thinkLevels = '"high", "medium", "low", "max", true, or false'

const think: Schema<Think> = goCustom(
  'api.ThinkValue',
  { type: ['boolean', 'string'], enum: [true, false, 'low', 'medium', 'high', 'max'] },
  (value) => {
    if (typeof value === 'boolean') return value
    if (value === 'low' || value === 'medium' || value === 'high' || value === 'max') return value
    if (typeof value === 'string') {
      throw new DecodeError(`invalid think value: ${goQuote(value)} (must be ${thinkLevels})`)
    }
    throw new DecodeError(`think must be a boolean or string (${thinkLevels})`)
  },
)

/** Fields that generate and chat share. */
const answerFields = {
  model: goString,
  stream: goBool,
  format: goAny,
  options: goMap,
  keep_alive: keepAlive,
  think,
  truncate: goBool,
  shift: goBool,
  logprobs: goBool,
  top_logprobs: goInt,
  _debug_render_only: goBool,
  multi_gpu: multiGpuWish,
}

export const generateRequest = goStruct('api', 'GenerateRequest', {
  ...answerFields,
  prompt: goString,
  suffix: goString,
  system: goString,
  template: goString,
  context: goArray(goInt, 0),
  raw: goBool,
  images,
})

const toolCallArguments: Schema<Record<string, unknown>> = goCustom(
  'api.ToolCallFunctionArguments',
  { type: 'object' },
  (value) => decodeValue(goRecord(goAny, null, 'map[string]interface {}'), value),
)

const messageFields = goStruct('api', 'Alias', {
  role: goString,
  content: goString,
  thinking: goString,
  images,
  tool_calls: goArray(
    goStruct('api', 'ToolCall', {
      id: goString,
      function: goStruct('api', 'ToolCallFunction', {
        index: goInt,
        name: goString,
        arguments: toolCallArguments,
      }),
    }),
    {},
  ),
  tool_name: goString,
  tool_call_id: goString,
})

// Ollama decodes a message through an alias type, which is the name that its errors show.
export const message = goCustom('api.Message', messageFields.jsonSchema, (value) =>
  decodeValue(messageFields, value),
)

export const chatRequest = goStruct('api', 'ChatRequest', {
  ...answerFields,
  messages: goArray<Decoded<typeof message>>(message, {}),
  tools: toolList,
})

/** A prompt or a conversation to route, of which nothing is run. */
export const explainRequest = goStruct('api', 'ExplainRequest', {
  ...answerFields,
  prompt: goString,
  system: goString,
  messages: goArray<Decoded<typeof message>>(message, {}),
  tools: toolList,
})

export const embedRequest = goStruct('api', 'EmbedRequest', {
  model: goString,
  input: goAny,
  keep_alive: keepAlive,
  truncate: goBool,
  dimensions: goInt,
  options: goMap,
})

export const embeddingRequest = goStruct('api', 'EmbeddingRequest', {
  model: goString,
  prompt: goString,
  keep_alive: keepAlive,
  options: goMap,
})

export const showRequest = goStruct('api', 'ShowRequest', {
  model: goString,
  name: goString,
  system: goString,
  template: goString,
  verbose: goBool,
  options: goMap,
})

export type GenerateBody = Decoded<typeof generateRequest>
export type ChatBody = Decoded<typeof chatRequest>

/** Roles are lower-cased; one that Ollama does not know goes on as it is, for the template to print. */
export function toMessage(body: Decoded<typeof message>): Message {
  const { role = '', content = '', thinking, images: pictures, tool_calls, tool_name, tool_call_id } = body
  return {
    role: role.toLowerCase() as Role,
    content,
    ...(thinking !== undefined && { thinking }),
    ...(pictures !== undefined && { images: pictures }),
    ...(tool_calls !== undefined && { tool_calls: tool_calls.map(toToolCall) }),
    ...(tool_name !== undefined && { tool_name }),
    ...(tool_call_id !== undefined && { tool_call_id }),
  }
}

function toToolCall(call: NonNullable<Decoded<typeof message>['tool_calls']>[number]): ToolCall {
  const { id, function: called = {} } = call
  const { index = 0, name = '', arguments: args = {} } = called
  return { ...(id !== undefined && { id }), function: { index, name, arguments: args } }
}
