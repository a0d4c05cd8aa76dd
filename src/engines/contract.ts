import type {
  Logprob,
  Message,
  ModelOptions,
  OutputFormat,
  Think,
  Tool,
  ToolCall,
  Usage,
} from '../inference/index.ts'
import type { SessionStore } from './session-store.ts'

/** `openai`: any server that speaks OpenAI's API. */
export type EngineName = 'llama.cpp' | 'embedded' | 'ollama' | 'vllm' | 'sglang' | 'exllama' | 'openai'

/** A device as the engine itself names it; `cpu` is not listed. */
export interface EngineDevice {
  /** The engine's own name: `CUDA0`, `Vulkan1`. */
  name: string
  description: string
  totalBytes: number
  freeBytes: number
}

/** What an engine can be used for on this machine, found out by asking it. */
export type EngineProbe =
  | {
      available: true
      version: string
      /** The program, or the package's folder. */
      path: string
      devices: EngineDevice[]
      /** Flags that the program's help names (`--rpc`); empty where the engine has no flags. */
      flags: ReadonlySet<string>
    }
  | {
      available: false
      /** Why, and what to do about it, as one readable text. */
      reason: string
    }

/** How a model lies on several devices of one llama.cpp process. */
export interface InstanceSplit {
  mode: 'none' | 'layer' | 'row' | 'tensor'
  /** As the engine names them (`CUDA0`, `RPC1`), in the order of the layers. */
  devices: readonly string[]
  /** Layers of each, the output head counted as one; with `row` and `tensor` shares in any unit. */
  weights: readonly number[]
}

/** A small model that guesses ahead of a large one (speculative decoding). */
export interface DraftSpec {
  modelPath: string
  /** As the engine names it; absent: where the engine puts it. */
  device?: string
  /** Most tokens guessed at a time. */
  mostTokens?: number
}

/** How engines that split models by themselves (vLLM, SGLang, ExLlama) are to do it. */
export interface ParallelSpec {
  tensor: number
  pipeline: number
  data: number
  /** Layers of each stage, where they are not equal. */
  stageLayers?: readonly number[]
  /** Gigabytes of each device, for an engine that takes them (ExLlama). */
  deviceGb?: readonly number[]
  /** The machines of the group, the one that answers first; absent: this one alone. */
  nodes?: readonly ParallelNode[]
  /** How the machines of a group find each other: by the engine's own means, or by Ray. `own` where nothing is said. */
  launcher?: 'own' | 'ray'
}

/** A machine of a group that runs one model together. */
export interface ParallelNode {
  node: string
  /** By which the others reach it. */
  address: string
  /** The network interface that leads to the others (`eth1`). */
  networkInterface?: string
  /** Leaves the engine only its devices of this machine to see. */
  env?: Readonly<Record<string, string>>
}

/** Everything an engine has to know to start one instance. */
export interface InstanceSpec {
  /** Unique among running instances; for logs, sockets and temporary files. */
  id: string
  /** For messages. */
  modelName: string
  modelPath: string
  projectorPaths: string[]
  adapterPaths: string[]
  /** The file's metadata that is to be taken otherwise, by key. */
  metadataOverrides?: Record<string, string | number>
  /** Tokens, of each slot. */
  contextLength: number
  /** Requests run at once. */
  slots: number
  /** The instance embeds instead of generating. */
  embedding: boolean
  /** Layers on GPUs; `auto` as many as fit. */
  gpuLayers: number | 'auto'
  /** Absent: the engine divides the model over the devices that it sees. */
  split?: InstanceSplit
  /** llama.cpp's RPC workers as `host:port`, in the order of their names (`RPC0`, ...). */
  rpcWorkers?: readonly string[]
  /** What each of these workers has to lend, where that is not what it lends unasked; for the commands shown. */
  rpcDevices?: readonly (readonly string[] | undefined)[]
  /** Layers whose experts stay in host memory. */
  hostExperts?: readonly number[]
  draft?: DraftSpec
  parallel?: ParallelSpec
  /** Variables that leave the engine only its devices to see; they come on top of Drover's own environment. */
  env?: Readonly<Record<string, string>>
  /** Cores that the process is held to, where the system can do it (Linux); absent: all. */
  cores?: readonly number[]
  /** The TCP port of 127.0.0.1 to listen on; absent takes what is free. */
  port?: number
  /** CPU threads; absent takes `defaultThreads()`. */
  threads?: number
  batchSize?: number
  useMmap?: boolean
  flashAttention: 'auto' | 'on' | 'off'
  /** `f16`, `q8_0`, `q4_0`, ... for keys and values alike. */
  kvCacheType: string
  /** Whether generation may drop the middle of a full context and go on. */
  contextShift: boolean
  /** A launch that shows no sign of life (log, progress) for so long is given up; Infinity never. */
  stallTimeoutMs: number
  /** The folder of saved sessions, which instances share; absent: none are saved or restored. */
  sessionDir?: string
}

