import { type Block, type BlockCache, createBlockCache } from './cache.ts'
import type { EngineModel, ModelledEvent, ModelledInstance, ModelledRequest } from './contract.ts'
import { endMs, type Stretch, spanMs, stepsOver } from './stretch.ts'

export interface ModelledOptions {
  /** Tell of every token. Every step is then an event of its own; without it quiet steps are skipped in one jump. */
  eachToken?: boolean
}

/** A request in a slot. */
interface Sequence {
  request: ModelledRequest
  /** Prompt tokens in the KV cache. */
  promptDone: number
  /** Tokens of the answer that are out. */
  produced: number
  outputTokens: number
  /** Prompt tokens that the present steps compute, each. */
  chunk: number
  /** Its computed blocks: the first ones of its chain. */
  blocks: Block[]
  /** Blocks set aside for it that have no hash yet, or never get one. */
  reserved: number
}

interface Planned extends Stretch {
  /** Sequences that get their next token in each step. */
  decoding: Sequence[]
  prefilling: Sequence[]
}

/**
 * A modelled instance. As vLLM's scheduler does it, each step gives up to `chunkTokens` prompt tokens to those who
 * prefill, first come first served, and one token to each who decodes; who waits is let in while a slot, the chunk
 * and the KV cache have room, and looks for its prefix in the cache at that moment.
 *
 * A step takes `max(decodeBaseMs, prompt tokens / prefillTokensPerS) + decodePerRequestMs * batch + decodePerKvTokenMs
 * * kvTokens`: the weights are read once, at the same time as the prompt is computed. The prompt's last step yields
 * the first token. KV blocks of prompt and whole answer are set aside at the start, so nothing is ever preempted.
 *
 * @throws RangeError from `submit` for a request that the empty cache could not hold, or an id that is here already.
 */
export function createModelledInstance(model: EngineModel, options: ModelledOptions = {}): ModelledInstance {
  const { blockTokens, chunkTokens } = model
  const cache = createBlockCache(Math.floor(model.kvTokens / blockTokens))
  const waiting: ModelledRequest[] = []
  const running: Sequence[] = []
  let planned: Planned | undefined
  /** Where nothing is planned: when the next step may begin. */
  let boundaryMs = 0
  let busyMs = 0
  let events: ModelledEvent[] = []

  const idle = () => running.length === 0 && waiting.length === 0

  function plan(): void {
    const decoding: Sequence[] = []
    const prefilling: Sequence[] = []
    let budget = chunkTokens
    let kvTokens = 0
    const giveChunk = (sequence: Sequence) => {
      sequence.chunk = Math.min(budget, sequence.request.promptTokens - sequence.promptDone)
      budget -= sequence.chunk
      if (sequence.chunk > 0) prefilling.push(sequence)
    }
    for (const sequence of running) {
      if (sequence.promptDone < sequence.request.promptTokens) {
        giveChunk(sequence)
      } else {
        decoding.push(sequence)
        kvTokens += sequence.request.promptTokens + sequence.produced
      }
    }
    while (budget > 0 && running.length < model.slots) {
      const next = waiting[0]
      const sequence = next && admit(next, cache, blockTokens)
      if (!next || !sequence) break
      waiting.shift()
      running.push(sequence)
      events.push({ type: 'started', id: next.id, atMs: boundaryMs, cachedTokens: sequence.promptDone })
      giveChunk(sequence)
    }
    if (decoding.length === 0 && prefilling.length === 0) return
    const prefillMs = ((chunkTokens - budget) / model.prefillTokensPerS) * 1000
    planned = {
      startMs: boundaryMs,
      firstMs:
        Math.max(model.decodeBaseMs, prefillMs) +
        model.decodePerRequestMs * decoding.length +
        model.decodePerKvTokenMs * kvTokens,
      growthMs: model.decodePerKvTokenMs * decoding.length,
      steps: options.eachToken ? 1 : quietSteps(decoding, prefilling, budget),
      decoding,
      prefilling,
    }
  }

  /** What the planned steps have done, at their end. */
  function settle(): void {
    if (!planned) return
    const { decoding, prefilling, steps } = planned
    boundaryMs = endMs(planned)
    busyMs += boundaryMs - planned.startMs
    planned = undefined
    for (const sequence of decoding) {
      sequence.produced += steps
      if (options.eachToken) {
        events.push({ type: 'tokens', id: sequence.request.id, atMs: boundaryMs, count: steps })
      }
      finishIfDone(sequence)
    }
    for (const sequence of prefilling) {
      sequence.promptDone += sequence.chunk * steps
      commitBlocks(sequence, cache, Math.floor(sequence.promptDone / blockTokens))
      if (options.eachToken) {
        const { id } = sequence.request
        events.push({ type: 'prefilled', id, atMs: boundaryMs, promptTokens: sequence.promptDone })
      }
      if (sequence.promptDone < sequence.request.promptTokens) continue
      sequence.produced = 1
      events.push({ type: 'firstToken', id: sequence.request.id, atMs: boundaryMs })
      finishIfDone(sequence)
    }
  }

  function finishIfDone(sequence: Sequence): void {
    if (sequence.produced < sequence.outputTokens) return
    leave(sequence)
    events.push({ type: 'done', id: sequence.request.id, atMs: boundaryMs })
  }

  function leave(sequence: Sequence): void {
    commitBlocks(sequence, cache, Math.floor((sequence.promptDone + sequence.produced) / blockTokens))
    cache.release(sequence.blocks, sequence.reserved)
    running.splice(running.indexOf(sequence), 1)
  }

  /** Everything that ends up to `nowMs`; what begins exactly then has to wait for `advance`, so that it begins together. */
  function catchUp(nowMs: number): void {
    while (true) {
      if (planned) {
        if (endMs(planned) > nowMs) return
        settle()
      } else {
        if (idle() || boundaryMs >= nowMs) return
        plan()
        if (!planned) return
      }
    }
  }

  /** The step that has begun is finished; what comes after it is planned anew. */
  function interrupt(nowMs: number): void {
    if (!planned) return
    const over = stepsOver(planned, nowMs)
    const between = over > 0 && planned.startMs + spanMs(planned, over) === nowMs
    planned.steps = Math.min(planned.steps, between ? over : over + 1)
  }

  return {
    submit: (request, nowMs) => {
      const needed = Math.ceil((request.promptTokens + outputOf(request)) / blockTokens)
      if (needed > cache.capacity) {
        throw new RangeError(
          `a request of ${request.promptTokens} + ${request.outputTokens} tokens needs ${needed} blocks of KV ` +
            `cache, the instance has ${cache.capacity}: give it more kvTokens, or drop the request`,
        )
      }
      catchUp(nowMs)
      if (idle()) boundaryMs = Math.max(boundaryMs, nowMs)
      waiting.push(request.promptTokens > 0 ? request : { ...request, promptTokens: 1 })
      if (waiting.length === 1 && running.length < model.slots) interrupt(nowMs)
    },
    cancel: (id, nowMs) => {
      catchUp(nowMs)
      const queued = waiting.findIndex((request) => request.id === id)
      if (queued >= 0) waiting.splice(queued, 1)
      // Who stood behind one that needed much room may fit.
      if (queued === 0) interrupt(nowMs)
      const sequence = running.find(({ request }) => request.id === id)
      if (!sequence) return
      interrupt(nowMs)
      if (planned) {
        const over = stepsOver(planned, nowMs)
        if (planned.decoding.includes(sequence)) sequence.produced += over
        else if (planned.prefilling.includes(sequence)) sequence.promptDone += sequence.chunk * over
        planned.decoding = planned.decoding.filter((other) => other !== sequence)
        planned.prefilling = planned.prefilling.filter((other) => other !== sequence)
      }
      leave(sequence)
    },
    nextMs: () => {
      if (events.length > 0) return (events[0] as ModelledEvent).atMs
      if (planned) return endMs(planned)
      return idle() ? Number.POSITIVE_INFINITY : boundaryMs
    },
    advance: (nowMs) => {
      catchUp(nowMs)
      if (!planned && !idle() && boundaryMs <= nowMs) plan()
      const happened = events
      events = []
      return happened
    },
    eachProduced: (nowMs, tell) => {
      const over = planned ? stepsOver(planned, nowMs) : 0
      for (const sequence of running) {
        const decodes = sequence.promptDone >= sequence.request.promptTokens
        tell(sequence.request.id, sequence.produced + (decodes ? over : 0))
      }
    },
    restore: (hashes) => {
      const known = cache.leading(hashes, hashes.length)
      const fresh = Math.min(hashes.length, cache.capacity - cache.inUse()) - known
      const blocks = cache.acquire(hashes, known, Math.max(0, fresh))
      if (!blocks) return known
      while (blocks.length < known + fresh) blocks.push(cache.commit(hashes[blocks.length] as number))
      cache.release(blocks, 0)
      return blocks.length
    },
    forget: (hashes) => cache.forget(hashes),
    running: () => running.length,
    waiting: () => waiting.length,
    kvUse: () => {
      const inUse = cache.inUse()
      const reserved = running.reduce((sum, sequence) => sum + sequence.reserved, 0)
      return { tokens: (cache.computed() + reserved) * blockTokens, activeTokens: inUse * blockTokens }
    },
    busyMs: () => busyMs,
    cachedBlocks: (hashes) => cache.leading(hashes, hashes.length),
  }
}

