import type { Attempt } from '../health/contract.ts'
import type { InstanceWork, Rates } from '../policy/contract.ts'
import type { Predictor, RatesOf } from '../prediction/contract.ts'
import type { HeapNode } from './backlog-heap.ts'
import type { Decision, DispatchInstance, DispatchRequest } from './contract.ts'
import { createSlotCaches, type SlotCaches } from './slot-caches.ts'

/** A request in a slot of an instance. */
export interface Run {
  request: DispatchRequest
  booked: BookedInstance
  predicted: NonNullable<Decision['predicted']>
  startedMs: number
  firstTokenMs?: number
  outputTokens: number
  /** Prompt tokens that are believed to have to be computed. */
  computedTokens: number
  /** Another prompt was computed at the same time: its own duration says nothing about the instance's speed. */
  shared: boolean
  /** What the instance computed in the stretch of shared prompts that this one closed. */
  stretch?: { tokens: number; ms: number }
  /** What the instance had computed of prompts when this one's first token came. */
  prefilledBefore?: number
  /** The instance's requests at its first token and since: their mean is the batch it ran in. */
  batchSum: number
  batchSamples: number
  attempt?: Attempt
}

/** An instance with what it is doing. */
export interface BookedInstance extends HeapNode {
  info: DispatchInstance
  /** Its place among those of its kind: the less it has to do, the smaller. */
  heapKey: number
  /** What of its requests its group has counted. */
  counted: { running: number; prefilling: number }
  of: RatesOf
  /** Where each slot has a cache of its own. */
  slotCaches?: SlotCaches
  runs: Map<number, Run>
  /** In the order in which they began, which is the order in which engines compute prompts. */
  prefilling: Set<Run>
  prefillTokens: number
  /** Since when the first of `prefilling` is being computed. */
  prefillSinceMs: number
  /** Prompt tokens that it has computed in its life. */
  prefilledTokens: number
  /** Prompt tokens computed, and since when, while there was always a prompt to compute. */
  stretchTokens: number
  stretchSinceMs: number
  activeTokens: number
  lastChosen: number
  chosen: number
}

export function bookInstance(info: DispatchInstance, nowMs: number): BookedInstance {
  const { id, key, kind, modelBytes, memoryBytesPerS, flopsPerS } = info
  return {
    info,
    of: {
      instance: id,
      model: key,
      kind,
      ...(modelBytes !== undefined && { modelBytes }),
      ...(memoryBytesPerS !== undefined && { memoryBytesPerS }),
      ...(flopsPerS !== undefined && { flopsPerS }),
    },
    ...(info.cachesBySlot && { slotCaches: createSlotCaches(info.slots) }),
    runs: new Map(),
    prefilling: new Set(),
    prefillTokens: 0,
    prefillSinceMs: nowMs,
    prefilledTokens: 0,
    stretchTokens: 0,
    stretchSinceMs: nowMs,
    activeTokens: 0,
    lastChosen: 0,
    chosen: 0,
    heapKey: 0,
    heapIndex: 0,
    counted: { running: 0, prefilling: 0 },
  }
}

export function beginRun(run: Run, nowMs: number): void {
  const { booked, request } = run
  booked.runs.set(request.id, run)
  if (booked.prefilling.size === 0) {
    booked.prefillSinceMs = nowMs
    booked.stretchSinceMs = nowMs
    booked.stretchTokens = 0
  } else {
    run.shared = true
    for (const other of booked.prefilling) other.shared = true
  }
  booked.prefilling.add(run)
  booked.prefillTokens += run.computedTokens
  booked.activeTokens += request.promptTokens
}

/** A stretch without a pause is measured after so long. */
const longestStretchMs = 5_000

/** The prompt has been computed. */
export function completePrefill(run: Run, nowMs: number): void {
  const { booked } = run
  booked.stretchTokens += run.computedTokens
  endPrefill(run, nowMs)
  booked.prefilledTokens += run.computedTokens
  run.prefilledBefore = booked.prefilledTokens
  const ms = nowMs - booked.stretchSinceMs
  if (booked.prefilling.size > 0 && ms < longestStretchMs) return
  run.stretch = { tokens: booked.stretchTokens, ms }
  booked.stretchTokens = 0
  booked.stretchSinceMs = nowMs
}