/** The sampling options with every default filled in. */
export type SamplingOptions = Required<
  Pick<
    ModelOptions,
    | 'num_keep'
    | 'seed'
    | 'temperature'
    | 'top_k'
    | 'top_p'
    | 'min_p'
    | 'typical_p'
    | 'repeat_last_n'
    | 'repeat_penalty'
    | 'presence_penalty'
    | 'frequency_penalty'
  >
>

/** One rendered prompt to continue. */
export interface CompletionRequest {
  /**
   * Text (special tokens in it are recognised, BOS is added where the model wants one and the text does not
   * already begin with it), or tokens that are taken as they are.
   */
  prompt: string | number[]
  images?: Uint8Array[]
  sampling: SamplingOptions
  /** Most tokens to generate, at least 1. */
  maxTokens: number
  /** Special tokens whose text is to be in the answer; of others nothing is shown. */
  preservedTokens?: readonly string[]
  /** Generation ends before the first of these; no part of it is ever emitted. */
  stop: string[]
  format?: OutputFormat
  /**
   * The prompt ends with this text, which was generated under `format`: the answer goes on in the grammar's state after
   * it. Throws `invalid_format` where no text of the format begins so.
   */
  formatPrefix?: string
  /** How many alternatives to report for each token (0 to 20); absent reports no probabilities. */
  topLogprobs?: number
  /** For instances that are `chatOnly`: what the prompt was rendered of. Raw prompts have none. */
  chat?: ChatPrompt
}

/** A conversation as it is, for a server that renders it itself. */
export interface ChatPrompt {
  /** What it was rendered to: a request whose prompt goes on behind that continues an answer. */
  prompt: string
  messages: readonly Message[]
  tools: readonly Tool[]
  /** Absent: nothing was said about thinking. */
  think?: Think
}

/**
 * Text and the tokens that it is made of. But for the last event of an answer, which a stop string or the limit may have
 * cut, the texts so far are those of the tokens so far, to the byte: nothing of them is held back. So an answer that
 * breaks off can be continued elsewhere, with prompt and tokens as the prompt.
 */
export interface EngineTokenEvent {
  type: 'token'
  /** Whole UTF-8 characters; empty for tokens that show nothing. */
  text: string
  /** The tokens sampled since the last event, in order. All at the end where `tokensAtEnd` says so. */
  tokens: number[]
  /** The tokens make this text, but perhaps not these were sampled: an answer that goes on from them may differ. */
  guessed?: true
  /** How many were sampled, where that is known and is not the number of `tokens`. */
  sampled?: number
  logprobs?: Logprob[]
}

/** Prefill goes on: `processedTokens` of `totalTokens`. */
export interface EngineProgressEvent {
  type: 'progress'
  processedTokens: number
  totalTokens: number
}

export interface EngineDoneEvent {
  type: 'done'
  reason: 'stop' | 'length'
  usage: Usage
  stopSequence?: string
}

/** Thinking and calls that the server itself has told apart: of instances that are `chatOnly`. */
export type EngineChatEvent = { type: 'thinking'; text: string } | { type: 'toolCall'; call: ToolCall }

export type EngineEvent = EngineTokenEvent | EngineProgressEvent | EngineDoneEvent | EngineChatEvent

export interface InstanceLoad {
  /** Drover's own requests. */
  running: number
  waiting: number
  /** What the server tells of itself, requests of others too, as of the last `ping`. Absent where it tells nothing. */
  server?: ServerLoad
}

export interface ServerLoad {
  running?: number
  waiting?: number
  /** How much of the KV cache is taken: 1 is all of it. */
  kvCacheUsed?: number
}

/** How and why an instance ended. */
export interface InstanceExit {
  /**
   * `closed` was asked for; the others were not. `hung`: it lived and did not answer, and was ended; `device_lost`: its
   * own words blame the device.
   */
  kind: 'closed' | 'out_of_memory' | 'crashed' | 'hung' | 'device_lost'
  /** The reason in the engine's words, with exit code or signal. */
  reason: string
  /** It was ended from outside, by SIGKILL or SIGTERM: no fault of the engine or its device. */
  killed?: boolean
}

/** What an instance took of one device, or of one kind of host memory, by purpose. */
export interface DeviceMemory {
  /** As the engine names the memory: `CUDA0`, `CPU`, `CUDA_Host`. */
  name: string
  host: boolean
  modelBytes: number
  /** Keys, values and the states of recurrent layers. */
  kvCacheBytes: number
  computeBytes: number
  outputBytes: number
}

export interface InstanceMemory {
  /** On devices. */
  vramBytes: number
  /** In the host's memory: weights, KV cache and buffers that are not on devices. */
  hostBytes: number
  /** The same device by device, where the engine tells. */
  devices?: readonly DeviceMemory[]
}

