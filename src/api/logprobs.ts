import type { Logprob } from '../inference/index.ts'
import { jsonValue } from './go-json/index.ts'

/** Log-probabilities as a JSON array: keys in the order of the wire, without what is empty. */
export function logprobsJson(logprobs: Logprob[]): string {
  return jsonValue(logprobs.map(toWire))
}

function toWire({ token, logprob, bytes, top_logprobs: top }: Logprob): Record<string, unknown> {
  return {
    token,
    logprob,
    ...(bytes.length > 0 && { bytes }),
    ...(top && top.length > 0 && { top_logprobs: top.map(toWire) }),
  }
}
