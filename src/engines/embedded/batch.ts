import type { LlamaContext, LlamaContextSequence, Token } from 'node-llama-cpp'
import type { CompletionRequest, EngineEvent } from '../contract.ts'
import { commonPrefix, pickSlot } from '../slot-choice.ts'
import { type Answer, type AnswerLimits, createAnswer } from './answer.ts'
import type { Prepared } from './prepare.ts'
import { toWire, type WireError } from './protocol.ts'

/** Runs requests on a context's sequences, all of them in one native call a step. */
export interface Batch {
  /** Takes a request; there has to be a free sequence. */
  start(id: number, prepared: Prepared, request: CompletionRequest): void
  /** Ends a request after the step that runs; it then fails with `cancelled`. */
  cancel(id: number): void
  acknowledge(id: number, events: number): void
  /**
   * Writes what the free sequence holds that shares most with the prompt, a tenth of it at least; undefined where none
   * does. Rejects with the library's reason.
   */
  save(prompt: readonly Token[], path: string): Promise<{ tokens: number; bytes: number } | undefined>
  /** Fills a free sequence for a prompt; the tokens it then holds, 0 where none is free. Rejects as `save` does. */
  restore(prompt: readonly Token[], path: string): Promise<number>
}

export interface BatchOutput {
  events(events: [id: number, event: EngineEvent][]): void
  failed(id: number, error: WireError): void
  /** The loop itself has failed; no request will ever end. */
  broken(error: unknown): void
}

interface Slot {
  readonly sequence: LlamaContextSequence
  /** The step it was last given up in; the least is the one to overwrite. */
  lastUsed: number
  /** Tokens of the prompt it last had; 0 where it holds nothing. */
  promptLength: number
  answer: Answer | undefined
}

/** Tokens; see `pickSlot`. */
const slotLimits = { slack: 8, little: 48 }
/** Less of a prompt is not worth a session. */
const leastSharedPart = 0.1

/**
 * How long a slice of a prompt may compute: the answers that run beside it wait so long between two tokens, and
 * a cancelled prompt is given up so soon.
 */
const sliceMs = 200
/** Slices shorter than this leave the processor's matrix units idle. */
const leastSlice = 32