/** What guessing ahead (speculative decoding) has brought an instance so far. */
export interface Speculation {
  /** Tokens guessed, and of these taken. */
  draftTokens: number
  acceptedTokens: number
  /** Of answers that ran alone, and of steps without a guess between them; absent until measured. */
  decodeTokensPerS?: number
  plainTokensPerS?: number
  /** `loses`: the guesses cost more than they bring; the engine's next instances of this pair go without. */
  verdict: 'unknown' | 'wins' | 'loses'
  /** It has lost, and this instance goes without: the figures are those that it lost with. */
  switchedOff?: true
}

/** So many of a prompt's leading tokens are left in the engine's KV cache. */
export type OnCacheShrunk = (keptTokens: number) => void

/** One running engine process that serves one model. */
export interface EngineInstance {
  readonly id: string
  readonly engine: EngineName
  /** 0 where the process is not Drover's: an attached server. */
  readonly pid: number
  readonly slots: number
  /** Tokens of each slot, as the engine really has it. */
  readonly contextLength: number
  /** As the engine reported it. */
  readonly memory: InstanceMemory
  /** The engine tells no tokens while it answers: an answer that breaks off is continued by its text. */
  readonly tokensAtEnd?: true
  /** The server takes conversations only, which it renders and parses itself: requests need `chat`. */
  readonly chatOnly?: true
  /** Each slot has a cache of its own, chosen by `pickSlot`: a prompt finds nothing of what other slots hold. */
  readonly cachesBySlot?: true
  /** Where a draft model guesses ahead, or did so until it was switched off. */
  speculation?(): Speculation
  /**
   * Resolves, with the reason, when a new instance of the same spec would run better than this one; never rejects.
   * Absent where that cannot be.
   */
  readonly outdated?: Promise<string>
  /** Where the engine was found able to save sessions, and a folder was given for them. */
  readonly sessions?: SessionStore
  /** Resolves when the process has ended, whatever the reason; never rejects. */
  readonly exited: Promise<InstanceExit>

  /**
   * Continues a prompt. More requests than slots wait their turn. Ends with exactly one `done`, or throws:
   * the signal's reason when aborted (within one token, and the slot is free when the iterator has returned),
   * `DroverError` `context_exceeded` (prompt too long), `invalid_format`, `engine_crashed`, `engine_failed`.
   *
   * Engines that publish what their caches evict tell by `onCacheShrunk`, long after the answer's end too, how many of
   * the prompt's leading tokens are still there, each time that they become fewer. (No part of the request, which is
   * data that some engines send to other processes.)
   */
  generate(
    request: CompletionRequest,
    signal: AbortSignal,
    onCacheShrunk?: OnCacheShrunk,
  ): AsyncIterable<EngineEvent>

  /** One L2-normalised vector an input, and the tokens they took together. Throws `context_exceeded`. */
  embed(
    inputs: readonly (string | number[])[],
    signal: AbortSignal,
  ): Promise<{ embeddings: Float32Array[]; promptTokens: number }>

  /** Special tokens in the text are recognised; BOS is added where the model wants one and `addSpecial` says so. */
  tokenize(text: string, options: { addSpecial: boolean }): Promise<number[]>
  detokenize(tokens: readonly number[]): Promise<string>

  load(): InstanceLoad

  /** Resolves when the process answers, whatever else it is at; rejects when it cannot, or the signal aborts. */
  ping(signal: AbortSignal): Promise<void>

  /** Ends a process that does not answer, at once: `exited` tells `hung` with this reason. */
  kill(reason: string): void

  /**
   * Ends the process. With `drainMs` running requests may end first, for at most so long; without, they fail
   * with `engine_crashed`. Resolves when the process is gone. May be called again, to hurry.
   */
  close(options?: { drainMs?: number }): Promise<void>
}

/** A process as it would be started. */
export interface EngineCommand {
  /** Which machine of a group it runs on; absent: where the instance is. */
  node?: string
  env: Readonly<Record<string, string>>
  argv: readonly string[]
}

/** Software that runs models. */
export interface Engine {
  readonly name: EngineName
  /** Looks for the engine and asks what it can do. Cached; never throws. */
  probe(): Promise<EngineProbe>
  /**
   * Starts an instance and waits until it takes requests. Throws `load_failed` (the engine's own reason in the
   * message), `insufficient_memory`, `load_stalled`, `engine_unavailable`, or the signal's reason; nothing of a
   * failed launch is left running.
   */
  launch(spec: InstanceSpec, signal: AbortSignal): Promise<EngineInstance>
  /** Of a chain: the engine that it would run a model of the store on now; absent: always the one of its `name`. */
  nameFor?(
    needs: Pick<InstanceSpec, 'modelName' | 'embedding' | 'projectorPaths' | 'adapterPaths'>,
  ): EngineName
  /** The processes that `launch` would start, to be shown; absent where an engine is no program (embedded). */
  commands?(spec: InstanceSpec): EngineCommand[]
}
