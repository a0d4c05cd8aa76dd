import {
  type Decoded,
  decodeValue,
  goAny,
  goArray,
  goBool,
  goCustom,
  goFloat,
  goInt,
  goRecord,
  goString,
  goStruct,
  type JsonSchema,
  type Schema,
} from '../go-json/index.ts'

/** Any JSON, of which the document says more than the decoder asks for. */
const anyJson = (jsonSchema: JsonSchema): Schema<unknown> => ({ ...goAny, jsonSchema })

const textOrBlocks: JsonSchema = {
  oneOf: [{ type: 'string' }, { type: 'array', items: { type: 'object' } }],
}

const toolInput: Schema<Record<string, unknown>> = goCustom(
  'api.ToolCallFunctionArguments',
  { type: 'object' },
  (value) => decodeValue(goRecord(goAny, null, 'map[string]interface {}'), value),
)

/** Where an image or a document is; of a search result, the place it was found at. */
const source: JsonSchema = {
  oneOf: [
    { type: 'string' },
    {
      type: 'object',
      properties: {
        type: { type: 'string', enum: ['base64', 'text', 'content'] },
        media_type: { type: 'string' },
        data: { type: 'string' },
        content: textOrBlocks,
      },
      required: ['type'],
    },
  ],
}

/** Every kind of block in one, told apart by `type`; members of other kinds stay absent. */
const contentBlock = goStruct('anthropic', 'ContentBlock', {
  type: goString,
  text: goString,
  source: anyJson(source),
  id: goString,
  name: goString,
  input: toolInput,
  tool_use_id: goString,
  content: anyJson(textOrBlocks),
  is_error: goBool,
  thinking: goString,
  signature: goString,
  title: goString,
})

const contentBlocks = goArray<ContentBlock>(contentBlock, {})

/** A message's content; plain text is one block of text. */
const content: Schema<ContentBlock[]> = goCustom(
  '[]anthropic.ContentBlock',
  { oneOf: [{ type: 'string' }, contentBlocks.jsonSchema] },
  (value) =>
    typeof value === 'string'
      ? [{ type: 'text', text: value.toWellFormed() }]
      : decodeValue(contentBlocks, value),
)

// Ollama decodes a message through a struct that has no name, which its errors show.
const messageFields = goStruct('anthropic', '', { role: goString, content })

const message = goCustom('anthropic.MessageParam', messageFields.jsonSchema, (value) =>
  decodeValue(messageFields, value),
)

const tool = goStruct('anthropic', 'Tool', {
  type: goString,
  name: goString,
  description: goString,
  input_schema: anyJson({ type: 'object', description: 'JSON Schema of the input.' }),
})

/** What counting tokens takes, which is all that shapes the prompt. */
const promptFields = {
  model: goString,
  messages: goArray<AnthropicMessage>(message, {}),
  system: anyJson({ ...textOrBlocks, description: 'A text, or blocks of type "text".' }),
  tools: goArray<AnthropicTool>(tool, {}),
  tool_choice: goStruct('anthropic', 'ToolChoice', {
    type: goString,
    name: goString,
    disable_parallel_tool_use: goBool,
  }),
  thinking: goStruct('anthropic', 'ThinkingConfig', { type: goString, budget_tokens: goInt }),
  output_config: goStruct('anthropic', 'OutputConfig', {
    effort: goString,
    format: goStruct('anthropic', 'OutputFormat', {
      type: goString,
      schema: anyJson({ type: 'object', description: 'A JSON Schema that the answer must satisfy.' }),
    }),
  }),
}

export const messagesRequest = goStruct('anthropic', 'MessagesRequest', {
  ...promptFields,
  max_tokens: goInt,
  stream: goBool,
  temperature: goFloat('float64'),
  top_p: goFloat('float64'),
  top_k: goInt,
  stop_sequences: goArray(goString, ''),
  metadata: goStruct('anthropic', 'Metadata', { user_id: goString }),
})

export const countTokensRequest = goStruct('anthropic', 'CountTokensRequest', promptFields)

export type MessagesBody = Decoded<typeof messagesRequest>
export type CountTokensBody = Decoded<typeof countTokensRequest>
export type ContentBlock = Decoded<typeof contentBlock>
export type AnthropicMessage = Decoded<typeof messageFields>
export type AnthropicTool = Decoded<typeof tool>
