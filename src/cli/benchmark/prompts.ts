import { createRandom, type Random } from '../../simulation/index.ts'

/** Common words of several lengths, so that a tokenizer finds most of them whole. */
const words =
  'time people water light stone river green small large between under every house letter number morning country ' +
  'question answer reason machine music garden winter summer silver window travel simple careful distance picture ' +
  'market village island bridge engine signal weather pattern history science language measure balance circle'
const vocabulary = words.split(' ')

/** Makes prompts; the same seed makes the same ones. */
export interface PromptMaker {
  /** A prompt of about so many tokens that begins like no other, so that no cache holds it. */
  next(tokens: number): string
  /** Corrects what a word is taken to be in tokens. */
  observe(prompt: string, promptTokens: number): void
}

/** Of a model whose tokenizer nobody has asked yet. */
const assumedTokensPerWord = 1.3

export function createPrompts(seed: number): PromptMaker {
  const random = createRandom(seed)
  let tokensPerWord = assumedTokensPerWord
  return {
    next: (tokens) => {
      const count = Math.max(1, Math.round(tokens / tokensPerWord))
      return Array.from({ length: count }, () => pick(random)).join(' ')
    },
    observe: (prompt, promptTokens) => {
      const count = prompt.split(' ').length
      if (promptTokens > 0) tokensPerWord = promptTokens / count
    },
  }
}

function pick(random: Random): string {
  return vocabulary[Math.floor(random() * vocabulary.length)] ?? 'word'
}
