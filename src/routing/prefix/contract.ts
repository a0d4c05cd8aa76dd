/**
 * A prompt as chained blocks: each hash stands for its block and all before it, so two prompts with the same hash at
 * the same place have the same beginning (53-bit integers; a salt per tenant goes into the first).
 */
export interface PrefixBlocks {
  hashes: readonly number[]
  /** Tokens of each block; an estimate where blocks are cut from text. */
  blockTokens: number
  /** Of the whole prompt, an incomplete last block included. */
  promptTokens: number
}

/** An instance that probably holds the beginning of a prompt. */
export interface PrefixMatch {
  instance: number
  /** Leading blocks of the prompt that it holds. */
  blocks: number
}

export interface PrefixIndexOptions {
  /** What all records together may take. */
  budgetBytes: number
  /** Records not used for so long are worth nothing; Infinity keeps them. */
  maxAgeMs: number
}

/**
 * Which instance probably holds the KV cache of which beginnings of prompts. Nobody tells it: it remembers what was
 * sent where, forgets the least recently used, beyond each instance's capacity and its own budget, and is corrected by
 * what engines report. Costs grow with the length of the prompt and the logarithm of everything else.
 */
export interface PrefixIndex {
  /** The holders of the longest beginnings, longest first, at most `limit`; each once. Does not count as use. */
  match(prompt: PrefixBlocks, nowMs: number, limit?: number): PrefixMatch[]
  /** Leading blocks that this one instance holds. */
  heldBy(instance: number, prompt: PrefixBlocks, nowMs: number): number
  /** The instance computes, or has computed, this prompt: it holds all of it, most recently used. */
  insert(instance: number, prompt: PrefixBlocks, nowMs: number): void
  /** The engine has said that only `blocks` of this prompt were there: what lies beyond was an error. */
  correct(instance: number, prompt: PrefixBlocks, blocks: number, nowMs: number): void
  /** The engine has evicted all but the first `blocks` of this prompt. Does not count as use, nor say that those are held. */
  evict(instance: number, prompt: PrefixBlocks, blocks: number, nowMs: number): void
  /** How many blocks an instance holds at most; what is too much is forgotten, least recently used first. */
  setCapacity(instance: number, blocks: number): void
  /** The instance is gone: everything of it, and of it alone, is forgotten. */
  forget(instance: number): void
  stats(): PrefixStats
}

export interface PrefixStats {
  /** Pairs of block and instance. */
  records: number
  bytes: number
  budgetBytes: number
  /** Records that were dropped for want of room. */
  evicted: number
  /** What `correct` and `evict` have taken away. */
  corrected: number
}
