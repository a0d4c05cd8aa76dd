/** A byte-level BPE vocabulary of any size, with ChatML's special tokens at its end. */
export interface SyntheticVocabulary {
  readonly tokens: string[]
  /** llama.cpp's token types: 1 normal, 3 control. */
  readonly types: number[]
  readonly merges: string[]
  readonly endOfText: number
  readonly endOfTurn: number
}

const specials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
const letters = [...'etaoinshrdlucmfwypvbgkjqxz']

/** GPT-2's printable stand-ins for the 256 bytes, in byte order. */
function byteTokens(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    return String.fromCodePoint(printable ? byte : next++)
  })
}

/**
 * Makes `size` tokens: the bytes, then merges of lower-case letters (pairs first, then pairs with a third letter, and
 * so on), then the special tokens. Every token can be reached by its merge, so texts tokenise as with a real model.
 * Throws RangeError below 259 tokens.
 */
export function syntheticVocabulary(size: number): SyntheticVocabulary {
  const bytes = byteTokens()
  const least = bytes.length + specials.length
  if (size < least) throw new RangeError(`a vocabulary needs at least ${least} tokens, not ${size}`)
  const words: string[] = []
  const merges: string[] = []
  let parents = letters
  while (words.length < size - least) {
    const grown: string[] = []
    for (const parent of parents) {
      for (const letter of letters) {
        if (words.length === size - least) break
        words.push(parent + letter)
        merges.push(`${parent} ${letter}`)
        grown.push(parent + letter)
      }
    }
    parents = grown
  }
  const tokens = [...bytes, ...words, ...specials]
  const firstSpecial = tokens.length - specials.length
  return {
    tokens,
    types: tokens.map((_, index) => (index < firstSpecial ? 1 : 3)),
    merges,
    endOfText: firstSpecial,
    endOfTurn: firstSpecial + 2,
  }
}
