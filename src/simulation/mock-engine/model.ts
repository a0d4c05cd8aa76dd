import { createModelledInstance } from '../engine/index.ts'
import { answerTo } from './answer.ts'
import { blockHashes } from './blocks.ts'
import type { MockSettings } from './options.ts'
import { createPacer } from './pacer.ts'
import { contextExceeded } from './refusal.ts'
import { type Progress, type RunContext, runRequest } from './run.ts'
import { createSlots, type Slot } from './slots.ts'
import type { Counters } from './stats.ts'

/** A prompt to answer. */
export interface Work {
  prompt: readonly number[]
  /** Tokens of the answer; absent as many as the context holds. */
  maxTokens?: number | undefined
  stop?: readonly string[]
  seed?: number | undefined
  /** The answer goes on until its limit. */
  ignoreEos?: boolean | undefined
  cachePrompt?: boolean | undefined
  /** The slot that is wanted, if it is free. */
  slot?: number | undefined
}

/** One model of the mock engine: what is a process of its own in a real one. */
export interface MockModel {
  readonly name: string
  /** Begins to load it where it is not loaded; resolves when it is, rejects with the signal's reason. */
  load(signal?: AbortSignal): Promise<void>
  isLoaded(): boolean
  /** How long it stays after the last request that ends from now on; 0 lets it go as soon as nothing runs. */
  keep(ms: number): void
  /** Milliseconds until it is let go. */
  expiresInMs(): number
  /** Runs loaded what is asked, as `runRequest`. Throws `Refusal` for a prompt that does not fit. */
  run(work: Work, signal: AbortSignal): AsyncGenerator<Progress, void>
  setRate(rate: number): void
  readonly slots: readonly Slot[]
  /** Gives a free slot the tokens of a saved one, and the KV cache with them; false where a request runs in it. */
  restoreSlot(slot: Slot, tokens: readonly number[]): boolean
  /** Empties a free slot, and drops its part of the KV cache; false where a request runs in it. */
  eraseSlot(slot: Slot): boolean
  running(): number
  waiting(): number
  kvUse(): { tokens: number; activeTokens: number }
  close(): void
}

export function createModel(name: string, settings: MockSettings, counters: Counters): MockModel {
  const { engine, clock, contextTokens } = settings
  const pacer = createPacer(() => createModelledInstance(engine, { eachToken: true }), clock, settings.speed)
  const slots = createSlots(engine.slots)
  const context: RunContext = { pacer, slots, counters, blockTokens: engine.blockTokens, clock }
  const never = Number.POSITIVE_INFINITY
  let rate = settings.speed
  let loadedAtMs = never
  let keepMs = never
  let expiresAtMs = never

  const { instance } = pacer
  const touch = () => {
    expiresAtMs = clock.monotonicMs() + keepMs
  }

  /** A model that nobody has asked for in a while is gone, and its cache with it. */
  function expire(): void {
    if (instance().running() + instance().waiting() > 0 || clock.monotonicMs() < expiresAtMs) return
    loadedAtMs = never
    expiresAtMs = never
    pacer.reset()
    for (const slot of slots.all) slots.leave(slot, [])
  }

  async function load(signal?: AbortSignal): Promise<void> {
    expire()
    if (loadedAtMs === never) loadedAtMs = clock.monotonicMs() + engine.loadMs / rate
    const leftMs = loadedAtMs - clock.monotonicMs()
    if (leftMs > 0) await clock.sleep(leftMs, signal)
    touch()
  }

  return {
    name,
    load,
    isLoaded() {
      expire()
      return clock.monotonicMs() >= loadedAtMs
    },
    keep(ms) {
      keepMs = ms
      touch()
    },
    expiresInMs: () => expiresAtMs - clock.monotonicMs(),
    async *run({ prompt, maxTokens, seed = 0, stop = [], ignoreEos, cachePrompt = true, slot }, signal) {
      const room = contextTokens - prompt.length
      if (room < 1) throw contextExceeded(prompt.length, contextTokens)
      const answer = answerTo(prompt, {
        seed,
        stop,
        meanTokens: ignoreEos ? never : settings.meanAnswerTokens,
        maxTokens: Math.min(maxTokens ?? room, room),
      })
      await load(signal)
      try {
        yield* runRequest({ prompt, answer, cachePrompt, wantedSlot: slot }, context, signal)
      } finally {
        touch()
      }
    },
    setRate(next) {
      rate = next
      pacer.setRate(next)
    },
    slots: slots.all,
    restoreSlot(slot, tokens) {
      if (slot.task !== undefined) return false
      slots.leave(slot, tokens)
      instance().restore(blockHashes(tokens, engine.blockTokens))
      return true
    },
    eraseSlot(slot) {
      if (slot.task !== undefined) return false
      instance().forget(blockHashes(slot.tokens, engine.blockTokens))
      slots.leave(slot, [])
      return true
    },
    running: () => instance().running(),
    waiting: () => instance().waiting(),
    kvUse: () => instance().kvUse(),
    close: pacer.close,
  }
}