/** Steps of this kind until somebody's prompt or answer is complete; chunks stay the same while one takes them whole. */
function quietSteps(decoding: readonly Sequence[], prefilling: readonly Sequence[], budget: number): number {
  let steps = Number.POSITIVE_INFINITY
  for (const { outputTokens, produced } of decoding) steps = Math.min(steps, outputTokens - produced)
  const [first] = prefilling
  if (!first) return steps
  if (prefilling.length > 1 || budget > 0) return 1
  const left = first.request.promptTokens - first.promptDone
  return Math.max(1, Math.min(steps, Math.floor(left / first.chunk)))
}

/** A request takes its place and finds its prefix; undefined where the KV cache has no room for it now. */
function admit(request: ModelledRequest, cache: BlockCache, blockTokens: number): Sequence | undefined {
  const { hashes, promptTokens } = request
  const outputTokens = outputOf(request)
  // The last token of a prompt is always computed: its logits are wanted.
  const hits = cache.leading(hashes, Math.floor((promptTokens - 1) / blockTokens))
  const reserved = Math.ceil((promptTokens + outputTokens) / blockTokens) - hits
  const blocks = cache.acquire(hashes, hits, reserved)
  return (
    blocks && {
      request,
      promptDone: hits * blockTokens,
      produced: 0,
      outputTokens,
      chunk: 0,
      blocks,
      reserved,
    }
  )
}

function commitBlocks(sequence: Sequence, cache: BlockCache, complete: number): void {
  const { blocks, request } = sequence
  const known = Math.min(complete, request.hashes.length)
  while (blocks.length < known && sequence.reserved > 0) {
    blocks.push(cache.commit(request.hashes[blocks.length] as number))
    sequence.reserved--
  }
}

function outputOf({ outputTokens }: ModelledRequest): number {
  return Math.max(1, outputTokens)
}
