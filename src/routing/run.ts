/**
 * A request's way over instances. An instance that fails under it, or is to end, is left; the request goes on where
 * another takes it up: prompt and tokens so far are that one's prompt, so nothing is said twice and nothing is lost.
 */
import type { Clock } from '../core/index.ts'
import type { CompletionRequest, EngineDoneEvent, EngineEvent, EngineInstance } from '../engines/index.ts'
import { asDroverError, DroverError, type ErrorCode, type Usage } from '../inference/index.ts'
import type { RetryBudget } from './health/index.ts'
import { raceTries, type Try } from './hedge.ts'
import type { Lease, LeaseEnd } from './pool/index.ts'
import { dropMiddle } from './render.ts'
import { endSilence } from './silence.ts'

export interface RunOptions {
  /** A slot on an instance that is none of these. */
  acquire(avoid: ReadonlySet<number>, standing: Standing): Promise<Lease>
  /** Whether there is, or would be, an instance that is none of these. */
  hasOther(avoid: ReadonlySet<number>): boolean
  /** Before an instance computes a prompt: the chance to give it a saved cache. */
  prepare(lease: Lease, completion: CompletionRequest): Promise<void>
  /** After it has stopped because its instance leaves: the chance to save the cache. */
  rescue(lease: Lease, completion: CompletionRequest): Promise<void>
  /** The answer goes on, or begins again, elsewhere. */
  moved(reason: DroverError): void
  /** When a second try is made beside the first; absent: never. */
  hedge?: RunHedge
  retries: RetryBudget
  /** An answer that brings nothing for so long goes on elsewhere; absent: it is waited for. */
  silenceMs?: number
  clock: Clock
  random: () => number
  signal: AbortSignal
}

/** What a request has behind it when it asks for a slot. */
export interface Standing {
  /** It had a slot, and lost it through no fault of its own. */
  returns: boolean
  /** Its first word was said: no deadline holds any longer. */
  spoke: boolean
  /** Aborts when this slot is not wanted any more; absent: never. */
  calledOff?: AbortSignal
}

export interface RunHedge {
  delayMs: number
  /** Takes a second try from their share; false: there have been too many, or no other instance is idle. */
  mayStart(avoid: ReadonlySet<number>): boolean
  observe(ttftMs: number, cutOff: boolean): void
}

/** Continues prompts, by whichever instance; `stream.ts` needs no more. */
export type Generate = (
  completion: CompletionRequest,
  signal: AbortSignal,
) => AsyncGenerator<EngineEvent, void>

/** What was asked of engines, and what they said. */
export interface Transcript {
  prompt: string | number[]
  text: string
  /** By the monotonic clock; absent where nothing was said. */
  firstTokenAtMs?: number
}

export interface Run {
  /** Asks the instance something; if it fails under that, another one is asked. */
  call<T>(ask: (instance: EngineInstance) => Promise<T>): Promise<T>
  generate: Generate
  /** The instance that has it now. */
  lease(): Lease
  /** The last prompt with what was said to it; undefined before there is one. */
  transcript(): Transcript | undefined
  end(end?: LeaseEnd): void
}

/** So often in a row a request may fail without a single new token. */
const mostFruitless = 4
/** So often in all: an answer of hours may see many instances die. */
const mostMoves = 64

/** For so long a request is taken to one server after the other that is busy, without a new token. */
const longestBusyMs = 30_000

/** What the instance did wrong, not the request. */
const instancesFault: readonly ErrorCode[] = [
  'engine_crashed',
  'engine_failed',
  'engine_unavailable',
  'insufficient_memory',
]
/** It has too much to do, with requests of others: come again. */
const busyCodes: readonly ErrorCode[] = ['busy', 'rate_limited']

