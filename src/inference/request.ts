import type { ModelOptions } from './options.ts'

export type Role = 'system' | 'user' | 'assistant' | 'tool'

/** A call the model makes. `arguments` keeps the key order the model wrote. */
export interface ToolCall {
  id?: string
  function: { index: number; name: string; arguments: Record<string, unknown> }
}

/** One turn of a conversation. */
export interface Message {
  role: Role
  content: string
  thinking?: string
  /** Images (and, for audio models, sound) as decoded bytes. */
  images?: Uint8Array[]
  tool_calls?: ToolCall[]
  tool_name?: string
  tool_call_id?: string
}

/** A property of a tool's parameters; the subset of JSON Schema that survives Ollama's own decoding. */
export interface ToolProperty {
  type?: string | string[]
  description?: string
  enum?: unknown[]
  items?: unknown
  anyOf?: ToolProperty[]
  properties?: Record<string, ToolProperty>
  required?: string[]
}

/** A function offered to the model. */
export interface Tool {
  type: string
  items?: unknown
  function: {
    name: string
    description?: string
    parameters: {
      type: string
      $defs?: unknown
      items?: unknown
      required?: string[]
      properties?: Record<string, ToolProperty>
    }
  }
}

/** `json` is any JSON object; an object is a JSON Schema that the answer must satisfy. */
export type OutputFormat = 'json' | Record<string, unknown>

/** `true` and `false` switch thinking; a level also says how hard. Absent lets the model's capability decide. */
export type Think = boolean | 'low' | 'medium' | 'high' | 'max'

/** How a request wants to be routed; every part may be absent. */
export interface RoutingWishes {
  /** Whose request it is: tenants share nothing, and share fairly. Absent: everybody's. */
  tenant?: string
  priority?: 'system' | 'interactive' | 'default' | 'bulk'
  /** Milliseconds from its arrival in which its first word is wanted, at the latest. */
  deadlineInMs?: number
  /** The name of a policy; absent takes the configured one. */
  policy?: string
  /** Requests of one conversation share it. */
  session?: string
  /** Devices (or instances, as `#7`) that it may run on. */
  pins?: string[]
  labels?: Record<string, string>
  precision?: 'fp16' | 'bf16' | 'fp32'
  maxWatts?: number
  maxCostPerMillionTokens?: number
  /** How its model is laid out where it is loaded for this request; an instance that runs is taken as it is. */
  strategy?: 'single' | 'data' | 'tensor' | 'pipeline' | 'hybrid'
  /** With `tensor` and `hybrid`: devices that share each layer; with `pipeline` and `hybrid`: stages. */
  tensorSize?: number
  pipelineSize?: number
  /** What such a load is to be best at; `balanced` leaves it to the configuration. */
  profile?: 'latency' | 'throughput' | 'power' | 'balanced'
}

/** Where a request went, and why, for headers, logs and people. */
export interface RouteReport {
  /** `#7`, with the devices it lies on. */
  instance: string
  policy: string
  /** One line: the decision in numbers. */
  reason: string
  queuedMs: number
  /** How many waited before it when it came. */
  queuePosition: number
  /** How long it was reckoned to wait then; absent where nothing of its model ran. */
  queueEstimateMs?: number
  /** How often its answer has gone on on another instance. */
  moves: number
  /** What was served in place of what was asked for, in words; absent: just that. */
  degraded?: string
}

interface RequestBase {
  /** The name as the client wrote it; answers echo it. */
  model: string
  options: ModelOptions
  format?: OutputFormat
  think?: Think
  /** Milliseconds to keep the model loaded after this request; Infinity keeps it, 0 unloads it. Absent leaves it. */
  keepAliveMs?: number
  /** Drop the oldest of a too long prompt instead of refusing. Default true. */
  truncate?: boolean
  /** Let generation go on past a full context by dropping its middle. Default true. */
  shift?: boolean
  logprobs?: boolean
  /** 0 to 20. */
  topLogprobs?: number
  routing?: RoutingWishes
}

/** A conversation to continue. */
export interface ChatRequest extends RequestBase {
  kind: 'chat'
  messages: Message[]
  tools?: Tool[]
}

/** A prompt to complete. */
export interface GenerateRequest extends RequestBase {
  kind: 'generate'
  prompt: string
  suffix?: string
  images?: Uint8Array[]
  system?: string
  template?: string
  /** The prompt goes to the engine as it is, the answer comes back as it is. */
  raw?: boolean
  /** Token history of an earlier answer, as the final event returned it. */
  context?: number[]
}

/** The canonical request that every API dialect decodes to. */
export type InferenceRequest = ChatRequest | GenerateRequest

/** Texts to turn into vectors. */
export interface EmbedRequest {
  model: string
  inputs: string[]
  options: ModelOptions
  keepAliveMs?: number
  truncate?: boolean
  /** Cut the vectors to this length and normalise again. */
  dimensions?: number
  routing?: RoutingWishes
}

/** What `EmbedRequest` gives: one L2-normalised vector an input. */
export interface EmbedResult {
  embeddings: Float32Array[]
  promptTokens: number
  totalMs: number
  loadMs: number
}
