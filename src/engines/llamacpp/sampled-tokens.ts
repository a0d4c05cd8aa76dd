import { readGguf } from '../../models/index.ts'
import { isHidden, tokenBytes, type VocabularyParts } from '../token-bytes.ts'
import type { ServerClient } from './client.ts'

/**
 * Tokens of a stretch of text. The server tells each, but for those that end within a character: of these only that
 * they were (undefined).
 */
export type ToldTokens = readonly (number | undefined)[]

export interface SampledTokens {
  tokens: number[]
  /** More than one row of tokens makes this text, and this is the tokenizer's; or none does: it has broken characters. */
  guessed: boolean
}

/** Finds the tokens that the server does not tell. */
export interface TokenFinder {
  find(text: string, told: ToldTokens): Promise<SampledTokens>
}

export function createTokenFinder(client: ServerClient, modelPath: string): TokenFinder {
  let index: Promise<VocabularyIndex> | undefined

  return {
    async find(text, told) {
      const canonical = await tokenize(client, text, told.length)
      if (isCertain(text, told, canonical)) return { tokens: canonical, guessed: false }
      // Characters that a vocabulary has no token for are few, so it is read when the first one is not clear.
      index ??= readIndex(modelPath)
      const [only, another] = solutions(text, told, await index)
      if (only && !another) return { tokens: only, guessed: false }
      return { tokens: canonical, guessed: true }
    },
  }
}

async function tokenize(client: ServerClient, text: string, expected: number): Promise<number[]> {
  const body = { content: text, add_special: false, parse_special: false }
  const { tokens } = (await client.json('POST', '/tokenize', body)) as { tokens: number[] }
  // SentencePiece vocabularies put a space before every text.
  return tokens.length === expected + 1 ? tokens.slice(1) : tokens
}

/** Whether no other row of so many tokens could make the text: each gap is one token, or each token one byte. */
function isCertain(text: string, told: ToldTokens, tokens: readonly number[]): boolean {
  if (tokens.length !== told.length) return false
  if (!told.every((token, index) => token === undefined || token === tokens[index])) return false
  const single = told.every((token, index) => token !== undefined || told[index + 1] !== undefined)
  return single || tokens.length === Buffer.byteLength(text)
}

export interface VocabularyIndex {
  parts: VocabularyParts
  /** Tokens by their bytes, written as Latin-1. */
  tokensOf: ReadonlyMap<string, readonly number[]>
}

async function readIndex(modelPath: string): Promise<VocabularyIndex> {
  const { metadata } = await readGguf(modelPath, { wholeArrays: true })
  const list = <T>(key: string) => (Array.isArray(metadata[key]) ? (metadata[key] as T[]) : [])
  return indexOf({
    kind: String(metadata['tokenizer.ggml.model']),
    pieces: list<string>('tokenizer.ggml.tokens'),
    types: list<number>('tokenizer.ggml.token_type'),
  })
}

export function indexOf(parts: VocabularyParts): VocabularyIndex {
  const tokensOf = new Map<string, number[]>()
  for (const token of parts.pieces.keys()) {
    const bytes = tokenBytes(parts, token)
    if (!bytes || bytes.length === 0 || bytes.length > longestGap || isHidden(parts, token)) continue
    const key = Buffer.from(bytes).toString('latin1')
    const same = tokensOf.get(key)
    if (same) same.push(token)
    else tokensOf.set(key, [token])
  }
  return { parts, tokensOf }
}

/** Tokens that end within a character are short. */
const longestGap = 24

/** The rows of tokens that make the text and are as told; at most two, which is as good as many. */
export function solutions(text: string, told: ToldTokens, { parts, tokensOf }: VocabularyIndex): number[][] {
  const bytes = Buffer.from(text).toString('latin1')
  const found: number[][] = []
  const row: number[] = []
  visit(0)
  return found

  function visit(offset: number): void {
    if (found.length === 2) return
    if (row.length === told.length) {
      if (offset === bytes.length) found.push([...row])
      return
    }
    const token = told[row.length]
    if (token === undefined) fillGap(offset)
    else takeTold(token, offset)
  }

  function takeTold(token: number, offset: number): void {
    const own = Buffer.from(tokenBytes(parts, token) ?? []).toString('latin1')
    row.push(token)
    if (isHidden(parts, token)) visit(offset)
    if (bytes.startsWith(own, offset) && !isWithinCharacter(offset + own.length)) visit(offset + own.length)
    row.pop()
  }

  function fillGap(offset: number): void {
    for (let end = offset + 1; end < Math.min(bytes.length, offset + longestGap + 1); end++) {
      if (!isWithinCharacter(end)) continue
      for (const token of tokensOf.get(bytes.slice(offset, end)) ?? []) {
        row.push(token)
        visit(end)
        row.pop()
      }
    }
  }

  /** Bytes 0x80 to 0xbf go on with a character. */
  function isWithinCharacter(offset: number): boolean {
    const byte = bytes.charCodeAt(offset)
    return byte >= 0x80 && byte < 0xc0
  }
}