export async function startRun(options: RunOptions): Promise<Run> {
  const { clock, signal } = options
  const avoid = new Set<number>()
  let lease = await options.acquire(avoid, { returns: false, spoke: false })
  let fruitless = 0
  let busyTries = 0
  let busySinceMs: number | undefined
  let moves = 0
  let last: { prompt: string | number[]; journal: Journal } | undefined

  let moving: Promise<void> | undefined

  /** Several questions may fail with one instance: it is left once. */
  async function leave(failed: Lease, thrown: unknown): Promise<void> {
    if (lease !== failed) return
    moving ??= moveOn(thrown).finally(() => {
      moving = undefined
    })
    await moving
  }

  /** Leaves the instance for another one; throws the error where that is of no use. */
  async function moveOn(thrown: unknown): Promise<void> {
    signal.throwIfAborted()
    const leaves = lease.leaving.aborted
    const { code } = asDroverError(thrown)
    const busy = busyCodes.includes(code)
    if (!leaves && !busy && !instancesFault.includes(code)) throw thrown
    // Who is busy is not ill.
    lease.release({ outcome: leaves || busy ? 'withdrawn' : 'failed' })
    avoid.add(lease.entryId)
    let reason = thrown
    for (;;) {
      if (!leaves || reason !== thrown) await patience(reason)
      options.moved(asDroverError(reason))
      try {
        const spoke = (last?.journal.text ?? '') !== ''
        lease = await options.acquire(avoid, { returns: true, spoke })
        return
      } catch (refused) {
        signal.throwIfAborted()
        if (asDroverError(refused).code !== 'engine_unavailable') throw refused
        // None of those that it has not failed on may take it.
        avoid.clear()
        reason = refused
      }
    }
  }

  /** Waits as long as is fitting before the next try; throws the reason where there has been enough of them. */
  async function patience(reason: unknown): Promise<void> {
    const { code, retryAfterMs } = asDroverError(reason)
    const nowMs = clock.now()
    const busy = busyCodes.includes(code)
    if (busy) {
      busyTries++
      busySinceMs ??= nowMs
    } else if (++moves > mostMoves || ++fruitless > mostFruitless) {
      throw reason
    } else if (fruitless > 1 && !options.retries.withdraw(nowMs)) {
      // A first try elsewhere is no burden; what fails again and again is.
      throw reason
    }
    if (options.hasOther(avoid)) return
    const waitMs = retryAfterMs ?? options.retries.backoffMs(fruitless + busyTries, options.random)
    if (busySinceMs !== undefined && nowMs + waitMs - busySinceMs > longestBusyMs) throw reason
    await clock.sleep(waitMs, signal)
    // One that has ended by now is replaced; one that lives may be asked again where there is no other.
    if (!options.hasOther(avoid)) avoid.clear()
  }

  function progressed(): void {
    fruitless = 0
    busyTries = 0
    busySinceMs = undefined
  }

  async function call<T>(ask: (instance: EngineInstance) => Promise<T>): Promise<T> {
    for (;;) {
      const at = lease
      try {
        return await ask(at.instance)
      } catch (thrown) {
        await leave(at, thrown)
      }
    }
  }

  function tryOn(at: Lease, completion: CompletionRequest): Try {
    const cancelled = new AbortController()
    const signals = AbortSignal.any([signal, at.leaving, cancelled.signal])
    const events = at.instance.generate(completion, signals, at.cacheShrunk)[Symbol.asyncIterator]()
    const hasOther = () => options.hasOther(new Set([at.entryId]))
    const end = (reason: DroverError) => cancelled.abort(reason)
    return {
      lease: at,
      events: endSilence(events, {
        limitMs: options.silenceMs ?? Number.POSITIVE_INFINITY,
        clock,
        hasOther,
        end,
      }),
      cancel: () => cancelled.abort(new DroverError('cancelled', 'another instance was sooner')),
      stopped: (failure) => {
        const faulty = failure && instancesFault.includes(asDroverError(failure.reason).code)
        const failed = faulty === true && !at.leaving.aborted && !signal.aborted
        at.release({ outcome: failed ? 'failed' : 'withdrawn' })
        if (failed) avoid.add(at.entryId)
      },
    }
  }

  /** Starts an answer; where it is late, and that is wished, on a second instance too. */
  async function begin(at: Lease, completion: CompletionRequest, fresh: boolean): Promise<Try> {
    const { hedge } = options
    const first = tryOn(at, completion)
    if (!hedge || !fresh) return first
    const second = async (calledOff: AbortSignal) => {
      const others = new Set([...avoid, at.entryId])
      if (!hedge.mayStart(others)) return undefined
      const granted = await options.acquire(others, { returns: false, spoke: false, calledOff })
      if (!calledOff.aborted) return tryOn(granted, completion)
      granted.release()
      return undefined
    }
    const won = await raceTries(first, { ...hedge, second }, clock)
    lease = won.lease
    return won
  }

  async function* generate(completion: CompletionRequest): AsyncGenerator<EngineEvent, void> {
    const startedAtMs = clock.monotonicMs()
    const journal: Journal = { tokens: [], text: '', sampled: 0, before: 0, inPrompt: 0, startedAtMs }
    last = { prompt: completion.prompt, journal }
    for (;;) {
      let at = lease
      let current = completion
      try {
        current = await continuation(completion, journal, at.instance)
        if (current.maxTokens <= 0) return yield finished(journal, clock.monotonicMs())
        await options.prepare(at, current)
        const fresh = journal.before === 0 && journal.tokens.length === 0
        const begun = await begin(at, current, fresh)
        at = begun.lease
        for await (const said of { [Symbol.asyncIterator]: () => begun.events }) {
          const event = journal.moved ? await withAllTokens(said, journal, at.instance) : said
          if (event.type === 'token') {
            if (event.tokens.length > 0 || event.text !== '') progressed()
            note(journal, event, at, clock.monotonicMs())
          }
          yield event.type === 'done' ? merged(event, journal, clock.monotonicMs()) : event
          if (event.type === 'done') return
        }
        throw new DroverError('engine_failed', 'the engine ended the answer before it was complete')
      } catch (thrown) {
        if (at.leaving.aborted && !signal.aborted) await options.rescue(at, current)
        await leave(at, thrown)
        journal.moved = true
      }
    }
  }

  return {
    call,
    generate,
    lease: () => lease,
    transcript: () => {
      if (!last) return undefined
      const { text, firstTokenAtMs } = last.journal
      return { prompt: last.prompt, text, ...(firstTokenAtMs !== undefined && { firstTokenAtMs }) }
    },
    end: (end) => lease.release(end),
  }
}

