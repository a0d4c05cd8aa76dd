import { randomInt } from 'node:crypto'
import type { SequenceEvaluateOptions, Token } from 'node-llama-cpp'
import type { SamplingOptions } from '../contract.ts'

/** The highest seed means a random one to llama.cpp, so none reaches it. */
const seedLimit = 0xffff_ffff

/**
 * Drover's sampling options as node-llama-cpp's. `history` is prompt and answer so far; it is read anew for each
 * token. The library has no typical-p sampler.
 */
export function toEvaluateOptions(
  sampling: SamplingOptions,
  history: readonly Token[],
  contextLength: number,
): SequenceEvaluateOptions {
  const { repeat_penalty, presence_penalty, frequency_penalty } = sampling
  const window = sampling.repeat_last_n < 0 ? contextLength : sampling.repeat_last_n
  const penalises = window > 0 && (repeat_penalty !== 1 || presence_penalty !== 0 || frequency_penalty !== 0)
  return {
    temperature: Math.max(0, sampling.temperature),
    topK: Math.max(0, sampling.top_k),
    topP: sampling.top_p,
    minP: sampling.min_p,
    seed: sampling.seed < 0 ? randomInt(seedLimit) : sampling.seed % seedLimit,
    ...(penalises && {
      repeatPenalty: {
        punishTokens: () => history.slice(-window),
        maxPunishTokens: window,
        penalty: repeat_penalty,
        presencePenalty: presence_penalty,
        frequencyPenalty: frequency_penalty,
      },
    }),
  }
}
