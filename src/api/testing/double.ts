import type {
  DoneEvent,
  EmbedRequest,
  EmbedResult,
  InferenceEvent,
  InferenceRequest,
  RoutingWishes,
} from '../../inference/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { ModelDescription, ModelMaker, ModelStore, Registry, StoredModel } from '../../models/index.ts'
import type { Batches, Explanation, LoadedModel, Router } from '../../routing/index.ts'
import type { PlanSources } from '../drover/plan-sources.ts'
import {
  type ApiConfig,
  type Configuration,
  createApi,
  type DeviceStatus,
  type MultiGpuControl,
} from '../index.ts'

/** What the scripted router answers with: events, or a function that makes them. */
type Script = (request: InferenceRequest, signal: AbortSignal) => AsyncIterable<InferenceEvent>

export const done = (part: Partial<DoneEvent> = {}): DoneEvent => ({
  type: 'done',
  reason: 'stop',
  usage: { promptTokens: 7, cachedTokens: 0, outputTokens: 3, promptMs: 1.5, outputMs: 2.5 },
  totalMs: 10,
  loadMs: 1,
  ...part,
})

/** Replays events, whatever is asked. */
export function replay(...events: (InferenceEvent | Error)[]): Script {
  return async function* () {
    for (const event of events) {
      if (event instanceof Error) throw event
      yield event
    }
  }
}

export const stored: StoredModel = {
  name: { host: 'registry.ollama.ai', namespace: 'library', model: 'tiny', tag: 'latest' },
  displayName: 'tiny:latest',
  fullName: 'registry.ollama.ai/library/tiny:latest',
  digest: 'ab'.repeat(32),
  sizeBytes: 1234,
  modifiedAtMs: Date.UTC(2026, 7, 21, 18, 48, 22, 123),
  modelPath: '/models/blobs/sha256-1',
  projectorPaths: [],
  adapterPaths: [],
  template: '{{ .Prompt }}',
  system: 'Be brief.',
  parameters: { temperature: 0.5, stop: ['<end>'] },
  messages: [],
  licenses: ['MIT'],
  config: {
    model_format: 'gguf',
    model_family: 'llama',
    model_families: ['llama'],
    model_type: '1M',
    file_type: 'F16',
  },
}

export const description: ModelDescription = {
  stored,
  file: {
    metadata: { 'general.architecture': 'llama', 'general.name': 'tiny' },
    tensors: [{ name: 'output.weight', type: 'F16', shape: [4, 8] }],
    shape: {
      architecture: 'llama',
      parameterCount: 1000,
      layerCount: 1,
      contextLength: 512,
      embeddingLength: 4,
      feedForwardLength: 8,
      headCount: 1,
      headCountKv: [1],
      keyLength: 4,
      valueLength: 4,
      vocabularySize: 8,
      weightBytes: 64,
      layerBytes: [32],
      inputBytes: 16,
      outputBytes: 16,
    },
    fileType: 'F16',
    addsBos: true,
    pooling: false,
  },
  details: {
    parent_model: '',
    format: 'gguf',
    family: 'llama',
    families: ['llama'],
    parameter_size: '1M',
    quantization_level: 'F16',
    context_length: 512,
    embedding_length: 4,
  },
  capabilities: ['completion', 'tools'],
}

const store: ModelStore = {
  root: '/models',
  list: async () => [stored],
  find: async (name) => {
    if (name.includes(' ')) throw new DroverError('invalid_request', 'invalid model name')
    return /^tiny(:latest)?$/i.test(name) ? stored : undefined
  },
  describe: async () => description,
  importGguf: async () => stored,
  readManifest: async () => undefined,
  writeManifest: async () => undefined,
  blobPath: (digest) => `/models/blobs/${digest}`,
  copy: async (source) => {
    if (source === 'none') throw new DroverError('model_not_found', 'model "none" not found')
  },
  remove: async (name) => {
    if (name === 'none') throw new DroverError('model_not_found', "model 'none' not found")
  },
  blobSize: async () => undefined,
  putBlob: async () => true,
  prune: async () => undefined,
}

async function* noProgress() {
  yield { status: 'success' }
}

