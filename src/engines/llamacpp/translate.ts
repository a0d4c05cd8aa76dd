import type { Logprob } from '../../inference/index.ts'
import type { CompletionRequest, EngineEvent } from '../contract.ts'
import { errorFrom, type ServerClient, type ServerEvent, type ServerStream } from './client.ts'
import { type TokenData, toDone, toLogprobs, toProgress } from './completion.ts'

/** The server's events as the engine's. Text and its tokens come together, once their characters are whole. */
export async function* translate(
  client: ServerClient,
  stream: ServerStream,
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  let tokens: number[] = []
  let logprobs: Logprob[] = []
  let missing = 0
  let predicted = 0
  for (let events = await stream.next(); events; events = await stream.next()) {
    for (const event of events) {
      if (signal.aborted) throw signal.reason
      const failure = event['error'] === undefined ? undefined : errorFrom(500, event)
      if (failure) throw failure
      if (event['stop'] === true) {
        // Only a possible stop string makes the server hold text back.
        const holds = request.stop.length > 0 && missing === 0
        const last = await unsentText(client, event, holds ? tokens : [])
        if (last) yield { type: 'token', text: last, tokens, ...(logprobs.length && { logprobs }) }
        yield toDone(event)
        return
      }
      const progress = toProgress(event)
      if (progress) {
        yield progress
        continue
      }
      const data = event as unknown as TokenData
      tokens.push(...data.tokens)
      missing += data.tokens_predicted - predicted - data.tokens.length
      predicted = data.tokens_predicted
      if (request.topLogprobs !== undefined && data.completion_probabilities) {
        logprobs.push(...toLogprobs(data.completion_probabilities, request.topLogprobs))
      }
      if (data.content === '') continue
      if (missing > 0) tokens = await tokensOf(client, data.content, tokens.length + missing)
      yield { type: 'token', text: data.content, tokens, ...(logprobs.length && { logprobs }) }
      tokens = []
      logprobs = []
      missing = 0
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

/**
 * The tokens of a text of which the server told only the last (it drops those of incomplete characters). They
 * are the tokenizer's own, which for a character from several byte tokens are the sampled ones.
 */
async function tokensOf(client: ServerClient, text: string, expected: number): Promise<number[]> {
  const body = { content: text, add_special: false, parse_special: false }
  const { tokens } = (await client.json('POST', '/tokenize', body)) as { tokens: number[] }
  // SentencePiece vocabularies put a space before every text.
  return tokens.length === expected + 1 ? tokens.slice(1) : tokens
}
