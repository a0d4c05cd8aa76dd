import type { ModelShape } from '../models/index.ts'
import type { Corrections } from './memory/corrections.ts'
import { estimateMemory, type MemoryEstimate, type MemoryWishes } from './memory/estimate.ts'

/*
 * How a model is loaded into the memory there is. What was asked for is honoured or refused; what was left open
 * gives way in this order: slots from 4 down to 1 at the full context, then the context, down to 4096 tokens.
 * A shorter context hurts every long request, fewer slots only make requests wait for each other.
 */

/** Slots of an instance when nobody says how many. */
const mostAutomaticSlots = 4

/** An automatic context is not cut below this, or below the trained one where that is shorter. */
const shortestAutomaticContext = 4096

/** Contexts are sought in steps of llama.cpp's padding: anything between two takes the same memory. */
const contextStep = 256

const shortestContext = 4

/** Bits that a weight takes in Q4_K_M on average: the usual next smaller version of a model. */
const q4BitsPerWeight = 4.85

export interface FitRequest {
  /** For the texts. */
  modelName: string
  shape: ModelShape
  /** Memory that the instance may take. */
  budgetBytes: number
  /** The model embeds and does not generate. */
  embedding?: boolean | undefined
  /** What was asked for by name; undefined leaves the choice. A context is that of one slot. */
  wanted: { contextLength?: number | undefined; slots?: number | undefined }
  /** Context when none was asked for. */
  defaultContextLength: number
  kvCacheType?: string | undefined
  batchSize?: number | undefined
  flashAttention?: MemoryWishes['flashAttention']
  /** It runs on the CPU; see `MemoryWishes`. */
  cpu?: MemoryWishes['cpu']
  batchLogits?: boolean | undefined
  /** From what earlier loads really took. */
  corrections?: Corrections | undefined
}

export type Fit =
  | {
      ok: true
      contextLength: number
      slots: number
      memory: MemoryEstimate
      /** Why context and slots are what they are, one sentence each. */
      reasons: string[]
    }
  | {
      ok: false
      /** Readable by the client whose request is refused. */
      message: string
      /** At the least context and slots that would have been acceptable. */
      neededBytes: number
      budgetBytes: number
      /** What would help, one phrase each. */
      suggestions: string[]
    }

/** Works out context and slots of an instance within `budgetBytes`, or says what would fit. Pure, deterministic. */
export function fitInstance(request: FitRequest): Fit {
  const { budgetBytes, wanted } = request
  const context = contextRange(request)
  const slots = slotRange(request)
  for (let count = slots.most; count >= slots.least; count--) {
    const memory = estimate(request, context.most, count)
    if (memory.totalBytes <= budgetBytes) {
      const reasons = [context.reason, slotReason(count, slots.most, wanted.slots !== undefined)]
      return { ok: true, contextLength: context.most, slots: count, memory, reasons }
    }
  }
  const contextLength = longestFitting(request, context.least, context.most, slots.least)
  if (contextLength === undefined) return refuse(request, context.least, slots.least)
  const reasons = [
    `context cut from ${context.most} to ${contextLength} tokens to fit into ${gibibytes(budgetBytes)}`,
    slotReason(slots.least, slots.most, wanted.slots !== undefined),
  ]
  const memory = estimate(request, contextLength, slots.least)
  return { ok: true, contextLength, slots: slots.least, memory, reasons }
}

function contextRange({ shape, wanted, defaultContextLength }: FitRequest): {
  least: number
  most: number
  reason: string
} {
  const trained = shape.contextLength > 0 ? shape.contextLength : Number.POSITIVE_INFINITY
  const chosen = Math.floor(Math.max(shortestContext, wanted.contextLength ?? defaultContextLength))
  const most = Math.min(chosen, trained)
  const how = wanted.contextLength === undefined ? 'by default' : 'as asked for'
  const cut = most < chosen ? `, cut from ${chosen} to what the model was trained for` : ''
  const reason = `context of ${most} tokens ${how}${cut}`
  const least = wanted.contextLength === undefined ? Math.min(shortestAutomaticContext, most) : most
  return { least, most, reason }
}

