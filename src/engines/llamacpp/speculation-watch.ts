import type { Usage } from '../../inference/index.ts'
import type { Speculation } from '../contract.ts'
import type { SlotQueue } from '../slots.ts'
import { type ServerClient, ServerError } from './client.ts'
import { createSpeculationBook } from './speculation.ts'

/** Steps without a guess are measured after the first answer that ran alone, and after so many more. */
const measureEvery = 8
const stepsAtATime = 6
/** Whoever comes meanwhile waits for so many of them at most. */
const stepsDespiteOthers = 3
/** So many measurements in a row have to find that guessing loses. */
const losesToBelieve = 2
/** Of a step, the large model's own, whatever the log says. */
const leastOwnPart = 0.05

/** One answer, from its start to its end. */
export interface WatchedRun {
  /** As it is sent to the server. */
  sent(body: Readonly<Record<string, unknown>>): void
  tokens(tokens: readonly number[]): void
  answered(usage: Usage): void
  /** Its slot is free again. */
  ended(): void
}

/** What guessing ahead brings an instance. */
export interface SpeculationWatch {
  begun(): WatchedRun
  figures(): Speculation
  /** Resolves with the reason when it is found to lose. */
  readonly loses: Promise<string>
}

/**
 * Compares the rate of answers that run alone with that of steps without a guess: the server guesses nothing where one
 * token is left to say, so a request for two, right behind an answer that it still has in its cache, is such a step. The
 * draft model follows even then, and its part, as the server's log tells it, is taken off.
 */
export function createSpeculationWatch(options: {
  client: Pick<ServerClient, 'json'>
  queue: Pick<SlotQueue, 'load' | 'tryAcquire' | 'release'>
  modelName: string
  /** What the server has printed lately. */
  log(): string
  onLoses(reason: string, figures: Speculation): void
}): SpeculationWatch {
  const { client, queue } = options
  const book = createSpeculationBook()
  const { promise: loses, resolve } = Promise.withResolvers<string>()
  const running = new Set<{ alone: boolean }>()
  let measured = 0
  let lost = 0

  async function measure(body: Readonly<Record<string, unknown>>, said: readonly number[]): Promise<void> {
    if (queue.load().running > 0 || queue.load().waiting > 0 || !queue.tryAcquire()) return
    try {
      const draftMs = draftMsPerToken(options.log())
      for (let step = 0; step < stepsAtATime; step++) {
        const ms = await plainStep(client, body, said)
        // What another slot computes meanwhile slows the step; who waits for this one does not.
        if (queue.load().running > 1) return
        if (ms !== undefined) book.stepped({ tokens: 1, ms: Math.max(ms - draftMs, ms * leastOwnPart) })
        if (queue.load().waiting > 0 && step + 1 >= stepsDespiteOthers) break
      }
    } catch (error) {
      // A server that refuses, or has just ended, tells nothing about guesses.
      if (!(error instanceof ServerError || (error as { code?: string }).code !== undefined)) throw error
    } finally {
      queue.release()
    }
    judge()
  }

  function judge(): void {
    const figures = book.figures()
    const { verdict, decodeTokensPerS = 0, plainTokensPerS = 0, draftTokens, acceptedTokens } = figures
    if (verdict === 'unknown') return
    lost = verdict === 'loses' ? lost + 1 : 0
    if (lost !== losesToBelieve) return
    const reason =
      `guessing ahead loses: ${options.modelName} says ${decodeTokensPerS.toFixed(1)} tokens/s with its draft model, ` +
      `${plainTokensPerS.toFixed(1)} without (${acceptedTokens} of ${draftTokens} guesses were taken)`
    options.onLoses(reason, figures)
    resolve(reason)
  }

  return {
    begun() {
      const run = { alone: running.size === 0 }
      for (const other of running) other.alone = false
      running.add(run)
      const said: number[] = []
      let body: Readonly<Record<string, unknown>> | undefined
      let whole = false
      return {
        sent: (told) => {
          body = told
        },
        tokens: (tokens) => {
          for (const token of tokens) said.push(token)
        },
        answered: (usage) => {
          whole = true
          book.answered(usage, run.alone)
        },
        ended: () => {
          running.delete(run)
          if (whole && run.alone && body && measured++ % measureEvery === 0) void measure(body, said)
        },
      }
    },
    figures: book.figures,
    loses,
  }
}

/** Of the server's statistics, which it prints after each answer; 0 where it prints none. */
export function draftMsPerToken(log: string): number {
  const line = /#gen tokens = +(\d+),.* dur\(b,g,a\) = +[\d.]+, +([\d.]+),/g
  const [, tokens, ms] = [...log.matchAll(line)].at(-1) ?? []
  return Number(tokens) > 0 ? Number(ms) / Number(tokens) : 0
}

/** Milliseconds of one step without a guess, at the end of what the slot holds; undefined where it was none. */
async function plainStep(
  client: Pick<ServerClient, 'json'>,
  body: Readonly<Record<string, unknown>>,
  said: readonly number[],
): Promise<number | undefined> {
  const { prompt, id_slot } = body
  // Pictures would have to be sent again.
  if (typeof prompt !== 'string' && !Array.isArray(prompt)) return undefined
  const { timings } = (await client.json('POST', '/completion', {
    prompt: [...(typeof prompt === 'string' ? [prompt] : prompt), ...said],
    ...(id_slot !== undefined && { id_slot }),
    n_predict: 2,
    cache_prompt: true,
    ignore_eos: true,
    temperature: 0,
    response_fields: ['timings'],
  })) as { timings?: { predicted_n?: number; predicted_ms?: number; draft_n?: number } }
  const { predicted_n, predicted_ms, draft_n = 0 } = timings ?? {}
  return predicted_n === 2 && draft_n === 0 ? predicted_ms : undefined
}
