import type { Logprob } from '../../inference/index.ts'
import type { CompletionRequest, EngineEvent } from '../contract.ts'
import { errorFrom, type ServerClient, type ServerEvent, type ServerStream } from './client.ts'
import { type TokenData, toDone, toLogprobs, toProgress } from './completion.ts'
import type { TokenFinder } from './sampled-tokens.ts'

/**
 * The server's events as the engine's. Text and its tokens come together, once their characters are whole and no stop
 * string may have begun in them: the server holds back all of such text, and forgets the tokens of parts of characters.
 */
export async function* translate(
  client: ServerClient,
  finder: TokenFinder,
  stream: ServerStream,
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  let told: (number | undefined)[] = []
  let logprobs: Logprob[] = []
  let gaps = false
  let predicted = 0
  for (let events = await stream.next(); events; events = await stream.next()) {
    for (const event of events) {
      if (signal.aborted) throw signal.reason
      const failure = event['error'] === undefined ? undefined : errorFrom(500, event)
      if (failure) throw failure
      if (event['stop'] === true) {
        // Only a possible stop string makes the server hold text back.
        const tokens = request.stop.length > 0 && !gaps ? (told as number[]) : []
        const text = await unsentText(client, event, tokens)
        if (text) yield { type: 'token', text, tokens, ...(logprobs.length && { logprobs }) }
        yield toDone(event)
        return
      }
      const progress = toProgress(event)
      if (progress) {
        yield progress
        continue
      }
      const { content, tokens, tokens_predicted, completion_probabilities } = event as unknown as TokenData
      for (let gap = tokens_predicted - predicted - tokens.length; gap > 0; gap--) {
        told.push(undefined)
        gaps = true
      }
      told.push(...tokens)
      predicted = tokens_predicted
      if (request.topLogprobs !== undefined && completion_probabilities) {
        logprobs.push(...toLogprobs(completion_probabilities, request.topLogprobs))
      }
      if (content === '') continue
      const sampled = gaps ? await finder.find(content, told) : { tokens: told as number[], guessed: false }
      yield {
        type: 'token',
        text: content,
        tokens: sampled.tokens,
        ...(sampled.guessed && { guessed: true }),
        ...(sampled.tokens.length !== told.length && { sampled: told.length }),
        ...(logprobs.length && { logprobs }),
      }
      told = []
      logprobs = []
      gaps = false
    }
  }
  throw new Error('the server ended the answer before its last event')
}

/**
 * Text that the server still held back, as a possible stop string, when the token limit ended the answer: it
 * forgets it, though no stop string came of it.
 */
async function unsentText(
  client: ServerClient,
  event: ServerEvent,
  tokens: readonly number[],
): Promise<string> {
  const { content } = event as { content?: string }
  if (content) return content
  if (event['stop_type'] !== 'limit' || tokens.length === 0) return ''
  const text = ((await client.json('POST', '/detokenize', { tokens })) as { content: string }).content
  // What is left of a character that the limit cut comes out as replacement characters.
  return text.replace(/\uFFFD+$/, '')
}
