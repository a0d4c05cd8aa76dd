import type { Rates } from '../policy/contract.ts'
import type { RatesOf } from './contract.ts'

/**
 * What is assumed of an instance of which nothing has been measured. The roofline: a decoding step reads all weights
 * once, a token of the prompt costs two operations a parameter (Williams, Waterman and Patterson 2009; Kaplan et al.
 * 2020 for the two operations).
 */
export const guesses = {
  /** Of the memory's bandwidth by data sheet, what decoding reaches. */
  memoryEfficiency: 0.8,
  /** Of the operations by data sheet, what prefill reaches. */
  computeEfficiency: 0.5,
  /** A file of 4.8 bits a weight, which is llama.cpp's Q4_K_M. */
  bytesPerParameter: 0.6,
  /** One more request in the batch lengthens a decoding step by this part of its base. */
  shareOfRequest: 0.05,
  /** A prompt token against a decoding step, where only the bandwidth is known. */
  prefillTokensPerStep: 20,
  /** Reading weights from disk. */
  loadBytesPerS: 1e9,
  loadBaseMs: 1_000,
  /** Where not even that is known. */
  prefillTokensPerS: 1_000,
  decodeBaseMs: 20,
  loadMs: 10_000,
}

/** Milliseconds of computing one token, where model and device are known. */
function computeMs({ modelBytes, flopsPerS }: RatesOf): number | undefined {
  if (!known(modelBytes) || !known(flopsPerS)) return undefined
  const operations = (2 * modelBytes) / guesses.bytesPerParameter
  return possibleMs((1000 * operations) / (flopsPerS * guesses.computeEfficiency))
}

/** Milliseconds of reading the weights once, where model and device are known. */
function readMs({ modelBytes, memoryBytesPerS }: RatesOf): number | undefined {
  if (!known(modelBytes) || !known(memoryBytesPerS)) return undefined
  return possibleMs((1000 * modelBytes) / (memoryBytesPerS * guesses.memoryEfficiency))
}

/** Absurd facts give absurd times; they stay numbers, at least. */
function possibleMs(ms: number): number {
  return Math.min(1e9, Math.max(1e-9, ms))
}

/** Rates by roofline, by constants where too little is known. */
export function guessRates(of: RatesOf): Rates {
  const compute = computeMs(of)
  const read = readMs(of)
  return {
    prefillTokensPerS: guessPrefill(read, compute),
    ...guessStep(read, compute),
    loadMs: known(of.modelBytes)
      ? guesses.loadBaseMs + (1000 * of.modelBytes) / guesses.loadBytesPerS
      : guesses.loadMs,
    source: 'guess',
  }
}

function guessPrefill(read: number | undefined, compute: number | undefined): number {
  if (compute !== undefined) return 1000 / compute
  if (read !== undefined) return (1000 * guesses.prefillTokensPerStep) / read
  return guesses.prefillTokensPerS
}

/**
 * Reading and computing overlap: a step of one request takes the longer of the two, and each further request as long as
 * it computes. On a GPU reading is nearly all of it, on a CPU computing may be.
 */
function guessStep(read: number | undefined, compute: number | undefined) {
  const base = read ?? compute ?? guesses.decodeBaseMs
  if (compute === undefined) {
    return { decodeBaseMs: base, decodePerRequestMs: base * guesses.shareOfRequest }
  }
  return { decodeBaseMs: Math.max(0, base - compute), decodePerRequestMs: compute }
}

/** What a further request adds, as a part of the step's base; kept within what devices do. */
export function shareOfRequest(of: RatesOf): number {
  const { decodeBaseMs, decodePerRequestMs } = guessRates(of)
  return Math.min(4, Math.max(0.01, decodePerRequestMs / decodeBaseMs || 0))
}

/** Facts that are there and can be true. */
export function known(fact: number | undefined): fact is number {
  return fact !== undefined && fact > 0 && fact < Number.POSITIVE_INFINITY
}
