import type { PrefixBlocks } from './contract.ts'

export interface TextBlockOptions {
  /**
   * Prompts with different salts never share a block: whose cache it is. Join its parts (tenant, model) by a character
   * that none of them may have; a deployment that trusts all its tenants gives all of them one salt.
   */
  salt: string
  /** UTF-8 bytes of a block, a multiple of 4. */
  blockBytes: number
  /** How many bytes of such text make a token; decides nothing but the estimates of tokens. */
  bytesPerToken: number
}

export interface TokenBlockOptions {
  /** As for text. */
  salt: string
  blockTokens: number
}

/**
 * Cuts a prompt's text into blocks. An incomplete last block has no hash.
 *
 * The text is hashed as UTF-8: it is what `blockBytes` and an engine's tokenizer count in, and the runtime's encoder
 * writes it many times faster than JavaScript reads a string's UTF-16 units one by one; the hash then takes four bytes
 * at a time.
 *
 * @throws RangeError for a block size that is not a positive multiple of 4.
 */
export function textBlocks(text: string, options: TextBlockOptions): PrefixBlocks {
  const { salt, blockBytes, bytesPerToken } = options
  if (!(blockBytes > 0) || blockBytes % 4 !== 0)
    throw new RangeError(`blockBytes is ${blockBytes}; it has to be a positive multiple of 4`)
  const seed = seedOf('text', blockBytes, salt)
  const { words, written } = encode(text)
  return {
    hashes: hashBlocks(words, Math.floor(written / blockBytes), blockBytes / 4, seed),
    blockTokens: blockBytes / bytesPerToken,
    promptTokens: Math.ceil(written / bytesPerToken),
  }
}

/**
 * Cuts a tokenized prompt into blocks. Token ids are 32-bit integers.
 *
 * @throws RangeError for a block size that is not a positive integer.
 */
export function tokenBlocks(tokens: ArrayLike<number>, options: TokenBlockOptions): PrefixBlocks {
  const { salt, blockTokens } = options
  requireBlockTokens(blockTokens)
  const blocks = Math.floor(tokens.length / blockTokens)
  const words = tokens instanceof Int32Array ? tokens : Int32Array.from(tokens)
  return {
    hashes: hashBlocks(words, blocks, blockTokens, seedOf('token', blockTokens, salt)),
    blockTokens,
    promptTokens: tokens.length,
  }
}

/**
 * Takes blocks that are ids already, as recorded traces have them: each id (a safe integer, not negative) stands for
 * the content of one block of `blockTokens`. The id of an incomplete last block is left out, as `promptTokens` tells.
 *
 * @throws RangeError for a block size that is not a positive integer.
 */
export function idBlocks(
  ids: readonly number[],
  salt: string,
  blockTokens: number,
  promptTokens: number,
): PrefixBlocks {
  requireBlockTokens(blockTokens)
  const blocks = Math.min(ids.length, Math.floor(promptTokens / blockTokens))
  const words = new Int32Array(2 * blocks)
  for (let at = 0; at < blocks; at++) {
    const id = ids[at] as number
    words[2 * at] = id
    words[2 * at + 1] = id / 2 ** 32
  }
  return { hashes: hashBlocks(words, blocks, 2, seedOf('id', blockTokens, salt)), blockTokens, promptTokens }
}

function requireBlockTokens(blockTokens: number): void {
  if (!Number.isInteger(blockTokens) || blockTokens < 1)
    throw new RangeError(`blockTokens is ${blockTokens}; it has to be a positive integer`)
}

/**
 * Hashes blocks of 32-bit words, each hash over everything from the beginning to the end of its block.
 *
 * The state is two 32-bit lanes, with the multiply and rotate of xxHash and the crossing of lanes of 128-bit
 * MurmurHash3, so that no arithmetic wider than `Math.imul` is needed. A step is a bijection of the state for a given
 * word and of the word for a given state: texts that differ in one word always differ, and any others collide once in
 * 2^53, which is what is left of the state after the last mixing.
 */
function hashBlocks(words: Int32Array, blocks: number, wordsPerBlock: number, seed: number): number[] {
  const hashes: number[] = []
  let a = seed | 0
  let b = (seed / 2 ** 32) | 0
  for (let block = 0, at = 0; block < blocks; block++) {
    for (const end = at + wordsPerBlock; at < end; at++) {
      const word = words[at] as number
      const x = Math.imul(a ^ word, prime1)
      const y = Math.imul(b ^ ((word << 16) | (word >>> 16)), prime2)
      a = (((x << 15) | (x >>> 17)) + b) | 0
      b = (((y << 13) | (y >>> 19)) + a) | 0
    }
    hashes.push(finish(a, b))
  }
  return hashes
}

const prime1 = 0x9e3779b1
const prime2 = 0x85ebca77

/** 53 bits of both lanes. */
function finish(a: number, b: number): number {
  const low = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  const high = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return ((high ^ (high >>> 15)) & 0x1fffff) * 2 ** 32 + ((low ^ (low >>> 15)) >>> 0)
}

/** What the first block is chained to: blocks of another kind, size or salt are other blocks. */
function seedOf(kind: 'text' | 'token' | 'id', size: number, salt: string): number {
  const { bytes, words, written } = encode(`${kind} ${size} ${salt}`)
  const length = Math.ceil(written / 4)
  bytes.fill(0, written, 4 * length)
  return hashBlocks(words, 1, length, written)[0] as number
}

const encoder = new TextEncoder()
/** Kept between calls, since fresh memory costs more than the encoding. */
const kept = scratch(2 ** 22)

function scratch(bytes: number) {
  const memory = new ArrayBuffer(bytes)
  return { bytes: new Uint8Array(memory), words: new Int32Array(memory) }
}

/** The text as UTF-8, in memory that the next call may write over. */
function encode(text: string) {
  const mostBytes = 3 * text.length
  const { bytes, words } = mostBytes <= kept.bytes.length ? kept : scratch(4 * Math.ceil(mostBytes / 4))
  return { bytes, words, written: encoder.encodeInto(text, bytes).written }
}