/** What an answer was so far. */
interface Journal {
  tokens: number[]
  text: string
  /** An engine told text without its tokens: those in `tokens` are not all of them. */
  asText?: true
  /** By the engines' count: `tokens` may be others that make the same text, and more or fewer. */
  sampled: number
  /** Of these, those by other instances than the one that has it now, */
  before: number
  /** and the tokens that they are in its prompt. */
  inPrompt: number
  startedAtMs: number
  firstTokenAtMs?: number
  moved?: boolean
}

function note(journal: Journal, event: EngineEvent & { type: 'token' }, lease: Lease, nowMs: number): void {
  lease.firstToken()
  journal.firstTokenAtMs ??= nowMs
  journal.text += event.text
  if (event.tokens.length === 0 && event.text !== '') journal.asText = true
  for (const token of event.tokens) journal.tokens.push(token)
  const sampled = event.sampled ?? event.tokens.length
  journal.sampled += sampled
  lease.tokens(sampled)
}

/** An engine that tells its tokens at the end tells those of its own part only: whoever began told none. */
async function withAllTokens(
  event: EngineEvent,
  { text }: Journal,
  { tokensAtEnd, tokenize }: EngineInstance,
): Promise<EngineEvent> {
  if (!tokensAtEnd || event.type !== 'token' || event.tokens.length === 0) return event
  return { ...event, tokens: await tokenize(text + event.text, { addSpecial: false }) }
}

/**
 * The request that is left to do: exact in tokens, except beside images, whose tokens only the engine knows, and after
 * an engine that tells no tokens while it answers.
 */
async function continuation(
  completion: CompletionRequest,
  journal: Journal,
  instance: EngineInstance,
): Promise<CompletionRequest> {
  const { tokens, text, asText } = journal
  if (tokens.length === 0 && text === '') return completion
  const { maxTokens, format, formatPrefix = '' } = completion
  const said = asText ? await instance.tokenize(text, { addSpecial: false }) : tokens
  journal.inPrompt = said.length
  journal.before = asText ? said.length : journal.sampled
  return {
    ...completion,
    prompt: await continuedPrompt(completion, journal, said, instance),
    maxTokens: maxTokens - journal.before,
    ...(format !== undefined && { formatPrefix: formatPrefix + text }),
  }
}

async function continuedPrompt(
  { prompt, images, sampling }: CompletionRequest,
  { text, asText }: Journal,
  said: readonly number[],
  instance: EngineInstance,
): Promise<string | number[]> {
  if (typeof prompt === 'string' && (images || asText)) return prompt + text
  const whole = [...(await tokensOf(prompt, instance)), ...said]
  // An answer that had outgrown its context went on without the middle, and so it does here.
  if (whole.length < instance.contextLength) return whole
  return dropMiddle(whole, sampling.num_keep, instance.contextLength)
}

async function tokensOf(prompt: string | number[], instance: EngineInstance): Promise<number[]> {
  return typeof prompt === 'string' ? instance.tokenize(prompt, { addSpecial: true }) : prompt
}

/** The end as the client is to see it: of the whole answer, by the clock on the wall. */
function merged(event: EngineDoneEvent, journal: Journal, nowMs: number): EngineDoneEvent {
  if (!journal.moved) return event
  const { promptTokens, cachedTokens, outputTokens } = event.usage
  const { before, inPrompt } = journal
  const ownPromptTokens = Math.max(0, promptTokens - inPrompt)
  return {
    ...event,
    usage: {
      promptTokens: ownPromptTokens,
      cachedTokens: Math.min(cachedTokens, ownPromptTokens),
      outputTokens: before + outputTokens,
      ...times(journal, nowMs),
    },
  }
}

/** The instance died between the last token that was wanted and its own word of it. */
function finished(journal: Journal, nowMs: number): EngineDoneEvent {
  const usage: Usage = {
    promptTokens: 0,
    cachedTokens: 0,
    outputTokens: journal.before,
    ...times(journal, nowMs),
  }
  return { type: 'done', reason: 'length', usage }
}

function times({ startedAtMs, firstTokenAtMs }: Journal, nowMs: number) {
  const firstAtMs = firstTokenAtMs ?? nowMs
  return { promptMs: firstAtMs - startedAtMs, outputMs: nowMs - firstAtMs }
}
