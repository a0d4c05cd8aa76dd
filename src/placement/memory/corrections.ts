/** Seen bytes divided by estimated ones, by kind. */
export interface Corrections {
  weights: number
  kvCache: number
  compute: number
}

export const uncorrected: Corrections = { weights: 1, kvCache: 1, compute: 1 }

/** Bytes of an instance by kind, as estimated without corrections, or as an engine told them. */
export interface MemoryByKind {
  weightsBytes: number
  kvCacheBytes: number
  computeBytes: number
}

/** What a load is remembered by: exactly, and by its kind for models that have not been loaded yet. */
export interface MemoryKey {
  /** The model file's digest. */
  model: string
  architecture: string
  fileType: string
  /** Engine and backend: `llama.cpp cuda`. */
  backend: string
}

export interface LearnedRatio extends Corrections {
  /** How many loads it comes from, older ones counting less. */
  weight: number
}

/** All that was learned, by key; the latest last. Plain data, to be kept as JSON. */
export type LearnedMemory = Readonly<Record<string, LearnedRatio>>

/** A new observation counts at least so much, so that what changed (an engine's new version) is soon believed. */
const decay = 0.7

/** Beyond these something else was seen than was estimated. */
const smallest = 0.5
const largest = 3

/** Entries that are kept; those not used for longest go. */
const mostEntries = 500

/** Remembers what an instance took. Pure: the new state is returned. */
export function learn(
  known: LearnedMemory,
  key: MemoryKey,
  estimated: MemoryByKind,
  observed: MemoryByKind,
): LearnedMemory {
  const seen: Corrections = {
    weights: ratio(observed.weightsBytes, estimated.weightsBytes),
    kvCache: ratio(observed.kvCacheBytes, estimated.kvCacheBytes),
    compute: ratio(observed.computeBytes, estimated.computeBytes),
  }
  const names = [exactName(key), kindName(key)]
  const others = Object.entries(known).filter(([name]) => !names.includes(name))
  const updated = names.map((name) => [name, blend(known[name], seen)] as const)
  return Object.fromEntries([...others, ...updated].slice(-mostEntries))
}

/**
 * What an estimate is to be multiplied with: as this model was seen, else as its kind was, of which fewer loads are
 * believed less, and never that it takes less than estimated.
 */
export function correctionsFor(known: LearnedMemory, key: MemoryKey): Corrections {
  const exact = known[exactName(key)]
  if (exact) return { weights: exact.weights, kvCache: exact.kvCache, compute: exact.compute }
  const kind = known[kindName(key)]
  if (!kind) return uncorrected
  const trust = kind.weight / (kind.weight + 1)
  const damped = (value: number) => Math.max(1, 1 + (value - 1) * trust)
  return { weights: damped(kind.weights), kvCache: damped(kind.kvCache), compute: damped(kind.compute) }
}

/** What can be used of a stored file's content; nothing of what is not as `learn` makes it. */
export function readLearned(content: unknown): LearnedMemory {
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return {}
  const entries = Object.entries(content).flatMap(([name, value]: [string, unknown]) => {
    const entry = ratioOf(value)
    return entry ? [[name, entry] as const] : []
  })
  return Object.fromEntries(entries.slice(-mostEntries))
}

function ratioOf(value: unknown): LearnedRatio | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { weights, kvCache, compute, weight } = value as Partial<Record<keyof LearnedRatio, unknown>>
  if (!isRatio(weights) || !isRatio(kvCache) || !isRatio(compute)) return undefined
  if (typeof weight !== 'number' || !(weight > 0) || !Number.isFinite(weight)) return undefined
  return { weights, kvCache, compute, weight }
}

function isRatio(value: unknown): value is number {
  return typeof value === 'number' && value >= smallest && value <= largest
}

/** 1 where nothing can be said. */
function ratio(observed: number, estimated: number): number {
  if (!(estimated > 0) || !(observed > 0)) return 1
  return Math.min(largest, Math.max(smallest, observed / estimated))
}

function blend(before: LearnedRatio | undefined, seen: Corrections): LearnedRatio {
  if (!before) return { ...seen, weight: 1 }
  const old = before.weight * decay
  const weight = old + 1
  const mean = (a: number, b: number) => (a * old + b) / weight
  return {
    weights: mean(before.weights, seen.weights),
    kvCache: mean(before.kvCache, seen.kvCache),
    compute: mean(before.compute, seen.compute),
    weight,
  }
}

const exactName = ({ model, backend }: MemoryKey): string => `model ${model} ${backend}`
const kindName = ({ architecture, fileType, backend }: MemoryKey): string =>
  `kind ${architecture} ${fileType} ${backend}`
