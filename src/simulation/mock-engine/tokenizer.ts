import { commonWords, specialTokens } from './vocabulary.ts'

/**
 * The mock's tokenizer. It needs no file and keeps no state, so any two mock engines agree on it: a common word, with
 * or without the space before it, is one token; other ASCII text is cut into tokens of at most four characters, the
 * characters packed into the token's number; every other character is one token for each of its UTF-8 bytes. Every
 * number fits into 31 bits, as those of real engines do.
 */
const firstByte = 16
const firstWord = firstByte + 256
const firstPiece = 4096
const pieceCharacters = 4
const bitsPerCharacter = 7

/** Numbers above this are no tokens. */
const lastToken = firstPiece + 2 ** (pieceCharacters * bitsPerCharacter) - 1
/** How many numbers there are for tokens, as engines report it. */
export const vocabularySize = lastToken + 1
/** `<|im_end|>`. */
export const endToken = specialTokens.indexOf('<|im_end|>') + 1

const words = [...commonWords.map((word) => ` ${word}`), ...commonWords]
const wordTokens = new Map(words.map((word, index) => [word, firstWord + index]))
const specials = new Map<string, number>(specialTokens.map((text, index) => [text, index + 1]))
const specialPattern = new RegExp(`(${specialTokens.map((text) => text.replaceAll('|', '\\|')).join('|')})`)
/** A word or a number with the space before it, a run of signs, or white space. */
const chunks = / ?[A-Za-z]+| ?[0-9]+|[^\sA-Za-z0-9]+|\s+?(?= ?[A-Za-z0-9])|\s+/g
const tokenBytes = new Map<number, Buffer>([
  ...[...specials].map(([text, token]) => [token, Buffer.from(text)] as const),
  ...words.map((word, index) => [firstWord + index, Buffer.from(word)] as const),
  ...Array.from({ length: 256 }, (_, byte) => [firstByte + byte, Buffer.from([byte])] as const),
])

/** The token of a single byte. */
export function byteToken(byte: number): number {
  return firstByte + byte
}

/** The tokens of a text. Special tokens in it are recognised, unless `parseSpecial` says that they are plain text. */
export function tokenize(text: string, { parseSpecial = true } = {}): number[] {
  const tokens: number[] = []
  for (const part of parseSpecial ? text.split(specialPattern) : [text]) {
    const special = parseSpecial ? specials.get(part) : undefined
    if (special !== undefined) tokens.push(special)
    else for (const [chunk] of part.matchAll(chunks)) pushChunk(chunk, tokens)
  }
  return tokens
}

function pushChunk(chunk: string, tokens: number[]): void {
  const word = wordTokens.get(chunk)
  if (word !== undefined) {
    tokens.push(word)
    return
  }
  let packed = 0
  let count = 0
  const flush = () => {
    if (count === 1) tokens.push(firstByte + packed)
    else if (count > 1) tokens.push(firstPiece + packed)
    packed = 0
    count = 0
  }
  for (const character of chunk) {
    const code = character.codePointAt(0) ?? 0
    if (code === 0 || code > 127) {
      flush()
      for (const byte of Buffer.from(character)) tokens.push(firstByte + byte)
      continue
    }
    packed = (packed << bitsPerCharacter) | code
    if (++count === pieceCharacters) flush()
  }
  flush()
}

/** The bytes of a token. Throws a `RangeError` for a number that is none. */
export function bytesOf(token: number): Buffer {
  const known = tokenBytes.get(token)
  if (known) return known
  const bytes: number[] = []
  const packed = token - firstPiece
  if (Number.isInteger(token) && packed >= 0 && token <= lastToken) {
    for (let shift = (pieceCharacters - 1) * bitsPerCharacter; shift >= 0; shift -= bitsPerCharacter) {
      const code = (packed >> shift) & 127
      // Characters stand at the low end: nothing comes before the first one, and none after it is missing.
      if (code !== 0 || bytes.length > 0) bytes.push(code)
    }
  }
  if (bytes.length < 2 || bytes.includes(0)) throw new RangeError(`${token} is no token of the mock engine`)
  return Buffer.from(bytes)
}

/** The text of tokens; bytes that make no character come out as U+FFFD. Throws as `bytesOf` does. */
export function detokenize(tokens: readonly number[]): string {
  return Buffer.concat(tokens.map(bytesOf)).toString('utf8')
}
