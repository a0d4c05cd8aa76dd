import { countTokensRequest, messagesRequest } from '../anthropic/requests.ts'
import { fitRequest } from '../drover/fit.ts'
import { planRequest } from '../drover/plan.ts'
import { drainRequest, restartRequest } from '../drover/requests.ts'
import type { JsonSchema } from '../go-json/index.ts'
import { configRequest } from '../multigpu/configuration.ts'
import { migrateRequest, rebalanceRequest } from '../multigpu/requests.ts'
import {
  copyRequest,
  createRequest,
  deleteRequest,
  pullRequest,
  pushRequest,
} from '../ollama/manage-requests.ts'
import {
  chatRequest,
  embeddingRequest,
  embedRequest,
  explainRequest,
  generateRequest,
  showRequest,
} from '../ollama/requests.ts'
import { batchRequest } from '../openai/batches/requests.ts'
import { chatCompletionRequest, completionRequest, embeddingsRequest } from '../openai/requests.ts'
import { responsesRequest } from '../openai/responses/request.ts'
import { anthropicAnswers, ollamaAnswers, openAiAnswers } from './answers.ts'
import { droverAnswers } from './drover-answers.ts'

type Method = 'get' | 'head' | 'post' | 'put' | 'delete'

/** One route as the document describes it. */
export interface Operation {
  method: Method
  path: string
  summary: string
  dialect: 'Ollama' | 'OpenAI' | 'Anthropic' | 'Drover'
  /** The schema that the handler decodes the body by, or the media type and schema of another body. */
  request?: { jsonSchema: JsonSchema } | { type: string; schema: JsonSchema }
  /** Absent: an empty body, or plain text where `text` says so. */
  answer?: JsonSchema
  text?: boolean
  /** The answer is a file, as it was put or written. */
  bytes?: boolean
  /** One piece of a streamed answer, and how pieces are framed. */
  stream?: { type: 'application/x-ndjson' | 'text/event-stream'; piece: JsonSchema }
}

const { generate, chat, progress } = ollamaAnswers
const lines = (piece: JsonSchema) => ({ type: 'application/x-ndjson' as const, piece })
const events = (piece: JsonSchema) => ({ type: 'text/event-stream' as const, piece })
const binary = { type: 'application/octet-stream', schema: { type: 'string', format: 'binary' } }

const ollama = (method: Method, path: string, summary: string, rest: Partial<Operation> = {}): Operation => ({
  method,
  path,
  summary,
  dialect: 'Ollama',
  ...rest,
})
const openAi = (method: Method, path: string, summary: string, rest: Partial<Operation> = {}): Operation => ({
  ...ollama(method, path, summary, rest),
  dialect: 'OpenAI',
})
const anthropic = (path: string, summary: string, rest: Partial<Operation>): Operation => ({
  ...ollama('post', path, summary, rest),
  dialect: 'Anthropic',
})

const drover = (method: Method, path: string, summary: string, rest: Partial<Operation>): Operation => ({
  ...ollama(method, path, summary, rest),
  dialect: 'Drover',
})

const transcription = {
  type: 'multipart/form-data',
  schema: {
    type: 'object',
    required: ['file', 'model'],
    properties: {
      file: { type: 'string', format: 'binary' },
      model: { type: 'string' },
      language: { type: 'string' },
      prompt: { type: 'string' },
      response_format: { type: 'string', enum: ['json', 'text'] },
    },
  },
}

const upload = {
  type: 'multipart/form-data',
  schema: {
    type: 'object',
    required: ['file', 'purpose'],
    properties: {
      file: { type: 'string', format: 'binary' },
      purpose: { type: 'string', enum: ['batch'] },
      'expires_after[anchor]': { type: 'string', enum: ['created_at'] },
      'expires_after[seconds]': { type: 'integer' },
    },
  },
}

