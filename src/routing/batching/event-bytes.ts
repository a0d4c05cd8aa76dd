import type { InferenceEvent } from '../../inference/index.ts'

/** An event's object with its fields, by what V8 takes for such objects. */
const objectBytes = 64
/** A token's probability with its text and bytes, or one of its alternatives. */
const logprobBytes = 160

/** What an event takes in memory, by estimate: two bytes a character, and its objects. */
export function eventBytes(event: InferenceEvent): number {
  if (event.type === 'done') return objectBytes * 3 + 8 * (event.context?.length ?? 0)
  const ownBytes = event.type === 'toolCall' ? 2 * JSON.stringify(event.call).length : 2 * event.text.length
  const logprobs = event.logprobs ?? []
  const alternatives = logprobs.reduce((count, { top_logprobs: top }) => count + 1 + (top?.length ?? 0), 0)
  return objectBytes + ownBytes + alternatives * logprobBytes
}
