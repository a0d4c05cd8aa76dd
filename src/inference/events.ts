import type { ToolCall } from './request.ts'

/** One token's probability, natural logarithm. */
export interface TokenLogprob {
  token: string
  logprob: number
  /** UTF-8 bytes of the token; a token may be a part of a character. */
  bytes: number[]
}

export interface Logprob extends TokenLogprob {
  /** The likeliest tokens at this position, likeliest first; absent when none were asked for. */
  top_logprobs?: TokenLogprob[]
}

export type DoneReason = 'stop' | 'length' | 'load' | 'unload'

/** What an answer cost. Milliseconds, with fractions. */
export interface Usage {
  /** Tokens of the prompt, those found in the cache included. */
  promptTokens: number
  /** Of these, found in the KV cache and not computed again. */
  cachedTokens: number
  outputTokens: number
  promptMs: number
  outputMs: number
  /** Tokens that a small model guessed ahead (speculative decoding), and how many of them the model took. */
  draftTokens?: number
  draftAcceptedTokens?: number
}

export interface TokenEvent {
  type: 'token'
  /** Whole UTF-8 characters; may be empty when it only carries log-probabilities. */
  text: string
  logprobs?: Logprob[]
}

export interface ThinkingEvent {
  type: 'thinking'
  text: string
  logprobs?: Logprob[]
}

/** A complete call, never a part of one. */
export interface ToolCallEvent {
  type: 'toolCall'
  call: ToolCall
  logprobs?: Logprob[]
}

/** The last event of every answer that did not fail. */
export interface DoneEvent {
  type: 'done'
  reason: DoneReason
  usage: Usage
  /** From the request's arrival to its end. */
  totalMs: number
  /** From arrival until an instance was ready to take it. */
  loadMs: number
  /** Prompt and answer as tokens, when a generate request may be continued by them. */
  context?: number[]
  /** The stop string that ended the answer, where one did. */
  stopSequence?: string
}

/** The canonical stream that answers an `InferenceRequest`: any number of the first three, then `done`. */
export type InferenceEvent = TokenEvent | ThinkingEvent | ToolCallEvent | DoneEvent
