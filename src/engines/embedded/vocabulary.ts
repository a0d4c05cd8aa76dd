import type { LlamaModel, Token } from 'node-llama-cpp'
import { isHidden, tokenBytes } from '../token-bytes.ts'

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

const nothing = new Uint8Array(0)

export function createVocabulary(model: LlamaModel): Vocabulary {
  const { tokens: special } = model
  const { model: kind, tokens: pieces = [], token_type: types = [] } = model.fileInfo.metadata.tokenizer.ggml
  const parts = { kind, pieces, types }
  const encoder = new TextEncoder()
  const bytesOf = (token: Token) =>
    tokenBytes(parts, token) ?? encoder.encode(model.detokenize([token], true))

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
      return isHidden(parts, token) && !preserved.has(pieces[token] ?? '') ? nothing : bytesOf(token)
    },
    beginsWithBos,
  }
}