const cpu: DeviceStatus = {
  id: 'cpu',
  vendor: 'cpu',
  kind: 'cpu',
  name: 'Some CPU',
  state: 'ok',
  sources: ['host'],
  memoryTotalBytes: 2 ** 34,
  unifiedMemory: true,
  facts: { tflops: {}, supports: {} },
  health: { state: 'healthy', reasons: [] },
  used: true,
  instances: [
    {
      instance: 7,
      model: 'tiny:latest',
      engine: 'embedded',
      pid: 7,
      state: 'ready',
      slots: 4,
      running: 1,
      bytes: 1234,
    },
  ],
}

const caches = {
  prefixes: { records: 0, bytes: 0, budgetBytes: 1, evicted: 0, corrected: 0 },
}

const explanation: Explanation = {
  model: 'tiny:latest',
  policy: 'predicted_finish',
  unit: 'ms',
  promptTokens: 12,
  expectedOutputTokens: 100,
  candidates: [],
  excluded: [],
  summary: 'no instance of "tiny:latest" runs: it would be loaded first',
}

/** An API over a scripted router, with what the router was asked and what was logged. */
export function testApi(
  options: {
    script?: Script
    embed?: (request: EmbedRequest, signal: AbortSignal) => Promise<EmbedResult>
    loaded?: LoadedModel[]
    store?: Partial<ModelStore>
    registry?: Partial<Registry>
    makeModel?: ModelMaker
    batches?: Batches
    plans?: PlanSources
    multiGpu?: MultiGpuControl
    configuration?: Configuration
    config?: Partial<ApiConfig>
  } = {},
) {
  const asked: InferenceRequest[] = []
  const embedded: EmbedRequest[] = []
  const wishes: (RoutingWishes | undefined)[] = []
  const signals: AbortSignal[] = []
  const lines: { level: string; facts: Record<string, unknown>; message: string }[] = []
  const script = options.script ?? replay({ type: 'token', text: 'Hi' }, done())
  const router: Router = {
    answer(request, signal) {
      asked.push(withoutRouting(request))
      wishes.push(request.routing)
      signals.push(signal)
      return script(request, signal)
    },
    render: async () => ({ prompt: '<s>hello', imageCount: 0 }),
    countTokens: async (request) => {
      asked.push(withoutRouting(request))
      return 42
    },
    embed: async (request, signal) => {
      embedded.push(withoutRouting(request))
      wishes.push(request.routing)
      if (options.embed) return options.embed(request, signal)
      const embeddings = request.inputs.map(() => new Float32Array([0.1, -0.25, 1e-9]))
      return { embeddings, promptTokens: 4, totalMs: 2, loadMs: 1 }
    },
    loaded: () => options.loaded ?? [],
    restart: async () => 1,
    explain: async () => explanation,
    queue: () => ({
      waiting: 0,
      byModel: [],
      requests: [],
      tenants: [],
      instances: [],
      predictions: [],
      caches,
    }),
    idleSlots: () => 1,
    drain: (instanceId) => instanceId === 7,
    close: async () => undefined,
  }
  const log = (level: string) => (facts: Record<string, unknown>, message: string) => {
    lines.push({ level, facts, message })
  }
  const app = createApi({
    router,
    store: { ...store, ...options.store },
    registry: {
      pull: noProgress,
      push: noProgress,
      tags: async () => [],
      inspect: async () => undefined,
      ...options.registry,
    },
    makeModel: options.makeModel ?? noProgress,
    ...(options.batches && { batches: options.batches }),
    ...(options.plans && { plans: options.plans }),
    ...(options.multiGpu && { multiGpu: options.multiGpu }),
    ...(options.configuration && { configuration: options.configuration }),
    devices: { report: async () => ({ devices: [cpu], links: [], problems: [] }) },
    version: '0.33.0',
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    config: { listenHost: '127.0.0.1', ...options.config },
  })
  const access = () => lines.filter((line) => line.message === 'request').map((line) => line.facts)
  const post = (url: string, payload: unknown, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url,
      headers,
      payload: typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
    })
  return { app, asked, wishes, embedded, signals, lines, access, post }
}

/** The request as the body says it; how it is to be routed comes from its headers. */
function withoutRouting<T extends { routing?: RoutingWishes }>({ routing: _, ...request }: T) {
  return request as Omit<T, 'routing'> & T
}

/** A stream's lines with every time stamp replaced by `T`. */
export function linesOf(body: string): string[] {
  return body.split('\n').filter(Boolean).map(withoutTime)
}

export const withoutTime = (json: string) =>
  json.replace(/"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z"/, '"created_at":"T"')
