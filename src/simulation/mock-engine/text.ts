import { byteToken, tokenize } from './tokenizer.ts'
import { commonWords, longWords } from './vocabulary.ts'

/** A word of an answer, with the space before it. */
export interface Word {
  bytes: Buffer
  tokens: readonly number[]
  /** It has a full stop, after which an answer may end. */
  endsSentence: boolean
}

function wordOf(text: string): Word {
  return { bytes: Buffer.from(text), tokens: tokenize(text), endsSentence: text.endsWith('.') }
}

const words = [...commonWords, ...longWords]
const plain = words.map((word) => wordOf(` ${word}`))
const signed = ['.', ','].map((sign) => words.map((word) => wordOf(` ${word}${sign}`)))
const space = 0x20
/** Of so many words one ends a sentence, and one has a comma. */
const wordsPerSentence = 12
/** Tokens of a word with its sign, on average. */
const tokensPerWord = 1.3

/** Where a text stands: what decides how it goes on. */
interface Position {
  /** Hash of the whole text. */
  hash: number
  /** Hash of what comes before the last space. */
  wordHash: number
  /** The last space and what follows it. */
  word: Buffer
}

/** FNV-1a, 32 bits (draft-eastlake-fnv). */
const fnvOffset = 0x811c9dc5
const fnvPrime = 0x01000193

function hashOf(bytes: Uint8Array, from: number): number {
  let hash = from
  for (let index = 0; index < bytes.length; index++)
    hash = Math.imul(hash ^ (bytes[index] as number), fnvPrime)
  return hash >>> 0
}

function positionOf(text: Buffer): Position {
  const start = Math.max(0, text.lastIndexOf(space))
  const wordHash = hashOf(text.subarray(0, start), fnvOffset)
  const word = text.subarray(start)
  return { wordHash, word, hash: hashOf(word, wordHash) }
}

/** Mixes a hash with a seed; the finishing steps are those of MurmurHash3. */
function mixed(hash: number, seed: number): number {
  let mix = hash ^ Math.imul(seed + 1, 0x9e3779b9)
  mix = Math.imul(mix ^ (mix >>> 16), 0x85ebca6b)
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35)
  return (mix ^ (mix >>> 16)) >>> 0
}

function wordAfter(hash: number, seed: number): Word {
  const mix = mixed(hash, seed)
  const sign = Math.floor(mix / words.length) % wordsPerSentence
  return (signed[sign] ?? plain)[mix % words.length] as Word
}

/** What is left of a word after its first bytes, which may end within a character. */
function restOf({ bytes, endsSentence }: Word, from: number): Word {
  const rest = bytes.subarray(from)
  const whole = rest.findIndex((byte) => (byte & 0xc0) !== 0x80)
  const cut = whole < 0 ? rest.length : whole
  const tokens = [...rest.subarray(0, cut)].map(byteToken)
  return { bytes: rest, tokens: [...tokens, ...tokenize(rest.toString('utf8', cut))], endsSentence }
}

export interface TextOptions {
  seed: number
  /** Tokens of an answer that nothing else ends, on average; Infinity never ends. */
  meanTokens: number
}

/**
 * The mock's "model": what follows a text, word by word (the first may be the rest of one). Each word is chosen by a hash
 * of everything before it, prompt and answer alike, and of the seed: the same text so far goes on in the same way on
 * every mock engine, whether it comes as text or as tokens, and wherever it was cut, in the middle of a word too. An
 * answer ends after a full stop only, and only after one that the mock itself has written.
 */
export function* wordsAfter(text: Buffer, { seed, meanTokens }: TextOptions): Generator<Word> {
  const sentences = Math.max(1, Math.round(meanTokens / (wordsPerSentence * tokensPerWord)))
  const { wordHash, word, hash: textHash } = positionOf(text)
  let hash = textHash
  const ends = ({ endsSentence }: Word) =>
    endsSentence && meanTokens !== Number.POSITIVE_INFINITY && mixed(~hash, seed) % sentences === 0
  const begun = wordAfter(wordHash, seed)
  if (word.length > 0 && begun.bytes.subarray(0, word.length).equals(word)) {
    const rest = restOf(begun, word.length)
    if (rest.tokens.length > 0) yield rest
    hash = hashOf(rest.bytes, hash)
    if (ends(rest)) return
  }
  for (;;) {
    const next = wordAfter(hash, seed)
    yield next
    hash = hashOf(next.bytes, hash)
    if (ends(next)) return
  }
}
