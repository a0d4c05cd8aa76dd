import { DroverError, type ModelOptions, type Think } from '../../inference/index.ts'
import {
  type Decoded,
  goAny,
  goArray,
  goBool,
  goFloat,
  goInt,
  goQuote,
  goString,
  goStruct,
} from '../go-json/index.ts'
import { multiGpuWish } from '../multigpu/wishes.ts'
import { toolList } from '../tools.ts'

const float = goFloat('float64')
const float32 = goFloat('float32')
const streamOptions = goStruct('openai', 'StreamOptions', { include_usage: goBool })

const toolCall = goStruct('openai', 'ToolCall', {
  id: goString,
  index: goInt,
  type: goString,
  function: goStruct('openai', '', { name: goString, arguments: goString }),
})

const message = goStruct('openai', 'Message', {
  role: goString,
  content: goAny,
  reasoning: goString,
  tool_calls: goArray<Decoded<typeof toolCall>>(toolCall, {}),
  name: goString,
  tool_call_id: goString,
})

export const chatCompletionRequest = goStruct('openai', 'ChatCompletionRequest', {
  model: goString,
  messages: goArray<Decoded<typeof message>>(message, {}),
  stream: goBool,
  stream_options: streamOptions,
  max_tokens: goInt,
  seed: goInt,
  stop: goAny,
  temperature: float,
  frequency_penalty: float,
  presence_penalty: float,
  top_p: float,
  response_format: goStruct('openai', 'ResponseFormat', {
    type: goString,
    json_schema: goStruct('openai', 'JsonSchema', { schema: goAny }),
  }),
  tools: toolList,
  reasoning: goStruct('openai', 'Reasoning', { effort: goString }),
  reasoning_effort: goString,
  logprobs: goBool,
  top_logprobs: goInt,
  multi_gpu: multiGpuWish,
})

export const completionRequest = goStruct('openai', 'CompletionRequest', {
  model: goString,
  prompt: goString,
  frequency_penalty: float32,
  max_tokens: goInt,
  presence_penalty: float32,
  seed: goInt,
  stop: goAny,
  stream: goBool,
  stream_options: streamOptions,
  temperature: float32,
  top_p: float32,
  suffix: goString,
  logprobs: goInt,
  multi_gpu: multiGpuWish,
})

export const embeddingsRequest = goStruct('openai', 'EmbedRequest', {
  input: goAny,
  model: goString,
  dimensions: goInt,
  encoding_format: goString,
})

export type ChatCompletionBody = Decoded<typeof chatCompletionRequest>
export type CompletionBody = Decoded<typeof completionRequest>
export type OpenAiMessage = Decoded<typeof message>
export type OpenAiToolCall = Decoded<typeof toolCall>

/** Sampling options. What is absent becomes 1.0 for temperature and top_p, over the model's own parameters. */
export function toSampling(body: ChatCompletionBody | CompletionBody): ModelOptions {
  const { max_tokens: maxTokens, seed, temperature = 1, top_p: topP = 1 } = body
  const { frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty } = body
  return {
    temperature,
    top_p: topP,
    ...(maxTokens !== undefined && { num_predict: maxTokens }),
    ...(seed !== undefined && { seed }),
    ...(frequencyPenalty !== undefined && { frequency_penalty: frequencyPenalty }),
    ...(presencePenalty !== undefined && { presence_penalty: presencePenalty }),
  }
}

/** Texts that end the answer: one, or those of an array. `undefined` when `stop` is neither. */
export function toStops(stop: unknown, onOther: (item: unknown) => void): string[] | undefined {
  if (typeof stop === 'string') return [stop.toWellFormed()]
  if (!Array.isArray(stop)) return undefined
  const texts: string[] = []
  for (const item of stop) {
    if (typeof item === 'string') texts.push(item.toWellFormed())
    else onOther(item)
  }
  return texts
}

const efforts = new Map<string, Think>([
  ['none', false],
  ['minimal', 'low'],
  ['low', 'low'],
  ['medium', 'medium'],
  ['high', 'high'],
  ['max', 'max'],
  ['xhigh', 'max'],
  ['ultra', 'max'],
])

/** How hard to think, from `reasoning.effort` or `reasoning_effort`. */
export function toThink(body: ChatCompletionBody): Think | undefined {
  const effort = (body.reasoning ? body.reasoning.effort : body.reasoning_effort) ?? ''
  if (effort === '') return undefined
  const think = efforts.get(effort)
  if (think !== undefined) return think
  throw new DroverError(
    'invalid_request',
    `invalid reasoning value: ${goQuote(effort)} (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")`,
  )
}

/** Go's name of a decoded value's type, as `%T` prints it. */
export function goTypeOf(value: unknown): string {
  if (value === undefined || value === null) return '<nil>'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return 'float64'
  if (typeof value === 'string') return 'string'
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}'
}
