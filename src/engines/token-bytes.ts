/** A GGUF file's vocabulary: `tokenizer.ggml.model`, `.tokens` and `.token_type`. */
export interface VocabularyParts {
  kind: string | undefined
  pieces: readonly string[]
  types: readonly number[]
}

/** `llama_token_type` of llama.cpp. */
const tokenType = { unknown: 2, control: 3, userDefined: 4, byte: 6 }
const nothing = new Uint8Array(0)
const encoder = new TextEncoder()

/** The exact bytes of a token, which may be a part of a character; a special token's name. Undefined: not known here. */
export function tokenBytes({ kind, pieces, types }: VocabularyParts, token: number): Uint8Array | undefined {
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
  return undefined
}

/** Whether an answer shows nothing of a token unless it is asked to. */
export function isHidden({ types }: VocabularyParts, token: number): boolean {
  return types[token] === tokenType.control || types[token] === tokenType.unknown
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
