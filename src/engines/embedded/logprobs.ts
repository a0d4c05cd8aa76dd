import type { LlamaContextSequence, Token } from 'node-llama-cpp'
import type { Logprob, TokenLogprob } from '../../inference/index.ts'
import type { Vocabulary } from './vocabulary.ts'

/**
 * The model's own log-probability of `token`, just sampled and not yet evaluated, and of the `top` likeliest.
 *
 * The library reports probabilities only as the samplers left them, so the token before is evaluated once more,
 * without samplers: an answer with log-probabilities costs twice the decode time.
 */
export async function evaluateLogprob(
  sequence: LlamaContextSequence,
  token: Token,
  top: number,
  vocabulary: Vocabulary,
): Promise<Logprob> {
  const last = sequence.nextTokenIndex - 1
  const before = sequence.contextTokens[last]
  if (before === undefined) throw new Error('no token precedes the one whose probability is asked for')
  await sequence.eraseContextTokenRanges([{ start: last, end: last + 1 }])
  const logits = { filter: { tokens: [token], includeTop: Math.max(1, top) } }
  const [output] = await sequence.controlledEvaluate([
    [before, { generateNext: { logits, totalLogitWeight: true, options: { temperature: 0 } } }],
  ])
  if (!output?.next.logits || output.next.totalLogitWeight === undefined)
    throw new Error('no logits came back')

  // log softmax: the weight is the sum of exp(logit - highest), and the highest comes first.
  const entries = [...output.next.logits]
  const highest = Math.max(...entries.map(([, logit]) => logit))
  const shift = highest + Math.log(output.next.totalLogitWeight)
  const describe = ([id, logit]: [Token, number]): TokenLogprob => {
    const bytes = vocabulary.bytesOf(id)
    return {
      token: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
      logprob: Math.min(0, logit - shift),
      bytes: [...bytes],
    }
  }
  const own = output.next.logits.get(token)
  if (own === undefined) throw new Error(`no logit of token ${token} came back`)
  const likeliest = entries.sort(([, a], [, b]) => b - a).slice(0, top)
  return { ...describe([token, own]), ...(top > 0 && { top_logprobs: likeliest.map(describe) }) }
}
