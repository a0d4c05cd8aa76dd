import {
  anything,
  boolean,
  dictionary,
  either,
  integer,
  list,
  number,
  object,
  string,
} from './schema-words.ts'

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
const rejected = list(object({ what: string, reason: string }))
const planOfModel = {
  ok: boolean,
  'plans?': list(planned),
  rejected,
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
  commands: list(
    object({
      instance: integer,
      count: integer,
      commands: list(object({ 'node?': string, env: dictionary, argv: list(string) })),
    }),
  ),
}
const inventory = object({ nodes: list(dictionary), devices: list(dictionary), links: list(dictionary) })
/** Of one model, or of `models` that are to run at the same time. */
const plan = either(
  object({
    ...planOfModel,
    inventory,
    'opinion?': object({ program: string, devices: list(dictionary) }),
  }),
  object({
    ok: boolean,
    models: list(
      object({
        ...planOfModel,
        sharesWith: list(string),
        'sharedDecodeTokensPerS?': number,
        'evicts?': list(string),
      }),
    ),
    reasons: list(string),
    inventory,
  }),
)

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
const layoutChange = object({ change: string, models: list(string), reason: string, at: string })
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
  'speculation?': object({
    draftTokens: integer,
    acceptedTokens: integer,
    'decodeTokensPerS?': number,
    'plainTokensPerS?': number,
    'speedup?': number,
    verdict: string,
    switchedOff: boolean,
  }),
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
  multiGpuUndone: object({ undone: layoutChange, moves: list(move), left: list(layoutChange) }),
}

/** What Drover has beyond the dialects. */
export const droverAnswers = {
  ...multiGpuAnswers,
  plan,
  fit: object({ model: string, fileType: string, sizeBytes: integer, reasons: list(string), rejected }),
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
