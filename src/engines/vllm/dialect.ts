import { completionReader, plainBody, refuseImages, responseFormat } from '../openai/completions.ts'
import type { Dialect } from '../openai/dialect.ts'
import { remainingGrammar } from '../openai/grammar.ts'

/**
 * vLLM (`vllm/entrypoints/openai/completion/protocol.py`). With `return_token_ids` each event has the tokens of its
 * text; text of unfinished characters comes with the event that finishes them.
 */
export const vllmDialect: Dialect = {
  kind: 'vllm',
  title: 'vLLM',
  healthPath: '/health',
  completion: {
    path: '/v1/completions',
    tokenPrompts: true,
    stopsItself: true,
    body(request, model) {
      refuseImages(request, 'vLLM')
      const { sampling, stop, preservedTokens = [] } = request
      const { response_format: _, ...body } = plainBody(request, model)
      const grammar = remainingGrammar(request)
      return {
        ...body,
        top_k: sampling.top_k,
        min_p: sampling.min_p,
        // It looks at the whole prompt and answer; there is no `repeat_last_n`.
        repetition_penalty: sampling.repeat_penalty,
        return_token_ids: true,
        // Else it holds back as much text as the longest stop string has, and text and tokens part.
        ...(stop.length > 0 && { stop, include_stop_str_in_output: true }),
        skip_special_tokens: preservedTokens.length === 0,
        spaces_between_special_tokens: false,
        ...(grammar === undefined ? responseFormat(request) : { structured_outputs: { grammar } }),
      }
    },
    reader: completionReader,
  },
  tellsTokens: true,
  countsLimit: true,
  base64Vectors: true,
  tokenizer: {
    tokenizePath: '/tokenize',
    tokenizeBody: (prompt, addSpecial, model) => ({ model, prompt, add_special_tokens: addSpecial }),
    detokenizePath: '/detokenize',
    detokenizeBody: (tokens, model) => ({ model, tokens }),
    textField: 'prompt',
  },
  metrics: {
    path: '/metrics',
    names: {
      running: ['vllm:num_requests_running'],
      waiting: ['vllm:num_requests_waiting'],
      // Before 0.11 it was named after the GPU.
      kvCacheUsed: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
    },
  },
  chat: {
    thinkingField: 'reasoning_content',
    thinkingBy: 'template',
    continuation: { continue_final_message: true, add_generation_prompt: false },
  },
}
