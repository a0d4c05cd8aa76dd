import type { Clock } from '../../core/index.ts'
import { asDroverError, DroverError, type ErrorCode } from '../../inference/index.ts'

export type EmbedInput = string | number[]

export interface EmbedAnswer {
  /** One vector an input, in their order. */
  embeddings: Float32Array[]
  promptTokens: number
}

/** What embeds; an `EngineInstance` is one. */
export interface EmbedTarget {
  embed(inputs: readonly EmbedInput[], signal: AbortSignal): Promise<EmbedAnswer>
  tokenize(text: string, options: { addSpecial: boolean }): Promise<number[]>
}

export interface EmbedBatcherOptions {
  /** How long a call waits at most for others to come along, where the instance is busy; 0 sends each on its own. */
  windowMs: number
  /** Inputs that go to the engine in one call at most; a call that has as many by itself waits for nobody. */
  maxBatchSize: number
  clock: Clock
}

/**
 * Calls for the same instance within a few milliseconds become one call to its engine. One that finds it idle goes at
 * once: only where there is a crowd does anybody wait.
 */
export interface EmbedBatcher {
  /**
   * As `target.embed`, but for what the wait adds. A call that aborts, or an input that is refused, is nobody else's
   * concern: when a shared call fails, each caller is tried again alone, unless the engine itself is gone.
   */
  embed(target: EmbedTarget, inputs: readonly EmbedInput[], signal: AbortSignal): Promise<EmbedAnswer>
}

/** One `embed` that waits for its share of a batch. */
interface Call {
  inputs: readonly EmbedInput[]
  signal: AbortSignal
  resolve(answer: EmbedAnswer): void
  reject(reason: unknown): void
}

interface Gathering {
  calls: Set<Call>
  size: number
  cancelTimer: () => void
}

/** Trouble of the engine, not of an input: trying the callers one by one would meet it again. */
const engineTroubles = new Set<ErrorCode>([
  'engine_crashed',
  'engine_unavailable',
  'shutting_down',
  'cancelled',
])

export function createEmbedBatcher({ windowMs, maxBatchSize, clock }: EmbedBatcherOptions): EmbedBatcher {
  const gatherings = new Map<EmbedTarget, Gathering>()
  /** Calls that each engine is at. */
  const running = new Map<EmbedTarget, number>()

  function flush(target: EmbedTarget): void {
    const gathering = gatherings.get(target)
    gatherings.delete(target)
    gathering?.cancelTimer()
    if (gathering && gathering.calls.size > 0) void run(target, [...gathering.calls])
  }

  async function run(target: EmbedTarget, calls: readonly Call[]): Promise<void> {
    running.set(target, (running.get(target) ?? 0) + 1)
    await runTogether(target, calls)
    const others = (running.get(target) ?? 0) - 1
    if (others > 0) return void running.set(target, others)
    running.delete(target)
    flush(target)
  }

  function gather(target: EmbedTarget, call: Call): Gathering {
    const known = gatherings.get(target)
    if (known && known.size + call.inputs.length > maxBatchSize) flush(target)
    let gathering = gatherings.get(target)
    if (!gathering) {
      gathering = { calls: new Set(), size: 0, cancelTimer: clock.after(windowMs, () => flush(target)) }
      gatherings.set(target, gathering)
    }
    gathering.calls.add(call)
    gathering.size += call.inputs.length
    if (gathering.size >= maxBatchSize || !running.has(target)) flush(target)
    return gathering
  }

  return {
    embed(target, inputs, signal) {
      if (windowMs <= 0 || inputs.length === 0 || inputs.length >= maxBatchSize) {
        return target.embed(inputs, signal)
      }
      return new Promise((resolve, reject) => {
        signal.throwIfAborted()
        const settle = (act: () => void) => {
          signal.removeEventListener('abort', onAbort)
          act()
        }
        const call: Call = {
          inputs,
          signal,
          resolve: (answer) => settle(() => resolve(answer)),
          reject: (reason) => settle(() => reject(reason)),
        }
        const onAbort = () => {
          if (gathering.calls.delete(call)) gathering.size -= inputs.length
          call.reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort)
        const gathering = gather(target, call)
      })
    },
  }
}

