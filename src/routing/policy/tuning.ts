/** Every constant that a policy uses, with its unit and its reason. Policies read them here and nowhere else. */
export const tuning = {
  /** What a broken or missing fact is taken for: slow, so that nobody wins by it, and not so slow as to be shut out. */
  assumed: { prefillTokensPerS: 100, decodeStepMs: 50 },
  /** A weight counts for at least this: nobody is shut out by it. */
  leastWeight: 0.001,
  /** No single fact counts for more, in milliseconds or tokens: sums of facts stay finite. */
  largestFact: 1e12,
  /** Below this, health divides no further: one good answer among twenty is as bad as it gets. */
  leastHealth: 0.05,

  /**
   * KV pressure is `pressureMs * k / (1 - k)` at `k` of the cache in use: 150 ms when half full, as SMG has it, 1.4 s
   * at nine tenths. From `pressureTop` on it rises no more.
   */
  pressureMs: 150,
  pressureTop: 0.98,

  /**
   * What a millisecond of computing anew costs the others, by the candidates' means. `othersIdle`: it also pushes as much
   * of somebody's cache out. `othersPerWaiting`, for each request that waits for its prompt: queueing theory has
   * `1 / (1 - load)`, 2 at half load and 5 at eight tenths. `othersPerDecoding`, for each that is being answered: its
   * next token waits for the step in which a prompt is computed, which hurts less than waiting for the first.
   * `othersMost` bounds the sum, so that a burst does not tie everything to one holder: with 2 to 4, caches find 96 to
   * 98 in 100 of what they could, with 16 hardly more, and the first token comes later.
   */
  othersIdle: 0.2,
  othersPerWaiting: 3,
  othersPerDecoding: 0.5,
  othersMost: 3,

  /**
   * What of the decoding time counts. The batch that an answer finds is not the one it ends in: requests come and go,
   * and busier instances are given fewer, so about half of a difference lasts.
   */
  decodeShare: 0.5,

  /** Rates within this factor are equal: single measurements of equal devices scatter by less. */
  ratesWithin: 2,

  /** SGLang's rule: a match counts above this share of the prompt (its command line's default). */
  prefixThreshold: 0.3,
  /**
   * Load is out of balance when the difference exceeds `prefixAbs` requests and the ratio `prefixRel`. SGLang takes 32
   * to 64 and 1.1 to 1.5, for instances with hundreds of slots; half an instance's slots count where that is less.
   */
  prefixAbs: 32,
  prefixRel: 1.5,

  /** Dynamo counts in blocks of KV cache; 16 tokens is the usual one. */
  blockTokens: 16,

  /** An instance keeps its sessions while it holds at most so much more than the mean (KubeAI's bounded load). */
  sessionLoadFactor: 1.25,

  /** Spread of the time to first token around its prediction: the standard deviation of its logarithm. */
  spread: { measured: 0.25, alike: 0.5, guess: 0.8 },
  /** What a missed deadline is worth: a hundredth more chance outweighs 10 s of waiting for the end. */
  missedMs: 1_000_000,

  /**
   * What a second until the end is worth in energy: 100 J, a third of what a busy GPU draws. With a tenth of that,
   * requests queue for half a minute on one device while seven others idle.
   */
  patienceWatts: 100,
  /** Where no candidate's watts are known; any figure, as it is everybody's. */
  assumedWatts: 300,

  /** Points that put an instance without the session behind any number of requests where it is. */
  awayPoints: 1e6,
  /** Points that put whatever still loads, or was not drawn, behind all the others. */
  lastPoints: 1e9,
} as const
