import type { Clock } from '../../core/index.ts'
import type { ModelledEvent } from '../engine/index.ts'
import type { Answer } from './answer.ts'
import { blockHashes } from './blocks.ts'
import type { Pacer } from './pacer.ts'
import type { Slot, Slots } from './slots.ts'
import type { Counters } from './stats.ts'

/** A request whose answer is known; only its timing is not. */
export interface RunRequest {
  prompt: readonly number[]
  answer: Answer
  /** The prompt is looked for in the KV cache, and stays there with the answer. */
  cachePrompt: boolean
  /** The slot that is wanted, if it is free. */
  wantedSlot: number | undefined
}

/** How far an answer has come. */
export interface Progress {
  readonly answer: Answer
  readonly promptTokens: number
  slot: number
  cachedTokens: number
  /** Its prompt is being computed, or has been. */
  started: boolean
  /** Tokens of the prompt that are computed or were cached. */
  processedTokens: number
  /** Tokens of the answer that are out. */
  produced: number
  done: boolean
  /** Milliseconds from the first prompt token's computation to the first token of the answer, and from there on. */
  promptMs: number
  outputMs: number
}

/** Where requests run. */
export interface RunContext {
  pacer: Pacer
  slots: Slots
  counters: Counters
  blockTokens: number
  clock: Clock
}

/**
 * Runs a request on the modelled instance: the same object again and again, each time that it has come further, the last
 * time with `done`. Leaving the loop, or the signal, takes the request out at once; the signal's reason is thrown.
 */
export async function* runRequest(
  request: RunRequest,
  context: RunContext,
  signal: AbortSignal,
): AsyncGenerator<Progress, void> {
  const { progress, onEvent, leave } = track(request, context)
  let wake: () => void = () => undefined
  let changed = false
  const { prompt, answer, cachePrompt } = request
  const tokens = cachePrompt ? [...prompt, ...answer.tokens] : []
  const modelled = {
    hashes: blockHashes(tokens, context.blockTokens),
    // Without a prompt, and for an answer without words, an engine computes one token all the same.
    promptTokens: Math.max(1, prompt.length),
    outputTokens: Math.max(1, answer.tokens.length),
  }
  signal.throwIfAborted()
  const takeOut = context.pacer.run(modelled, (event) => {
    onEvent(event)
    changed = true
    wake()
  })
  const end = () => {
    takeOut()
    leave()
    wake()
  }
  signal.addEventListener('abort', end, { once: true })
  try {
    for (;;) {
      signal.throwIfAborted()
      if (changed) {
        changed = false
        yield progress
        if (progress.done) return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}

/** Keeps a request's progress, its slot and the counters by what its instance tells. */
function track({ prompt, answer, wantedSlot }: RunRequest, { slots, counters, clock }: RunContext) {
  const progress: Progress = {
    answer,
    promptTokens: prompt.length,
    slot: -1,
    cachedTokens: 0,
    started: false,
    processedTokens: 0,
    produced: 0,
    done: false,
    promptMs: 0,
    outputMs: 0,
  }
  let slot: Slot | undefined
  let startedMs = 0
  let firstMs = 0

  const produce = (count: number, nowMs: number) => {
    const produced = Math.min(answer.tokens.length, progress.produced + count)
    counters.outputTokens += produced - progress.produced
    progress.produced = produced
    progress.outputMs = nowMs - firstMs
    if (slot) slot.decoded = produced
  }
  const leave = () => {
    if (!slot) return
    counters.outputMs += progress.outputMs
    slots.leave(slot, [...prompt, ...answer.tokens.slice(0, progress.produced)])
    slot = undefined
  }

  function onEvent(event: ModelledEvent): void {
    const nowMs = clock.monotonicMs()
    if (event.type === 'started') {
      startedMs = nowMs
      slot = slots.take(event.id, prompt, wantedSlot)
      progress.slot = slot.id
      progress.started = true
      // The one token that stands for an empty prompt is none of the client's.
      progress.cachedTokens = Math.min(event.cachedTokens, prompt.length)
      progress.processedTokens = progress.cachedTokens
      counters.promptTokens += prompt.length
      counters.cachedTokens += progress.cachedTokens
    } else if (event.type === 'prefilled') {
      progress.processedTokens = Math.min(event.promptTokens, prompt.length)
      progress.promptMs = nowMs - startedMs
    } else if (event.type === 'firstToken') {
      firstMs = nowMs
      progress.promptMs = firstMs - startedMs
      progress.processedTokens = prompt.length
      counters.promptMs += progress.promptMs
      produce(1, nowMs)
    } else if (event.type === 'tokens') {
      produce(event.count, nowMs)
    } else {
      progress.done = true
      leave()
    }
  }

  return { progress, onEvent, leave }
}
