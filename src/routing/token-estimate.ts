/** English text in most vocabularies. */
const usualBytesPerToken = 4
/** How much one more prompt counts against all before. */
const learningRate = 0.1
/** Models whose texts have been counted; the longest unused is forgotten. */
const mostModels = 256

/** How many tokens a text will be, without asking an engine; learnt from what engines counted. */
export interface TokenEstimate {
  bytesPerToken(model: string): number
  /** An engine counted so many tokens in a text of so many bytes. */
  observe(model: string, bytes: number, tokens: number): void
}

export function createTokenEstimate(): TokenEstimate {
  const ratios = new Map<string, number>()
  return {
    bytesPerToken: (model) => ratios.get(model) ?? usualBytesPerToken,
    observe(model, bytes, tokens) {
      // The marks of an empty conversation say little about text.
      if (tokens < 16 || bytes <= 0) return
      const before = ratios.get(model)
      const seen = Math.min(16, Math.max(0.5, bytes / tokens))
      ratios.delete(model)
      ratios.set(model, before === undefined ? seen : before + (seen - before) * learningRate)
      if (ratios.size <= mostModels) return
      const [oldest] = ratios.keys()
      if (oldest !== undefined) ratios.delete(oldest)
    },
  }
}
