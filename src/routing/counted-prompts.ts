import { blockBytes } from './route-request.ts'

/** Texts whose tokens an engine has counted, by the hash of their last complete block; the oldest is forgotten. */
const mostCounted = 4096
/** Where a text goes on, the tokens about the seam may become others, and one or two more. */
const slackTokens = 16

/**
 * What prompts have been counted to, so that the next turn of a conversation need not be counted before it is sent: a
 * question of its own to the engine, which reads the whole prompt for it.
 */
export interface CountedPrompts {
  /** An engine has counted so many tokens in the text of these blocks and the incomplete one after them. */
  counted(hashes: readonly number[], tokens: number): void
  /** Tokens that a text of so many bytes is at most: those of what was counted of it, and one a byte of the rest. */
  mostTokens(hashes: readonly number[], bytes: number): number
}

export function createCountedPrompts(): CountedPrompts {
  const counts = new Map<number, number>()
  return {
    counted(hashes, tokens) {
      const last = hashes.at(-1)
      if (last === undefined) return
      counts.delete(last)
      counts.set(last, tokens)
      if (counts.size <= mostCounted) return
      const [oldest] = counts.keys()
      if (oldest !== undefined) counts.delete(oldest)
    },
    mostTokens(hashes, bytes) {
      for (let at = hashes.length - 1; at >= 0; at--) {
        const known = counts.get(hashes[at] as number)
        if (known === undefined) continue
        return Math.min(bytes, known + slackTokens + bytes - (at + 1) * blockBytes)
      }
      return bytes
    },
  }
}
