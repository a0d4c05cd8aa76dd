import type { Metadata } from './facts.ts'

/** `<|eot_id|>` of Llama 3's vocabulary. */
const endOfTurn = 128_009
/** `<|end_of_text|>`, which early files name as the end of an answer. */
const endOfText = 128_001

/**
 * What an engine has to be told in place of what a file says. Early files of the Llama 3 family lack the kind of their
 * tokenizer or end an answer with the wrong token; Ollama mends that when it loads them, and llama.cpp does not.
 */
export function metadataOverrides(metadata: Metadata): Record<string, string | number> {
  const tokens = metadata['tokenizer.ggml.tokens']
  const isLlama3 =
    metadata['general.architecture'] === 'llama' &&
    Array.isArray(tokens) &&
    tokens[endOfTurn] === '<|eot_id|>'
  if (!isLlama3) return {}
  const pre = metadata['tokenizer.ggml.pre']
  return {
    ...((pre === undefined || pre === 'default') && { 'tokenizer.ggml.pre': 'llama-bpe' }),
    ...(metadata['tokenizer.ggml.eos_token_id'] === endOfText && {
      'tokenizer.ggml.eos_token_id': endOfTurn,
      'tokenizer.ggml.eot_token_id': endOfTurn,
    }),
  }
}
