import { exllamaDialect } from '../exllama/dialect.ts'
import { sglangDialect } from '../sglang/dialect.ts'
import { vllmDialect } from '../vllm/dialect.ts'
import { completionReader, plainBody, refuseBegunFormat, refuseImages } from './completions.ts'
import type { Dialect, ServerKind } from './dialect.ts'
import { grammarOf } from './grammar.ts'

const plainDialect: Dialect = {
  kind: 'plain',
  title: 'the server',
  healthPath: '/v1/models',
  completion: {
    path: '/v1/completions',
    tokenPrompts: false,
    stopsItself: true,
    body(request, model) {
      refuseImages(request, 'the server')
      refuseBegunFormat(request, 'the server')
      return plainBody(request, model)
    },
    reader: completionReader,
  },
  tellsTokens: false,
  countsLimit: true,
  base64Vectors: false,
  chat: { thinkingField: 'reasoning_content', thinkingBy: 'effort' },
}

/** llama.cpp's server by its OpenAI routes, which take the parameters of its own ones too. */
const llamaServerDialect: Dialect = {
  ...plainDialect,
  kind: 'llama-server',
  title: 'llama-server',
  healthPath: '/health',
  completion: {
    path: '/v1/completions',
    tokenPrompts: true,
    // Told of them, it loses text that only looked like one when the limit ends an answer.
    stopsItself: false,
    body(request, model) {
      refuseImages(request, 'llama-server')
      const { sampling, preservedTokens = [] } = request
      const { response_format: _format, stop: _stop, ...body } = plainBody(request, model)
      const grammar = grammarOf(request)
      return {
        ...body,
        cache_prompt: true,
        // So that the usage is known of an answer that is broken off.
        timings_per_token: true,
        n_keep: Math.max(-1, sampling.num_keep),
        top_k: sampling.top_k,
        min_p: sampling.min_p,
        typical_p: sampling.typical_p,
        repeat_last_n: sampling.repeat_last_n < 0 ? model.contextLength : sampling.repeat_last_n,
        repeat_penalty: sampling.repeat_penalty,
        ...(preservedTokens.length > 0 && { preserved_tokens: preservedTokens }),
        // Only for conversations does this server read `response_format`.
        ...(grammar !== undefined && { grammar }),
      }
    },
    reader: completionReader,
  },
  countsLimit: false,
  base64Vectors: true,
  tokenizer: {
    tokenizePath: '/tokenize',
    tokenizeBody: (content, addSpecial) => ({ content, add_special: addSpecial, parse_special: true }),
    detokenizePath: '/detokenize',
    detokenizeBody: (tokens) => ({ tokens }),
    textField: 'content',
  },
  metrics: {
    path: '/metrics',
    names: {
      running: ['llamacpp:requests_processing'],
      waiting: ['llamacpp:requests_deferred'],
      kvCacheUsed: ['llamacpp:kv_cache_usage_ratio'],
    },
  },
  chat: { thinkingField: 'reasoning_content', thinkingBy: 'template', continuation: {} },
}

/** An Ollama, or another Drover, by `/v1`: even completions are put into the model's template there, so none are asked. */
const ollamaDialect: Dialect = {
  kind: 'ollama',
  title: 'the Ollama',
  healthPath: '/api/version',
  tellsTokens: false,
  countsLimit: false,
  base64Vectors: true,
  chat: { thinkingField: 'reasoning', thinkingBy: 'effort', continuation: {} },
}

export const dialects: Readonly<Record<ServerKind, Dialect>> = {
  vllm: vllmDialect,
  sglang: sglangDialect,
  exllama: exllamaDialect,
  'llama-server': llamaServerDialect,
  ollama: ollamaDialect,
  plain: plainDialect,
}