/** Sends the inputs of several calls as one, and hands each its own. Settles every call; never rejects. */
async function runTogether(target: EmbedTarget, calls: readonly Call[]): Promise<void> {
  const [only] = calls
  if (only && calls.length === 1) return runAlone(target, only)
  const inputs = calls.flatMap((call) => call.inputs)
  const everyoneLeft = new AbortController()
  const stopWatching = abortWithLast(calls, everyoneLeft)
  try {
    // Engines count a call as a whole; the callers' parts are counted meanwhile.
    const [answer, counts] = await Promise.all([
      target.embed(inputs, everyoneLeft.signal),
      Promise.all(inputs.map((input) => countTokens(target, input))),
    ])
    checkCount(answer, inputs)
    const tokens = shareOut(answer.promptTokens, counts)
    let at = 0
    for (const call of calls) {
      const end = at + call.inputs.length
      const promptTokens = tokens.slice(at, end).reduce((sum, count) => sum + count, 0)
      call.resolve({ embeddings: answer.embeddings.slice(at, end), promptTokens })
      at = end
    }
  } catch (thrown) {
    if (engineTroubles.has(asDroverError(thrown).code)) for (const call of calls) call.reject(thrown)
    else await Promise.all(calls.map((call) => runAlone(target, call)))
  } finally {
    stopWatching()
  }
}

async function runAlone(target: EmbedTarget, call: Call): Promise<void> {
  if (call.signal.aborted) return
  try {
    call.resolve(await target.embed(call.inputs, call.signal))
  } catch (thrown) {
    call.reject(thrown)
  }
}

/** Aborts the shared call when nobody waits for it any more. The returned function ends the watch. */
function abortWithLast(calls: readonly Call[], everyoneLeft: AbortController): () => void {
  let waiting = calls.length
  const onAbort = () => {
    waiting--
    if (waiting === 0) everyoneLeft.abort(new DroverError('cancelled', 'request canceled'))
  }
  for (const { signal } of calls) signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    for (const { signal } of calls) signal.removeEventListener('abort', onAbort)
  }
}

async function countTokens(target: EmbedTarget, input: EmbedInput): Promise<number> {
  return typeof input === 'string'
    ? (await target.tokenize(input, { addSpecial: true })).length
    : input.length
}

/** Whole parts of a total by weight, which add up to it: the weights themselves where their sum is the total. */
export function shareOut(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((before, weight) => before + weight, 0)
  let weightSoFar = 0
  let given = 0
  return weights.map((weight, index) => {
    weightSoFar += sum > 0 ? weight : 1
    const upToHere = Math.round((total * weightSoFar) / (sum > 0 ? sum : weights.length))
    const part = index === weights.length - 1 ? total - given : upToHere - given
    given += part
    return part
  })
}

/**
 * Embeds many inputs on several targets at once. Each takes the next `chunkSize` inputs when it has done its last, so a
 * fast one does more; the vectors come back in the inputs' order. What a target could not do because its engine died,
 * another does. Throws the first error of another kind, or the last target's.
 */
export async function embedOver(
  targets: readonly EmbedTarget[],
  inputs: readonly EmbedInput[],
  signal: AbortSignal,
  { chunkSize }: { chunkSize: number },
): Promise<EmbedAnswer> {
  const chunkCount = Math.ceil(inputs.length / chunkSize)
  const starts = Array.from({ length: chunkCount }, (_, index) => index * chunkSize)
  const embeddings = new Array<Float32Array>(inputs.length)
  let promptTokens = 0
  let chunksLeft = chunkCount
  let lastDeath: unknown = new DroverError('engine_unavailable', 'there is no instance to embed on')
  const broken = new AbortController()
  const either = AbortSignal.any([signal, broken.signal])

  /** Works until no chunk is left; false when the engine died over one, which is then another's. */
  async function work(target: EmbedTarget): Promise<boolean> {
    for (let start = starts.shift(); start !== undefined; start = starts.shift()) {
      try {
        const chunk = inputs.slice(start, start + chunkSize)
        const answer = await target.embed(chunk, either)
        checkCount(answer, chunk)
        for (const [index, vector] of answer.embeddings.entries()) embeddings[start + index] = vector
        promptTokens += answer.promptTokens
        chunksLeft--
      } catch (thrown) {
        if (asDroverError(thrown).code === 'engine_crashed') {
          lastDeath = thrown
          starts.unshift(start)
          return false
        }
        broken.abort(thrown)
        return true
      }
    }
    return true
  }

  // A chunk that comes back finds its helpers gone home already: who is alive begins again.
  let alive = [...targets]
  while (chunksLeft > 0) {
    if (alive.length === 0) throw lastDeath
    const survived = await Promise.all(alive.map(work))
    broken.signal.throwIfAborted()
    alive = alive.filter((_, index) => survived[index])
  }
  return { embeddings, promptTokens }
}

function checkCount({ embeddings }: EmbedAnswer, inputs: readonly EmbedInput[]): void {
  if (embeddings.length === inputs.length) return
  const words = `${inputs.length} inputs were sent to the engine, and ${embeddings.length} vectors came back`
  throw new DroverError('engine_failed', words)
}
