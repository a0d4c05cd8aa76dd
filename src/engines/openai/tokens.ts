import { DroverError } from '../../inference/index.ts'
import type { InstanceSpec } from '../contract.ts'
import type { Vocabularies } from '../ollama/vocabulary.ts'
import { type OpenAiClient, OpenAiError } from './client.ts'
import type { Dialect, TokenizerRoutes } from './dialect.ts'

/** A model's tokens: by the server's routes where it has them, else by the vocabulary of the model's own file. */
export interface Tokens {
  /** Both throw `unsupported` where neither knows. */
  tokenize(text: string, addSpecial: boolean): Promise<number[]>
  detokenize(tokens: readonly number[]): Promise<string>
  /** The text of the BOS that the tokenizer puts before a prompt by itself; undefined where it puts none. */
  addedBos(): Promise<string | undefined>
  /** The text without a BOS that the server would put there a second time. */
  withoutBos(text: string): Promise<string>
  release(): void
}

export function createTokens(
  client: OpenAiClient,
  { tokenizer }: Dialect,
  model: string,
  spec: InstanceSpec,
  vocabularies: Vocabularies,
): Tokens {
  let routes = tokenizer
  const vocabulary = vocabularies.hold()
  let bos: Promise<string | undefined> | undefined

  /** Asks the server; a server without the route is not asked again. */
  async function ask<T>(
    byServer: (known: TokenizerRoutes) => Promise<T>,
    byFile: () => Promise<T>,
  ): Promise<T> {
    if (!routes) return byFile()
    try {
      return await byServer(routes)
    } catch (error) {
      if (!(error instanceof OpenAiError) || (error.status !== 404 && error.status !== 405)) throw error
      routes = undefined
      return byFile()
    }
  }

  const tokenize = (text: string, addSpecial: boolean) =>
    ask(
      async ({ tokenizePath, tokenizeBody }) => {
        const answer = await client.json('POST', tokenizePath, tokenizeBody(text, addSpecial, model))
        return (answer as { tokens: number[] }).tokens
      },
      () => vocabularies.tokenize(spec, text, addSpecial),
    )

  const detokenize = (tokens: readonly number[]) =>
    ask(
      async ({ detokenizePath, detokenizeBody, textField }) => {
        const answer = await client.json('POST', detokenizePath, detokenizeBody(tokens, model))
        return String((answer as Record<string, unknown>)[textField] ?? '')
      },
      () => vocabularies.detokenize(spec, tokens),
    )

  async function findBos(): Promise<string | undefined> {
    try {
      const [plain, special] = await Promise.all([tokenize(probeText, false), tokenize(probeText, true)])
      const [first] = special
      if (first === undefined || special.length <= plain.length || first === plain[0]) return undefined
      return (await detokenize([first])) || undefined
    } catch (error) {
      // Who cannot count tokens gets prompts as they are.
      if (error instanceof DroverError && error.code === 'unsupported') return undefined
      bos = undefined
      throw error
    }
  }

  const addedBos = () => {
    bos ??= findBos()
    return bos
  }

  return {
    tokenize,
    detokenize,
    addedBos,
    async withoutBos(text) {
      const first = await addedBos()
      return first !== undefined && text.startsWith(first) ? text.slice(first.length) : text
    },
    release: vocabulary.release,
  }
}

/** A text that every tokenizer takes; an empty one some refuse. */
const probeText = 'a'
