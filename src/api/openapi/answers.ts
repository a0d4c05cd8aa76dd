import type { JsonSchema } from '../go-json/index.ts'
import {
  anything,
  boolean,
  date,
  dictionary,
  integer,
  list,
  nullable,
  number,
  object,
  string,
} from './schema-words.ts'

/*
 * JSON Schemas of what the API answers. Requests need none here: the schemas that decode them say it themselves.
 */

const details = object({
  parent_model: string,
  format: string,
  family: string,
  families: nullable(list(string)),
  parameter_size: string,
  quantization_level: string,
  'context_length?': integer,
  'embedding_length?': integer,
})

const tokenLogprob = { token: string, logprob: number, 'bytes?': list(integer) }
const logprobs = list(object({ ...tokenLogprob, 'top_logprobs?': list(object(tokenLogprob)) }))
const calledFunction = object({ 'index?': integer, name: string, arguments: dictionary })
const message = object({
  role: string,
  content: string,
  'thinking?': string,
  'tool_calls?': list(object({ 'id?': string, function: calledFunction })),
})

/** Nanoseconds and counts of a finished answer. */
const metrics = {
  'total_duration?': integer,
  'load_duration?': integer,
  'prompt_eval_count?': integer,
  'prompt_eval_duration?': integer,
  'eval_count?': integer,
  'eval_duration?': integer,
}
const answer = {
  model: string,
  created_at: date,
  'remote_model?': string,
  'remote_host?': string,
  done: boolean,
  'done_reason?': string,
  'logprobs?': logprobs,
  '_debug_info?': dictionary,
  ...metrics,
}

const listed = object({
  name: string,
  model: string,
  modified_at: date,
  size: integer,
  digest: string,
  details,
  'capabilities?': list(string),
})

const loaded = object({
  name: string,
  model: string,
  size: integer,
  digest: string,
  details,
  expires_at: date,
  size_vram: integer,
  context_length: integer,
})

/** Ollama's own API. */
export const ollamaAnswers = {
  error: object({ error: string }),
  version: object({ version: string }),
  status: object({ cloud: object({ disabled: boolean, source: string }) }),
  generate: object({
    ...answer,
    response: string,
    'thinking?': string,
    'context?': list(integer),
    'tool_calls?': anything,
  }),
  chat: object({ ...answer, message }),
  embed: object({
    model: string,
    embeddings: list(list(number)),
    'total_duration?': integer,
    'load_duration?': integer,
    'prompt_eval_count?': integer,
  }),
  embeddings: object({ embedding: list(number) }),
  tags: object({ models: list(listed) }),
  ps: object({ models: list(loaded) }),
  show: object({
    'license?': string,
    'modelfile?': string,
    'parameters?': string,
    'template?': string,
    'system?': string,
    details,
    'messages?': list(object({ role: string, content: string })),
    model_info: dictionary,
    'projector_info?': dictionary,
    'tensors?': list(object({ name: string, type: string, shape: list(integer) })),
    'capabilities?': list(string),
    modified_at: date,
    'requires?': string,
  }),
  progress: object({
    'status?': string,
    'digest?': string,
    'total?': integer,
    'completed?': integer,
    'error?': string,
  }),
  recommendations: object({ recommendations: list(dictionary) }),
  nothing: { type: 'null' } as JsonSchema,
}

const usage = object({ prompt_tokens: integer, completion_tokens: integer, total_tokens: integer })
const openAiCall = object({
  id: string,
  'index?': integer,
  type: string,
  function: object({ name: string, arguments: string }),
})
const said = { 'content?': string, 'reasoning?': string, 'tool_calls?': list(openAiCall) }
const choiceLogprobs = { 'logprobs?': nullable(object({ content: logprobs })) }
const head = { id: string, object: string, created: integer, model: string, system_fingerprint: string }

const model = object({ id: string, object: string, created: integer, owned_by: string })

const page = (item: JsonSchema) =>
  object({
    object: string,
    data: list(item),
    first_id: nullable(string),
    last_id: nullable(string),
    has_more: boolean,
  })

const file = object({
  id: string,
  object: string,
  bytes: integer,
  created_at: integer,
  expires_at: nullable(integer),
  filename: string,
  purpose: string,
  status: string,
  status_details: anything,
})

const inputError = object({ code: string, message: string, param: nullable(string), line: nullable(integer) })
const moments = ['in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', 'cancelled']
const batch = object({
  id: string,
  object: string,
  endpoint: string,
  model: nullable(string),
  errors: nullable(object({ object: string, data: list(inputError) })),
  input_file_id: string,
  completion_window: string,
  status: string,
  output_file_id: nullable(string),
  error_file_id: nullable(string),
  created_at: integer,
  expires_at: integer,
  ...Object.fromEntries(moments.map((moment) => [`${moment}_at`, nullable(integer)])),
  request_counts: object({ total: integer, completed: integer, failed: integer }),
  usage: object({
    input_tokens: integer,
    input_tokens_details: object({ cached_tokens: integer }),
    output_tokens: integer,
    output_tokens_details: object({ reasoning_tokens: integer }),
    total_tokens: integer,
  }),
  metadata: nullable(dictionary),
})

/** OpenAI's API. */
export const openAiAnswers = {
  error: object({
    error: object({ message: string, type: string, param: anything, code: anything }),
  }),
  chatCompletion: object({
    ...head,
    choices: list(
      object({
        index: integer,
        message: object({ role: string, ...said }),
        finish_reason: nullable(string),
        ...choiceLogprobs,
      }),
    ),
    usage,
  }),
  chatCompletionChunk: object({
    ...head,
    choices: list(
      object({
        index: integer,
        delta: object({ 'role?': string, ...said }),
        finish_reason: nullable(string),
        ...choiceLogprobs,
      }),
    ),
    'usage?': usage,
  }),
  completion: object({
    ...head,
    choices: list(
      object({ index: integer, text: string, finish_reason: nullable(string), ...choiceLogprobs }),
    ),
    'usage?': usage,
  }),
  embeddings: object({
    object: string,
    data: list(object({ object: string, embedding: { anyOf: [list(number), string] }, index: integer })),
    model: string,
    usage: object({ prompt_tokens: integer, total_tokens: integer }),
  }),
  models: object({ object: string, data: nullable(list(model)) }),
  model,
  response: object({
    id: string,
    object: string,
    created_at: integer,
    status: string,
    model: string,
    output: list(object({ id: string, type: string })),
    error: anything,
    usage: nullable(object({ input_tokens: integer, output_tokens: integer, total_tokens: integer })),
  }),
  responseEvent: object({ type: string, sequence_number: integer }),
  transcription: object({ text: string }),
  file,
  files: page(file),
  fileDeleted: object({ id: string, object: string, deleted: boolean }),
  batch,
  batches: page(batch),
}

/** Anthropic's API. */
export const anthropicAnswers = {
  error: object({ type: string, error: object({ type: string, message: string }), 'request_id?': string }),
  message: object({
    id: string,
    type: string,
    role: string,
    model: string,
    content: list(object({ type: string })),
    stop_reason: nullable(string),
    usage: object({ input_tokens: integer, output_tokens: integer }),
  }),
  messageEvent: object({ type: string }),
  tokenCount: object({ input_tokens: integer }),
}
