import type { JsonSchema } from '../go-json/index.ts'

/*
 * JSON Schemas of what the API answers. Requests need none here: the schemas that decode them say it themselves.
 */

const string: JsonSchema = { type: 'string' }
const integer: JsonSchema = { type: 'integer' }
const number: JsonSchema = { type: 'number' }
const boolean: JsonSchema = { type: 'boolean' }
const date: JsonSchema = { type: 'string', format: 'date-time' }
const anything: JsonSchema = {}
const dictionary: JsonSchema = { type: 'object', additionalProperties: true }
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
const nullable = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] })

/** An object; a name that ends with `?` may be absent. */
function object(members: Record<string, JsonSchema>): JsonSchema {
  const names = Object.keys(members)
  const bare = (name: string) => name.replace(/\?$/, '')
  return {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [bare(name), members[name]])),
    required: names.filter((name) => !name.endsWith('?')),
  }
}

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

const device = object({
  id: string,
  vendor: string,
  kind: string,
  name: string,
  state: string,
  'stateReason?': string,
  sources: list(string),
  memoryTotalBytes: integer,
  unifiedMemory: boolean,
  facts: dictionary,
  'sensors?': dictionary,
  health: object({
    state: string,
    reasons: list(object({ code: string, state: string, text: string, 'advice?': string })),
  }),
  used: boolean,
  'unusedReason?': string,
  instances: list(
    object({
      instance: integer,
      model: string,
      engine: string,
      pid: integer,
      state: string,
      slots: integer,
      running: integer,
      bytes: number,
    }),
  ),
})

const candidate = object({
  instance: integer,
  devices: list(string),
  score: number,
  terms: dictionary,
  cachedTokens: number,
  running: integer,
  slots: integer,
  health: number,
  rates: dictionary,
})

const planned = object({
  strategy: string,
  model: string,
  instances: list(
    object({
      engine: string,
      node: string,
      splitMode: string,
      tensorSize: integer,
      pipelineSize: integer,
      parts: list(dictionary),
      host: dictionary,
      contextLength: integer,
      slots: integer,
      kvCacheType: string,
      'draftDeviceId?': string,
    }),
  ),
  speed: dictionary,
  reasons: list(string),
})
const plan = object({
  ok: boolean,
  'plans?': list(planned),
  rejected: list(object({ what: string, reason: string })),
  'message?': string,
  'neededBytes?': number,
  'usableBytes?': number,
  'suggestions?': list(string),
  subject: object({
    name: string,
    format: string,
    fileType: string,
    parameterCount: number,
    weightBytes: number,
  }),
  inventory: object({ nodes: list(dictionary), devices: list(dictionary), links: list(dictionary) }),
  commands: list(
    object({
      instance: integer,
      count: integer,
      commands: list(object({ 'node?': string, env: dictionary, argv: list(string) })),
    }),
  ),
})

const deviceMemory = object({ totalBytes: integer, 'usedBytes?': integer, modelsBytes: number })
const spread = object({ mean: number, p50: number, p90: number, p99: number })
const move = object({
  id: integer,
  model: string,
  from: list(string),
  to: list(string),
  reason: string,
  state: string,
  'error?': string,
})
const laidOutInstance = object({
  instance: integer,
  model: string,
  engine: string,
  state: string,
  strategy: string,
  slots: integer,
  running: integer,
  'contextLength?': integer,
  parts: list(
    object({
      deviceId: string,
      stage: integer,
      'layers?': list(integer),
      share: number,
      bytes: number,
      'memory?': dictionary,
      'remote?': boolean,
    }),
  ),
})

const multiGpuAnswers = {
  multiGpuStatus: object({
    enabled: boolean,
    strategy: string,
    devices: list(
      object({
        id: string,
        label: string,
        name: string,
        vendor: string,
        state: string,
        health: string,
        used: boolean,
        'unusedReason?': string,
        memory: deviceMemory,
      }),
    ),
    instances: list(laidOutInstance),
    moves: list(move),
    problems: list(string),
  }),
  multiGpuTopology: object({ devices: list(dictionary), links: list(dictionary) }),
  multiGpuPerformance: object({
    'windowSeconds?': number,
    'throughput?': object({
      requestsPerSecond: number,
      promptTokensPerSecond: number,
      outputTokensPerSecond: number,
      running: integer,
    }),
    'latency?': object({ 'ttftMs?': spread, 'itlMs?': spread, 'endToEndMs?': spread }),
    'failures?': integer,
    'devices?': list(
      object({
        id: string,
        label: string,
        memory: deviceMemory,
        running: integer,
        'utilization?': number,
        'memoryUtilization?': number,
        'powerWatts?': number,
        'powerLimitWatts?': number,
        'temperatureC?': number,
        'throttle?': list(string),
      }),
    ),
  }),
  multiGpuModels: object({
    models: list(
      object({
        model: string,
        wanted: integer,
        running: integer,
        loading: integer,
        'strategy?': string,
        'reason?': string,
        slots: integer,
        memoryBytes: number,
        devices: list(string),
      }),
    ),
  }),
  multiGpuConfig: object({
    'changed?': list(object({ key: string, 'from?': anything, 'to?': anything })),
    multi_gpu: dictionary,
    from: dictionary,
    'file?': string,
    'refused?': dictionary,
  }),
  multiGpuMoves: object({ 'dryRun?': boolean, moves: list(move) }),
}

/** What Drover has beyond the dialects. */
export const droverAnswers = {
  ...multiGpuAnswers,
  plan,
  devices: object({ devices: list(device), links: list(dictionary), problems: list(string) }),
  configuration: object({
    'file?': string,
    readAt: string,
    settings: list(dictionary),
    restart: list(dictionary),
    'refused?': object({ at: string, problems: list(string) }),
  }),
  restart: object({ model: string, instances: integer }),
  drain: object({ instance: integer, graceMs: number }),
  explanation: object({
    model: string,
    policy: string,
    unit: string,
    promptTokens: number,
    expectedOutputTokens: number,
    candidates: list(candidate),
    excluded: list(object({ instance: integer, reason: string })),
    'predicted?': object({ ttftMs: number, finishMs: number }),
    summary: string,
  }),
  queue: object({
    waiting: integer,
    byModel: list(object({ model: string, waiting: integer, byClass: dictionary, oldestMs: number })),
    requests: list(
      object({
        model: string,
        position: integer,
        tenant: string,
        priority: string,
        waitedMs: number,
        'estimateMs?': number,
      }),
    ),
    tenants: list(object({ tenant: string, waiting: integer, servedTokens: number, weight: number })),
    instances: list(
      object({
        instance: integer,
        model: string,
        state: string,
        running: integer,
        slots: integer,
        health: number,
      }),
    ),
    predictions: list(object({ model: string, error: dictionary })),
    caches: dictionary,
  }),
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