export function createBatch(context: LlamaContext, limits: AnswerLimits, output: BatchOutput): Batch {
  const slots: Slot[] = Array.from({ length: context.totalSequences }, () => ({
    sequence: context.getSequence(),
    lastUsed: 0,
    promptLength: 0,
    answer: undefined,
  }))
  const arrivals: { id: number; prepared: Prepared; request: CompletionRequest }[] = []
  const cancelled = new Set<number>()
  /** What is to be done between two steps. */
  const errands: (() => Promise<void>)[] = []
  let steps = 0
  let slice = leastSlice
  /** Something has come since the loop last looked. */
  let news = false
  let wake: () => void = () => undefined
  const notify = () => {
    news = true
    wake()
  }
  run().catch(output.broken)

  return {
    start(id, prepared, request) {
      arrivals.push({ id, prepared, request })
      notify()
    },
    cancel(id) {
      cancelled.add(id)
      notify()
    },
    acknowledge(id, events) {
      answers()
        .find((answer) => answer.id === id)
        ?.acknowledge(events)
      notify()
    },
    save: (prompt, path) => betweenSteps(() => saveHolder(prompt, path)),
    restore: (prompt, path) => betweenSteps(() => fillFree(prompt, path)),
  }

  function betweenSteps<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      errands.push(() => work().then(resolve, reject))
      notify()
    })
  }

  async function saveHolder(prompt: readonly Token[], path: string) {
    const shared = (slot: Slot) => commonPrefix<readonly number[]>(slot.sequence.contextTokens, prompt)
    const [holder] = freeSlots().sort((a, b) => shared(b) - shared(a))
    if (!holder || shared(holder) === 0 || shared(holder) < prompt.length * leastSharedPart) return undefined
    const tokens = holder.sequence.contextTokens.length
    const { fileSize } = await holder.sequence.saveStateToFile(path)
    return { tokens, bytes: fileSize }
  }

  async function fillFree(prompt: readonly Token[], path: string): Promise<number> {
    const free = chooseFree([])
    if (!free) return 0
    try {
      // The instance has made sure that the file is of the same model and build.
      await free.sequence.loadStateFromFile(path, { acceptRisk: true })
    } catch (error) {
      free.promptLength = 0
      await free.sequence.clearHistory()
      throw error
    }
    // All that the prompt has of it: the prompt goes on from there, though another sequence be empty.
    free.promptLength = commonPrefix<readonly number[]>(free.sequence.contextTokens, prompt)
    free.lastUsed = steps
    return free.sequence.contextTokens.length
  }

  function freeSlots(): Slot[] {
    return slots.filter((slot) => slot.answer === undefined)
  }

  function chooseFree(prompt: readonly Token[]): Slot | undefined {
    const free = freeSlots()
    const choices = free.map(({ sequence, promptLength, lastUsed }) => ({
      shared: commonPrefix<readonly number[]>(sequence.contextTokens, prompt),
      promptLength,
      length: sequence.contextTokens.length,
      lastUsed,
    }))
    return free[pickSlot(choices, prompt.length, slotLimits)]
  }

  function answers(): Answer[] {
    return slots.flatMap(({ answer }) => answer ?? [])
  }

  async function run(): Promise<never> {
    for (;;) {
      news = false
      for (let next = arrivals.shift(); next; next = arrivals.shift()) await admit(next)
      for (let errand = errands.shift(); errand; errand = errands.shift()) await errand()
      await dropCancelled()
      const runnable = answers().filter((answer) => !answer.done() && answer.hasRoom())
      if (runnable.length > 0) await step(runnable)
      flush()
      await releaseDone()
      if (runnable.length === 0 && !news) await woken()
    }
  }

  function woken(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve
    })
  }

  async function admit({ id, prepared, request }: (typeof arrivals)[number]): Promise<void> {
    const chosen = chooseFree(prepared.prompt)
    if (!chosen) return output.failed(id, toWire(new Error('no sequence is free')))
    try {
      // At least one token of the prompt has to be evaluated, or there are no logits to sample from.
      await chosen.sequence.adaptStateToTokens(prepared.prompt.slice(0, -1) as Token[], false)
      chosen.promptLength = prepared.prompt.length
      chosen.answer = createAnswer(id, prepared, request, chosen.sequence, limits)
    } catch (error) {
      output.failed(id, toWire(error))
    }
  }

  /**
   * Everything is queued in one turn of the event loop, so that the library makes a single native batch of it.
   * Answers that run come first; what is left of the batch goes to prompts, the oldest first.
   */
  async function step(runnable: readonly Answer[]): Promise<void> {
    steps++
    const prompts = runnable.filter((answer) => answer.remainingPrompt() > 0).sort((a, b) => a.id - b.id)
    const decoding = runnable.filter((answer) => answer.remainingPrompt() === 0)
    let budget = Math.max(1, Math.min(slice, context.batchSize - decoding.length))
    const work = decoding.map((answer) => ({ answer, promptTokens: 0 }))
    for (const answer of prompts) {
      if (budget === 0) break
      const promptTokens = Math.min(budget, answer.remainingPrompt())
      budget -= promptTokens
      work.push({ answer, promptTokens })
    }
    const startedMs = performance.now()
    await Promise.all(work.map(({ answer, promptTokens }) => advance(answer, promptTokens)))
    const prefilled = work.reduce((sum, { promptTokens }) => sum + promptTokens, 0)
    if (prefilled >= leastSlice) slice = nextSlice(prefilled, performance.now() - startedMs)
  }

  function nextSlice(tokens: number, tookMs: number): number {
    const fitting = Math.floor((tokens / tookMs) * (sliceMs / leastSlice)) * leastSlice
    return Math.max(leastSlice, Math.min(context.batchSize, fitting))
  }

  async function advance(answer: Answer, promptTokens: number): Promise<void> {
    try {
      await answer.step(promptTokens)
    } catch (error) {
      await fail(answer, toWire(error))
    }
  }

  function flush(): void {
    const events = answers().flatMap((answer) =>
      answer.takeEvents().map((event): [number, EngineEvent] => [answer.id, event]),
    )
    if (events.length > 0) output.events(events)
  }

  async function dropCancelled(): Promise<void> {
    for (const answer of answers()) {
      if (cancelled.has(answer.id) && !answer.done()) {
        await fail(answer, { code: 'cancelled', message: 'request canceled' })
      }
    }
    cancelled.clear()
  }

  async function fail(answer: Answer, error: WireError): Promise<void> {
    const slot = slots.find((candidate) => candidate.answer === answer)
    if (!slot) return
    await free(slot, answer)
    // What a failed native call left in the cache is not known.
    if (error.code !== 'cancelled') {
      slot.promptLength = 0
      await slot.sequence.clearHistory()
    }
    output.failed(answer.id, error)
  }

  async function releaseDone(): Promise<void> {
    for (const slot of slots) {
      if (slot.answer?.done()) await free(slot, slot.answer)
    }
  }

  async function free(slot: Slot, answer: Answer): Promise<void> {
    slot.answer = undefined
    slot.lastUsed = steps
    await answer.release()
  }
}
