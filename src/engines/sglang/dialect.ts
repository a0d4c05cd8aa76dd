import type { Logprob, TokenLogprob } from '../../inference/index.ts'
import type { CompletionRequest } from '../contract.ts'
import { finishOf, refuseImages } from '../openai/completions.ts'
import type { Dialect, Piece } from '../openai/dialect.ts'
import type { ServerEvent } from '../openai/events.ts'
import { remainingGrammar } from '../openai/grammar.ts'

/**
 * SGLang by its own `/generate`, which tells sampled tokens and takes every sampling parameter. Its text may run ahead
 * of a character that is not whole yet, so tokens are told at the end, where they are certain to make the text.
 */
export const sglangDialect: Dialect = {
  kind: 'sglang',
  title: 'SGLang',
  healthPath: '/health',
  completion: { path: '/generate', tokenPrompts: true, stopsItself: true, body, reader },
  tellsTokens: false,
  countsLimit: true,
  base64Vectors: false,
  tokenizer: {
    tokenizePath: '/tokenize',
    tokenizeBody: (prompt, addSpecial, model) => ({ model, prompt, add_special_tokens: addSpecial }),
    detokenizePath: '/detokenize',
    detokenizeBody: (tokens, model) => ({ model, tokens, skip_special_tokens: false }),
    textField: 'text',
  },
  metrics: {
    path: '/metrics',
    names: {
      running: ['sglang:num_running_reqs'],
      waiting: ['sglang:num_queue_reqs'],
      kvCacheUsed: ['sglang:token_usage'],
    },
  },
  chat: {
    thinkingField: 'reasoning_content',
    thinkingBy: 'template',
    continuation: { continue_final_message: true },
  },
}

/** `GenerateReqInput` of SGLang's `io_struct.py`. */
function body(request: CompletionRequest): Record<string, unknown> {
  refuseImages(request, 'SGLang')
  const { prompt, sampling, format, stop, preservedTokens = [], topLogprobs } = request
  const grammar = remainingGrammar(request)
  return {
    ...(typeof prompt === 'string' ? { text: prompt } : { input_ids: prompt }),
    stream: true,
    sampling_params: {
      max_new_tokens: request.maxTokens,
      temperature: sampling.temperature,
      top_p: sampling.top_p,
      top_k: sampling.top_k === 0 ? -1 : sampling.top_k,
      min_p: sampling.min_p,
      repetition_penalty: sampling.repeat_penalty,
      presence_penalty: sampling.presence_penalty,
      frequency_penalty: sampling.frequency_penalty,
      ...(sampling.seed >= 0 && { sampling_seed: sampling.seed }),
      // Trimmed only at the end, a stop string has been shown in part by then. The end of turn is kept with it.
      ...(stop.length > 0 && { stop, no_stop_trim: preservedTokens.length === 0 }),
      skip_special_tokens: preservedTokens.length === 0,
      spaces_between_special_tokens: false,
      ...(grammar !== undefined && { ebnf: grammar }),
      ...(grammar === undefined &&
        format !== undefined && {
          json_schema: JSON.stringify(format === 'json' ? { type: 'object' } : format),
        }),
    },
    ...(topLogprobs !== undefined && {
      return_logprob: true,
      top_logprobs_num: topLogprobs,
      return_text_in_logprobs: true,
    }),
  }
}

type TokenEntry = readonly [logprob: number, token: number, text: string | null]

interface MetaInfo {
  prompt_tokens?: number
  cached_tokens?: number
  completion_tokens?: number
  finish_reason?: { type?: string; matched?: unknown; message?: string } | null
  output_token_logprobs?: TokenEntry[]
  output_top_logprobs?: (TokenEntry[] | null)[]
}

/**
 * By default each event has all of the answer so far; with `--incremental-streaming-output` what is new. Which of them
 * it is shows in how many tokens it has.
 */
function reader({ topLogprobs }: CompletionRequest): (event: ServerEvent) => Piece {
  let tokensRead = 0
  let textRead = 0
  return (event) => {
    const { text = '', output_ids: ids = [] } = event as { text?: string; output_ids?: number[] }
    const meta = (event['meta_info'] ?? {}) as MetaInfo
    const total = meta.completion_tokens ?? tokensRead + ids.length
    const whole = ids.length === total
    const tokens = whole ? ids.slice(tokensRead) : ids
    const logprobs = topLogprobs === undefined ? [] : logprobsOf(meta, tokensRead, tokens.length, topLogprobs)
    const piece = whole ? text.slice(textRead) : text
    tokensRead = total
    textRead += piece.length
    const { finish_reason: finish } = meta
    return {
      text: piece,
      tokens,
      ...(logprobs.length > 0 && { logprobs }),
      ...finishOf(finish?.type),
      ...(typeof finish?.matched === 'string' && { stopSequence: finish.matched }),
      usage: {
        ...(meta.prompt_tokens !== undefined && { promptTokens: meta.prompt_tokens }),
        ...(meta.cached_tokens !== undefined && { cachedTokens: meta.cached_tokens }),
        outputTokens: total,
      },
    }
  }
}

/** Of the last `count` tokens: the lists are of all tokens, or of the new ones only. */
function logprobsOf(meta: MetaInfo, read: number, count: number, topLogprobs: number): Logprob[] {
  const { output_token_logprobs: all = [], output_top_logprobs: tops = [] } = meta
  const start = all.length > count ? read : 0
  return all.slice(start, start + count).map((entry, index) => {
    const top = (tops[start + index] ?? []).slice(0, topLogprobs).map(toLogprob)
    return { ...toLogprob(entry), ...(topLogprobs > 0 && { top_logprobs: top }) }
  })
}

function toLogprob([logprob, , text]: TokenEntry): TokenLogprob {
  const token = text ?? ''
  return { token, logprob, bytes: [...Buffer.from(token)] }
}