/** Every route of the API. */
export const operations: readonly Operation[] = [
  drover('get', '/api/devices', 'Every device with its sensors, its health, and what runs on it', {
    answer: droverAnswers.devices,
  }),
  drover('post', '/api/restart', 'Replaces every instance of a model by a new one, refusing no request', {
    request: restartRequest,
    answer: droverAnswers.restart,
  }),
  drover(
    'get',
    '/api/config',
    'Every setting with its value, and what became of the last change of the file',
    {
      answer: droverAnswers.configuration,
    },
  ),
  drover('get', '/api/queue', 'Who waits, what each instance does, and how wrong predictions were', {
    answer: droverAnswers.queue,
  }),
  drover('get', '/api/route/explain', 'Where a prompt (`model`, `prompt` in the query) would go, and why', {
    answer: droverAnswers.explanation,
  }),
  drover('post', '/api/route/explain', 'Where a chat or generate request would go, and why; nothing is run', {
    request: explainRequest,
    answer: droverAnswers.explanation,
  }),
  drover('get', '/api/plan', 'How models would lie on devices, and why; the fields of the POST as a query', {
    answer: droverAnswers.plan,
  }),
  drover(
    'post',
    '/api/plan',
    'How models would lie on these devices or others, and why; nothing is started',
    {
      request: planRequest,
      answer: droverAnswers.plan,
    },
  ),
  drover('post', '/api/fit', "Which version of a registry's model fits this machine, and why that one", {
    request: fitRequest,
    answer: droverAnswers.fit,
  }),
  drover('post', '/api/drain', 'Lets one instance end; its answers go on elsewhere after the grace', {
    request: drainRequest,
    answer: droverAnswers.drain,
  }),
  drover('get', '/api/multigpu/status', 'Devices, and how instances lie on them', {
    answer: droverAnswers.multiGpuStatus,
  }),
  drover('get', '/api/multigpu/topology', 'Devices and the links between them', {
    answer: droverAnswers.multiGpuTopology,
  }),
  drover(
    'get',
    '/api/multigpu/performance',
    "Throughput and latency of the last minute, and the devices' sensors",
    {
      answer: droverAnswers.multiGpuPerformance,
    },
  ),
  drover('get', '/api/multigpu/models', 'Instances of each model, wanted and running', {
    answer: droverAnswers.multiGpuModels,
  }),
  drover('get', '/api/multigpu/config', 'The section `multi_gpu` of the configuration in force', {
    answer: droverAnswers.multiGpuConfig,
  }),
  drover('put', '/api/multigpu/config', 'Changes settings of that section, in the file and at once', {
    request: configRequest,
    answer: droverAnswers.multiGpuConfig,
  }),
  drover('post', '/api/multigpu/migrate', 'Puts a model on other devices, failing no request', {
    request: migrateRequest,
    answer: droverAnswers.multiGpuMoves,
  }),
  drover('post', '/api/multigpu/rebalance', 'Lays out anew what would gain by it', {
    request: rebalanceRequest,
    answer: droverAnswers.multiGpuMoves,
  }),
  drover('post', '/api/multigpu/undo', 'Takes the last change back that was not yet', {
    answer: droverAnswers.multiGpuUndone,
  }),
  ollama('get', '/', 'Says that the server runs', { text: true }),
  ollama('head', '/', 'Says that the server runs'),
  ollama('get', '/api/version', "The version of Ollama's API that is spoken", {
    answer: ollamaAnswers.version,
  }),
  ollama('head', '/api/version', 'The same without a body'),
  ollama('get', '/api/status', 'Whether the cloud is switched off', { answer: ollamaAnswers.status }),
  ollama('post', '/api/generate', 'Continues a prompt; without one loads or unloads a model', {
    request: generateRequest,
    answer: generate,
    stream: lines(generate),
  }),
  ollama('post', '/api/chat', 'Continues a conversation; without messages loads or unloads a model', {
    request: chatRequest,
    answer: chat,
    stream: lines(chat),
  }),
  ollama('post', '/api/embed', 'Turns texts into vectors', {
    request: embedRequest,
    answer: ollamaAnswers.embed,
  }),
  ollama('post', '/api/embeddings', 'Turns one text into a vector, the older way', {
    request: embeddingRequest,
    answer: ollamaAnswers.embeddings,
  }),
  ollama('get', '/api/tags', 'The models of the store', { answer: ollamaAnswers.tags }),
  ollama('head', '/api/tags', 'The same without a body'),
  ollama('get', '/api/ps', 'The models that run', { answer: ollamaAnswers.ps }),
  ollama('post', '/api/show', 'Everything known about a model', {
    request: showRequest,
    answer: ollamaAnswers.show,
  }),
  ollama('post', '/api/create', 'Makes a model', {
    request: createRequest,
    answer: progress,
    stream: lines(progress),
  }),
  ollama('post', '/api/pull', 'Fetches a model', {
    request: pullRequest,
    answer: progress,
    stream: lines(progress),
  }),
  ollama('post', '/api/push', 'Sends a model', {
    request: pushRequest,
    answer: progress,
    stream: lines(progress),
  }),
  ollama('post', '/api/copy', 'Gives a model a second name', { request: copyRequest }),
  ollama('delete', '/api/delete', 'Removes a model', { request: deleteRequest }),
  ollama('head', '/api/blobs/{digest}', 'Whether the store has a blob'),
  ollama('post', '/api/blobs/{digest}', 'Puts a blob into the store', { request: binary }),
  ollama('post', '/api/me', 'Who is signed in at the cloud: refused'),
  ollama('post', '/api/signout', 'Signs out of the cloud', { answer: ollamaAnswers.nothing }),
  ollama('delete', '/api/user/keys/{encodedKey}', 'Signs out, the older way', {
    answer: ollamaAnswers.nothing,
  }),
  ollama('post', '/api/experimental/web_search', 'Searches the web by the cloud: refused'),
  ollama('post', '/api/experimental/web_fetch', 'Reads a page by the cloud: refused'),
  ollama('get', '/api/experimental/model-recommendations', 'Models that the cloud recommends: none', {
    answer: ollamaAnswers.recommendations,
  }),
  openAi('post', '/v1/chat/completions', 'Continues a conversation', {
    request: chatCompletionRequest,
    answer: openAiAnswers.chatCompletion,
    stream: events(openAiAnswers.chatCompletionChunk),
  }),
  openAi('post', '/v1/completions', 'Continues a prompt', {
    request: completionRequest,
    answer: openAiAnswers.completion,
    stream: events(openAiAnswers.completion),
  }),
  openAi('post', '/v1/embeddings', 'Turns texts into vectors', {
    request: embeddingsRequest,
    answer: openAiAnswers.embeddings,
  }),
  openAi('get', '/v1/models', 'The models of the store', { answer: openAiAnswers.models }),
  openAi('get', '/v1/models/{model}', 'One model of the store', { answer: openAiAnswers.model }),
  openAi('post', '/v1/responses', 'Continues a conversation of items', {
    request: responsesRequest,
    answer: openAiAnswers.response,
    stream: events(openAiAnswers.responseEvent),
  }),
  openAi('post', '/v1/audio/transcriptions', 'Writes down a recording', {
    request: transcription,
    answer: openAiAnswers.transcription,
  }),
  openAi('post', '/v1/files', 'Keeps a file of requests', { request: upload, answer: openAiAnswers.file }),
  openAi('get', '/v1/files', 'The files of this key', { answer: openAiAnswers.files }),
  openAi('get', '/v1/files/{file}', 'One file', { answer: openAiAnswers.file }),
  openAi('get', '/v1/files/{file}/content', 'What is in a file', { bytes: true }),
  openAi('delete', '/v1/files/{file}', 'Removes a file', { answer: openAiAnswers.fileDeleted }),
  openAi('post', '/v1/batches', 'Has the requests of a file answered when slots are idle', {
    request: batchRequest,
    answer: openAiAnswers.batch,
  }),
  openAi('get', '/v1/batches', 'The batches of this key', { answer: openAiAnswers.batches }),
  openAi('get', '/v1/batches/{batch}', 'One batch', { answer: openAiAnswers.batch }),
  openAi('post', '/v1/batches/{batch}/cancel', 'Breaks a batch off', { answer: openAiAnswers.batch }),
  anthropic('/v1/messages', 'Continues a conversation', {
    request: messagesRequest,
    answer: anthropicAnswers.message,
    stream: events(anthropicAnswers.messageEvent),
  }),
  anthropic('/v1/messages/count_tokens', 'How many tokens a conversation takes', {
    request: countTokensRequest,
    answer: anthropicAnswers.tokenCount,
  }),
  ollama('get', '/openapi.json', 'This document', { answer: { type: 'object' } }),
]
