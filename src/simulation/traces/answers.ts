import type { TraceRequest } from './contract.ts'

/**
 * Gives each request the blocks of its answer too, which stay in an instance's cache beside those of its prompt. Where
 * the conversation goes on, these are the next blocks of its next turn: the first later request that begins with all
 * whole blocks of this one's prompt and is at least as long as prompt and answer together. That is believed only of
 * a prompt whose last whole block is new: one that many begin with tells nothing of how this one went on. Every
 * other answer's blocks are its own (numbers from 2^52 on): nobody finds them, but they take room.
 *
 * `requests` are in order of time, and their hashes the whole blocks of their prompts; takes linear time.
 */
export function addAnswers(requests: readonly TraceRequest[], blockTokens: number): TraceRequest[] {
  if (blockTokens === 0) return [...requests]
  const firstWith = new Map<number, number>()
  requests.forEach(({ hashes }, index) => {
    for (const hash of hashes) if (!firstWith.has(hash)) firstWith.set(hash, index)
  })
  const nextWith = new Map<number, TraceRequest>()
  const whole: TraceRequest[] = []
  let own = 2 ** 52
  for (let index = requests.length - 1; index >= 0; index--) {
    const request = requests[index] as TraceRequest
    const { hashes, promptTokens, outputTokens } = request
    const last = hashes.at(-1)
    const length = promptTokens + outputTokens
    const wanted = Math.floor(length / blockTokens)
    const next = last !== undefined && firstWith.get(last) === index ? nextWith.get(last) : undefined
    const goesOn = next && next.promptTokens >= length && next.hashes.length >= wanted
    const answer = goesOn
      ? next.hashes.slice(hashes.length, wanted)
      : Array.from({ length: Math.max(0, wanted - hashes.length) }, () => own++)
    whole[index] = { ...request, hashes: [...hashes, ...answer] }
    for (const hash of hashes) nextWith.set(hash, request)
  }
  return whole
}