/** The prompt is computed no longer, or has been. */
export function endPrefill(run: Run, nowMs: number): void {
  const { booked } = run
  if (!booked.prefilling.delete(run)) return
  booked.prefillTokens = booked.prefilling.size === 0 ? 0 : booked.prefillTokens - run.computedTokens
  booked.prefillSinceMs = nowMs
}

export function endRun(run: Run, nowMs: number): void {
  const { booked, request } = run
  endPrefill(run, nowMs)
  booked.runs.delete(request.id)
  booked.activeTokens =
    booked.runs.size === 0 ? 0 : booked.activeTokens - request.promptTokens - run.outputTokens
}

/** Prompt tokens that are yet to be computed there: of the first one, what was done since it began is taken off. */
export function backlogTokens(booked: BookedInstance, rates: Rates, nowMs: number): number {
  const [first] = booked.prefilling
  if (!first) return 0
  const done = ((nowMs - booked.prefillSinceMs) * rates.prefillTokensPerS) / 1000
  return booked.prefillTokens - Math.min(first.computedTokens, Math.max(0, done))
}

/** When its prompts will have been computed, should no other come. */
export function backlogEndMs(booked: BookedInstance, prefillTokensPerS: number): number {
  return booked.prefillSinceMs + (1000 * booked.prefillTokens) / prefillTokensPerS
}

/**
 * How long the tokens of an answer took by themselves: without what the instance computed of others' prompts meanwhile,
 * which engines do in the same steps.
 */
export function ownDecodeMs(run: Run, outputMs: number, rates: Rates, nowMs: number): number {
  const { booked, prefilledBefore } = run
  if (prefilledBefore === undefined) return outputMs
  const [first] = booked.prefilling
  const under = first ? booked.prefillTokens - backlogTokens(booked, rates, nowMs) : 0
  const othersMs = ((booked.prefilledTokens + under - prefilledBefore) / rates.prefillTokensPerS) * 1000
  return Math.max(outputMs * leastOwnShare, outputMs - othersMs)
}

/** However wrong the estimate of the others' part is. */
const leastOwnShare = 0.2

export function decodeStepMs(rates: Rates, batch: number): number {
  return rates.decodeBaseMs + rates.decodePerRequestMs * Math.max(1, batch)
}

/** Until each of its running requests will probably have ended. */
export function remainingMs(
  booked: BookedInstance,
  rates: Rates,
  predictor: Predictor,
  nowMs: number,
): number[] {
  const stepMs = decodeStepMs(rates, booked.runs.size)
  const backlogMs = (backlogTokens(booked, rates, nowMs) / rates.prefillTokensPerS) * 1000
  return [...booked.runs.values()].map((run) => {
    const left = predictor.remainingTokens(run.request.shape, run.outputTokens) * stepMs
    return run.firstTokenMs === undefined ? backlogMs + left : left
  })
}

/** Until the first of its running requests has ended; 0 where a slot is free. */
export function slotWaitMs(
  booked: BookedInstance,
  rates: Rates,
  predictor: Predictor,
  nowMs: number,
): number {
  if (booked.runs.size < booked.info.slots) return 0
  return Math.min(...remainingMs(booked, rates, predictor, nowMs))
}

/** What one request needs to know of it. */
export function workOf(
  booked: BookedInstance,
  rates: Rates,
  predictor: Predictor,
  nowMs: number,
): InstanceWork {
  return {
    running: booked.runs.size,
    prefilling: booked.prefilling.size,
    prefillTokens: backlogTokens(booked, rates, nowMs),
    activeTokens: booked.activeTokens,
    slotWaitMs: slotWaitMs(booked, rates, predictor, nowMs),
    loadingMs: 0,
    lastChosen: booked.lastChosen,
    chosen: booked.chosen,
  }
}
