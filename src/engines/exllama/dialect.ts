import { completionReader, plainBody, refuseBegunFormat, refuseImages } from '../openai/completions.ts'
import type { Dialect } from '../openai/dialect.ts'

/** TabbyAPI over ExLlama: prompts are texts, tokens are not told, and it has no metrics. */
export const exllamaDialect: Dialect = {
  kind: 'exllama',
  title: 'TabbyAPI',
  healthPath: '/health',
  completion: {
    path: '/v1/completions',
    tokenPrompts: false,
    stopsItself: true,
    body(request, model) {
      refuseImages(request, 'TabbyAPI')
      refuseBegunFormat(request, 'TabbyAPI')
      const { sampling, format } = request
      const { response_format: _, ...body } = plainBody(request, model)
      return {
        ...body,
        stop: request.stop,
        top_k: sampling.top_k,
        min_p: sampling.min_p,
        typical: sampling.typical_p,
        repetition_penalty: sampling.repeat_penalty,
        // -1 is the whole context there too.
        penalty_range: sampling.repeat_last_n,
        add_bos_token: true,
        ...(format === 'json' && { json_schema: { type: 'object' } }),
        ...(typeof format === 'object' && { json_schema: format }),
      }
    },
    reader: completionReader,
  },
  tellsTokens: false,
  countsLimit: true,
  base64Vectors: false,
  tokenizer: {
    tokenizePath: '/v1/token/encode',
    tokenizeBody: (text, addSpecial) => ({ text, add_bos_token: addSpecial, encode_special_tokens: true }),
    detokenizePath: '/v1/token/decode',
    detokenizeBody: (tokens) => ({ tokens, decode_special_tokens: true }),
    textField: 'text',
  },
  chat: { thinkingField: 'reasoning_content', thinkingBy: 'template' },
}
