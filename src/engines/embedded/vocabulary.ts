import type { LlamaModel, Token } from 'node-llama-cpp'

/** What the embedded engine asks of a model's vocabulary. */
export interface Vocabulary {
  /** Special tokens in the text are recognised; BOS is added where the model wants one and `addSpecial` says so. */
  tokenize(text: string, addSpecial: boolean): Token[]
  /** Special tokens become their names. */
  detokenize(tokens: readonly Token[]): string
  /** The exact bytes of a token, which may be a part of a character; a special token's name. */
  bytesOf(token: Token): Uint8Array
  /** The bytes that a reader sees: none for control tokens but those that are to be kept. */
  visibleBytesOf(token: Token, preserved: ReadonlySet<string>): Uint8Array
  /** The tokens begin with BOS, which a context shift has to keep. */
  beginsWithBos(tokens: readonly Token[]): boolean
}

/** `llama_token_type` of llama.cpp. */
const tokenType = { unknown: 2, control: 3, userDefined: 4, byte: 6 }
const nothing = new Uint8Array(0)

export function createVocabulary(model: LlamaModel): Vocabulary {
  const { tokens: special } = model
  const { model: kind, tokens: pieces = [], token_type: types = [] } = model.fileInfo.metadata.tokenizer.ggml
  const encoder = new TextEncoder()

  function bytesOf(token: Token): Uint8Array {
    const piece = pieces[token]
    const type = types[token]
    if (piece === undefined) return nothing
    if (type === tokenType.control || type === tokenType.userDefined || type === tokenType.unknown)
      return encoder.encode(piece)
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1]
    if (byte !== undefined && (type === tokenType.byte || kind !== 'gpt2'))
      return Uint8Array.of(Number.parseInt(byte, 16))
    if (kind === 'gpt2') return decodeByteLevel(piece) ?? encoder.encode(piece)
    if (kind === 'llama' || kind === 't5' || kind === 'gemma4')
      return encoder.encode(piece.replaceAll('\u2581', ' '))
    return encoder.encode(model.detokenize([token], true))
  }

  const beginsWithBos = (tokens: readonly Token[]) => special.bos !== null && tokens[0] === special.bos

  return {
    tokenize(text, addSpecial) {
      const tokens = model.tokenize(text, true)
      const addBos =
        addSpecial && special.shouldPrependBosToken && special.bos !== null && !beginsWithBos(tokens)
      return addBos && special.bos !== null ? [special.bos, ...tokens] : tokens
    },
    detokenize: (tokens) => model.detokenize(tokens, true),
    bytesOf,
    visibleBytesOf(token, preserved) {
      const type = types[token]
      const hidden = type === tokenType.control || type === tokenType.unknown
      return hidden && !preserved.has(pieces[token] ?? '') ? nothing : bytesOf(token)
    },
    beginsWithBos,
  }
}

/**
 * Byte-level BPE writes each byte as one printable character: itself where it is printable Latin-1, else the
 * next from U+0100 on (GPT-2's `bytes_to_unicode`).
 */
const byteOfCharacter = new Map<string, number>()
for (let byte = 0, next = 0x100; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad)
  byteOfCharacter.set(String.fromCodePoint(printable ? byte : next++), byte)
}

/** Undefined where a character stands for no byte. */
export function decodeByteLevel(piece: string): Uint8Array | undefined {
  const bytes: number[] = []
  for (const character of piece) {
    const byte = byteOfCharacter.get(character)
    if (byte === undefined) return undefined
    bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}
