/**
 * How servers that speak OpenAI's API differ: what they take beyond it, what their events tell beyond it, and the
 * routes beside it. A dialect is data and pure functions; `instance.ts` does the rest for all of them.
 */
import type { Logprob } from '../../inference/index.ts'
import type { CompletionRequest, ServerLoad } from '../contract.ts'
import type { ServerEvent } from './events.ts'

/** Servers whose differences are known; `plain` is any other. */
export type ServerKind = 'vllm' | 'sglang' | 'exllama' | 'llama-server' | 'ollama' | 'plain'

export interface Dialect {
  kind: ServerKind
  /** For people. */
  title: string
  /** Answers while it lives. */
  healthPath: string
  /** The route that continues prompts; absent: it has conversations only. */
  completion?: CompletionRoute
  /** Its tokens come with their text; else all at the end, where they can be known at all. */
  tellsTokens: boolean
  /** A prompt with `max_tokens` beyond its context is refused, so it has to be counted first. */
  countsLimit: boolean
  /** Vectors may be asked for in base64, which is read faster. */
  base64Vectors: boolean
  tokenizer?: TokenizerRoutes
  metrics?: { path: string; names: MetricNames }
  chat: ChatTraits
}

export interface CompletionRoute {
  path: string
  /** Prompts may be tokens. */
  tokenPrompts: boolean
  /** It is told the stop strings, and ends an answer by itself; else Drover breaks it off. */
  stopsItself: boolean
  /** Throws `unsupported` for what its API has no words for. */
  body(request: CompletionRequest, model: ServedModel): Record<string, unknown>
  /** A reader of one answer's events. */
  reader(request: CompletionRequest): (event: ServerEvent) => Piece
}

/** The model as the server has it. */
export interface ServedModel {
  /** The server's own name of it. */
  name: string
  contextLength: number
}

/** What an event tells. */
export interface Piece {
  /** Of the prompt, as the server has tokenized it, where it tells that: once. */
  promptTokens?: readonly number[]
  /** Since the last event. */
  text: string
  /** Where the dialect tells them. */
  tokens?: readonly number[]
  thinking?: string
  calls?: readonly CallPiece[]
  logprobs?: readonly Logprob[]
  finish?: 'stop' | 'length'
  /** The stop string that ended the answer, in the server's word. */
  stopSequence?: string
  usage?: PieceUsage
}

/** A part of a tool call; `index` tells which. */
export interface CallPiece {
  index: number
  id?: string
  name?: string
  arguments?: string
}

export interface PieceUsage {
  promptTokens?: number
  cachedTokens?: number
  outputTokens?: number
  /** By the server's own clock, where it tells. */
  promptMs?: number
  outputMs?: number
}

/** Routes that count and read tokens. */
export interface TokenizerRoutes {
  tokenizePath: string
  tokenizeBody(text: string, addSpecial: boolean, model: string): Record<string, unknown>
  detokenizePath: string
  detokenizeBody(tokens: readonly number[], model: string): Record<string, unknown>
  /** The field of the answer that has the text. */
  textField: string
}

/** Metrics by what they mean, each under the names that releases gave it. */
export type MetricNames = { [Key in keyof ServerLoad]: readonly string[] }

export interface ChatTraits {
  /** The name of earlier thinking in a message. */
  thinkingField: 'reasoning_content' | 'reasoning'
  /** How a request says whether to think. */
  thinkingBy: 'template' | 'effort'
  /** A last message of the assistant is continued: with these fields, or (`{}`) by itself. Absent: it is not. */
  continuation?: Record<string, unknown>
}
