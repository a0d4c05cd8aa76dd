import { type ChatRequest, DroverError, type Tool } from '../../../inference/index.ts'
import { toFormat } from '../../format.ts'
import {
  type Decoded,
  DecodeError,
  decodeValue,
  goAny,
  goArray,
  goBool,
  goFloat,
  goInt,
  goString,
  goStruct,
} from '../../go-json/index.ts'
import { toolList, toTools } from '../../tools.ts'
import { toSampling, toThink } from '../requests.ts'
import { toConversation } from './input.ts'

const float = goFloat('float64')

const toolFields = {
  type: goString,
  name: goString,
  description: goString,
  parameters: goAny,
  strict: goBool,
}
const tool = goStruct('openai', 'ResponsesTool', {
  ...toolFields,
  // A namespace's own tools.
  tools: goArray(goStruct('openai', 'ResponsesTool', toolFields), {}),
})

/** `POST /v1/responses`, the part of it that a server without memory can answer. */
export const responsesRequest = goStruct('openai', 'ResponsesRequest', {
  model: goString,
  input: goAny,
  instructions: goString,
  tools: goArray<Decoded<typeof tool>>(tool, {}),
  stream: goBool,
  temperature: float,
  top_p: float,
  max_output_tokens: goInt,
  reasoning: goStruct('openai', 'ResponsesReasoning', { effort: goString, summary: goString }),
  text: goStruct('openai', 'ResponsesText', {
    format: goStruct('openai', 'ResponsesTextFormat', {
      type: goString,
      name: goString,
      schema: goAny,
      strict: goBool,
    }),
  }),
  truncation: goString,
  include: goArray(goString, ''),
  background: goBool,
  previous_response_id: goString,
})

export type ResponsesBody = Decoded<typeof responsesRequest>

/** The request in Drover's form. Throws `invalid_request` with Ollama's words. */
export function toChatRequest(body: ResponsesBody): ChatRequest {
  if (body.previous_response_id) {
    throw new DroverError(
      'invalid_request',
      'previous_response_id is not supported: no answer is kept here, send the whole conversation as input',
    )
  }
  const tools = toolsOf(body)
  const think = toThink({ ...(body.reasoning?.effort && { reasoning: { effort: body.reasoning.effort } }) })
  const format = body.text?.format?.type === 'json_schema' ? toFormat(body.text.format.schema) : undefined
  const { temperature, top_p, max_output_tokens: maxTokens } = body
  return {
    kind: 'chat',
    model: body.model ?? '',
    messages: toConversation(body.input, body.instructions),
    options: toSampling({
      ...(temperature !== undefined && { temperature }),
      ...(top_p !== undefined && { top_p }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    }),
    ...(tools.length > 0 && { tools }),
    ...(think !== undefined && { think }),
    ...(format !== undefined && { format }),
  }
}

/** Functions, those of namespaces too. Other kinds (web search) would run at the vendor's, and are passed over. */
function toolsOf({ tools = [] }: ResponsesBody): Tool[] {
  const functions = tools.flatMap((one) => (one.type === 'namespace' ? (one.tools ?? []) : [one]))
  const written = functions
    .filter(({ type }) => type === 'function')
    .map(({ name = '', description = '', parameters }) => ({
      type: 'function',
      function: { name, description, parameters: parameters ?? { type: 'object', properties: {} } },
    }))
  try {
    return toTools(decodeValue(toolList, written) ?? [])
  } catch (thrown) {
    if (thrown instanceof DecodeError) throw new DroverError('invalid_request', thrown.message)
    throw thrown
  }
}