function slotRange({ wanted, embedding }: FitRequest): { least: number; most: number } {
  if (wanted.slots !== undefined) {
    const slots = Math.max(1, Math.floor(wanted.slots))
    return { least: slots, most: slots }
  }
  // An embedding engine batches the inputs of a request by itself.
  return { least: 1, most: embedding ? 1 : mostAutomaticSlots }
}

function slotReason(slots: number, most: number, asked: boolean): string {
  const count = slots === 1 ? '1 slot' : `${slots} slots`
  if (asked) return `${count} as asked for`
  return slots === most ? `${count} by default` : `${count}: memory does not allow ${most}`
}

function estimate(request: FitRequest, contextLength: number, slots: number): MemoryEstimate {
  const { shape, kvCacheType, batchSize, flashAttention, embedding, cpu, batchLogits, corrections } = request
  const how = { kvCacheType, batchSize, flashAttention, embedding, cpu, batchLogits }
  return estimateMemory(shape, { contextLength, slots, ...how }, corrections)
}

/** The longest context from `least` to `most` that fits, by bisection; undefined when not even `least` does. */
function longestFitting(request: FitRequest, least: number, most: number, slots: number): number | undefined {
  const fits = (contextLength: number) =>
    estimate(request, contextLength, slots).totalBytes <= request.budgetBytes
  if (least > most || !fits(least)) return undefined
  // `low` steps fit, `high` steps do not or would go beyond `most`.
  let low = 0
  let high = Math.ceil((most - least) / contextStep) + 1
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (fits(Math.min(most, least + middle * contextStep))) low = middle
    else high = middle
  }
  return Math.min(most, least + low * contextStep)
}

function refuse(request: FitRequest, contextLength: number, slots: number): Fit {
  const { modelName, budgetBytes } = request
  const neededBytes = estimate(request, contextLength, slots).totalBytes
  const suggestions = suggest(request, contextLength, slots)
  const need = `model "${modelName}" needs ${gibibytes(neededBytes)} but only ${gibibytes(budgetBytes)} is available`
  return {
    ok: false,
    message: `${need}; ${suggestions.join(', or ')}`,
    neededBytes,
    budgetBytes,
    suggestions,
  }
}

/** What would make the model fit: first what costs least. */
function suggest(request: FitRequest, contextLength: number, slots: number): string[] {
  const { shape, budgetBytes, kvCacheType = 'f16', flashAttention, embedding } = request
  const suggestions: string[] = []
  const fits = (changed: Partial<FitRequest>, count = slots) =>
    estimate({ ...request, ...changed }, contextLength, count).totalBytes <= budgetBytes
  const shorter = longestFitting(request, Math.min(contextStep, contextLength), contextLength - 1, slots)
  if (shorter !== undefined) suggestions.push(`a context of ${shorter} tokens (num_ctx) would fit`)
  if (slots > 1 && fits({}, 1)) suggestions.push('one request at a time (OLLAMA_NUM_PARALLEL=1) would fit')
  if (kvCacheType === 'f16' && flashAttention !== 'off' && !embedding && fits({ kvCacheType: 'q8_0' })) {
    suggestions.push('a smaller KV cache (OLLAMA_KV_CACHE_TYPE=q8_0) would fit')
  }
  const q4Bytes = Math.ceil((shape.parameterCount * q4BitsPerWeight) / 8)
  if (q4Bytes < shape.weightBytes && fits({ shape: { ...shape, weightBytes: q4Bytes } })) {
    suggestions.push(`a Q4_K_M version of the model (about ${gibibytes(q4Bytes)} of weights) would fit`)
  }
  if (suggestions.length === 0) suggestions.push('take a smaller model, or free memory')
  return suggestions
}

/** `22.9 GiB`; small amounts in MiB, so that they do not read as nothing. */
function gibibytes(bytes: number): string {
  const gib = 2 ** 30
  return bytes >= gib / 10 ? `${(bytes / gib).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
