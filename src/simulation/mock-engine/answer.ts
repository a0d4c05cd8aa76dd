import { StringDecoder } from 'node:string_decoder'
import { wordsAfter } from './text.ts'
import { bytesOf } from './tokenizer.ts'

/** What is asked of the mock's model. */
export interface AnswerOptions {
  seed: number
  /** Tokens of an answer that nothing else ends, on average; Infinity never ends. */
  meanTokens: number
  /** At most so many tokens. */
  maxTokens: number
  /** The answer ends before the first of these. */
  stop: readonly string[]
}

/** What a token adds to the answer that can be seen. */
export interface Piece {
  /** Whole characters; empty while a character, or a possible stop string, is held back. */
  text: string
  /** The tokens of this text; those of text that is held back come with it. */
  tokens: readonly number[]
}

export interface Answer {
  /** One for each token, in order. */
  pieces: readonly Piece[]
  /** Every token, those of a stop string too. */
  tokens: readonly number[]
  text: string
  /** Its end, the token limit, or a stop string. */
  ending: 'eos' | 'limit' | 'word'
  stopWord: string
}

/** The whole answer to a prompt, worked out at once: only its timing is left to a modelled instance. */
export function answerTo(prompt: readonly number[], { maxTokens, stop, ...how }: AnswerOptions): Answer {
  const pieces: Piece[] = []
  const tokens: number[] = []
  const holder = createHolder(stop)
  const result = (ending: Answer['ending'], stopWord = ''): Answer => ({
    pieces,
    tokens,
    text: pieces.map(({ text }) => text).join(''),
    ending,
    stopWord,
  })
  if (maxTokens <= 0) return result('limit')
  for (const token of tokensAfter(Buffer.concat(prompt.map(bytesOf)), how)) {
    tokens.push(token)
    const { piece, stopWord } = holder.push(token)
    pieces.push(piece)
    if (stopWord !== undefined) return result('word', stopWord)
    if (tokens.length >= maxTokens) break
  }
  const ending = tokens.length >= maxTokens ? 'limit' : 'eos'
  const last = pieces.pop()
  if (last) pieces.push(joined(last, holder.end()))
  return result(ending)
}

function* tokensAfter(text: Buffer, how: { seed: number; meanTokens: number }): Generator<number> {
  for (const { tokens } of wordsAfter(text, how)) yield* tokens
}

function joined(a: Piece, b: Piece): Piece {
  return { text: a.text + b.text, tokens: [...a.tokens, ...b.tokens] }
}

/** Holds back what is no whole character yet and what may be the beginning of a stop string. */
function createHolder(stop: readonly string[]) {
  const decoder = new StringDecoder('utf8')
  const stops = stop.filter((one) => one !== '')
  let held = ''
  let heldTokens: number[] = []

  const release = (text: string): Piece => {
    const piece = { text, tokens: text === '' ? [] : heldTokens }
    if (text !== '') heldTokens = []
    return piece
  }

  return {
    push(token: number): { piece: Piece; stopWord?: string } {
      heldTokens.push(token)
      const decoded = decoder.write(bytesOf(token))
      if (stops.length === 0) return { piece: release(decoded) }
      held += decoded
      const found = firstStop(held, stops)
      if (found) return { piece: release(held.slice(0, found.at)), stopWord: found.word }
      const keep = possibleStop(held, stops)
      const text = held.slice(0, held.length - keep)
      held = held.slice(held.length - keep)
      return { piece: release(text) }
    },
    /** What is still held when no stop string came of it; a character that is not whole is dropped. */
    end: (): Piece => release(held),
  }
}

function firstStop(text: string, stops: readonly string[]): { at: number; word: string } | undefined {
  let first: { at: number; word: string } | undefined
  for (const word of stops) {
    const at = text.indexOf(word)
    if (at >= 0 && (!first || at < first.at)) first = { at, word }
  }
  return first
}

/** Characters at the end that a stop string begins with. */
function possibleStop(text: string, stops: readonly string[]): number {
  let longest = 0
  for (const word of stops) {
    for (let length = Math.min(word.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(word.slice(0, length))) longest = length
    }
  }
  return longest
}
