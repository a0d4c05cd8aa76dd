import { DroverError } from '../../inference/index.ts'
import type { CompletionRequest } from '../contract.ts'
import type { Piece, PieceUsage, ServedModel } from './dialect.ts'
import type { ServerEvent } from './events.ts'
import { readLogprobs } from './logprobs.ts'

/** OpenAI's own servers take no more stop strings; Drover looks for all of them in any case. */
const mostStops = 4

/** What OpenAI's API names: the body of `POST /v1/completions` for any server. */
export function plainBody(request: CompletionRequest, { name }: ServedModel): Record<string, unknown> {
  const { sampling, topLogprobs, stop } = request
  return {
    model: name,
    prompt: request.prompt,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: request.maxTokens,
    temperature: sampling.temperature,
    top_p: sampling.top_p,
    presence_penalty: sampling.presence_penalty,
    frequency_penalty: sampling.frequency_penalty,
    // The default is a random one.
    ...(sampling.seed >= 0 && { seed: sampling.seed }),
    ...(stop.length > 0 && { stop: stop.slice(0, mostStops) }),
    ...(topLogprobs !== undefined && { logprobs: Math.max(1, topLogprobs) }),
    ...responseFormat(request),
  }
}

/** `response_format`, by which most servers take a format. */
export function responseFormat({ format }: Pick<CompletionRequest, 'format'>): Record<string, unknown> {
  if (format === undefined) return {}
  if (format === 'json') return { response_format: { type: 'json_object' } }
  return {
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: format, strict: true } },
  }
}

/** Images have no place in a prompt of these servers' completions. */
export function refuseImages({ images }: CompletionRequest, title: string): void {
  if (images && images.length > 0) {
    throw new DroverError(
      'unsupported',
      `${title} takes no pictures beside a prompt: run this model with llama.cpp`,
    )
  }
}

/** A format that an answer was begun under needs a grammar of what is left; this server takes none. */
export function refuseBegunFormat({ format, formatPrefix = '' }: CompletionRequest, title: string): void {
  if (format !== undefined && formatPrefix !== '') {
    throw new DroverError(
      'unsupported',
      `${title} cannot go on with an answer that was begun under a format: it takes no grammar`,
    )
  }
}

interface Choice {
  text?: string | null
  finish_reason?: string | null
  /** vLLM's: the stop string, or the number of the token that ended the answer. */
  stop_reason?: unknown
  logprobs?: unknown
  token_ids?: number[] | null
  /** vLLM's, with the first of an answer. */
  prompt_token_ids?: number[] | null
}

/** Reads the events of `/v1/completions`. */
export function completionReader({ topLogprobs }: CompletionRequest): (event: ServerEvent) => Piece {
  return (event) => {
    const [choice = {}] = (event['choices'] ?? []) as Choice[]
    const logprobs = topLogprobs === undefined ? undefined : readLogprobs(choice.logprobs, topLogprobs)
    const usage = usageOf(event)
    return {
      text: choice.text ?? '',
      ...(choice.token_ids && { tokens: choice.token_ids }),
      ...(choice.prompt_token_ids && { promptTokens: choice.prompt_token_ids }),
      ...(logprobs && { logprobs }),
      ...finishOf(choice.finish_reason),
      ...(typeof choice.stop_reason === 'string' && { stopSequence: choice.stop_reason }),
      ...(usage && { usage }),
    }
  }
}

export function finishOf(reason: string | null | undefined): Pick<Piece, 'finish'> {
  if (reason == null) return {}
  if (reason === 'abort' || reason === 'error') {
    throw new DroverError('engine_failed', `the server gave the answer up (${reason})`)
  }
  return { finish: reason === 'length' ? 'length' : 'stop' }
}

/** Usage of an event, or llama-server's timings, which each event may have. */
export function usageOf({ usage, timings }: ServerEvent): PieceUsage | undefined {
  if (!usage && !timings) return undefined
  const { prompt_tokens, completion_tokens, prompt_tokens_details } = (usage ?? {}) as {
    prompt_tokens?: number
    completion_tokens?: number
    prompt_tokens_details?: { cached_tokens?: number } | null
  }
  const { cached_tokens } = prompt_tokens_details ?? {}
  return {
    ...(timings ? timesOf(timings) : {}),
    ...(prompt_tokens !== undefined && { promptTokens: prompt_tokens }),
    ...(completion_tokens !== undefined && { outputTokens: completion_tokens }),
    ...(cached_tokens !== undefined && { cachedTokens: cached_tokens }),
  }
}

function timesOf(timings: object): PieceUsage {
  const {
    cache_n = 0,
    prompt_n = 0,
    prompt_ms,
    predicted_n,
    predicted_ms,
  } = timings as Record<string, number>
  return {
    promptTokens: cache_n + prompt_n,
    cachedTokens: cache_n,
    ...(predicted_n !== undefined && { outputTokens: predicted_n }),
    ...(prompt_ms !== undefined && { promptMs: prompt_ms }),
    ...(predicted_ms !== undefined && { outputMs: predicted_ms }),
  }
}
