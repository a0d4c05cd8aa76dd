import {
  createDispatcher,
  createPredictor,
  createPrefixIndex,
  type DispatchInstance,
  type DispatchRequest,
  filterCandidates,
  type PolicyName,
  type PrefixBlocks,
  policies,
} from '../routing/index.ts'
import type { ModelledInstance } from './engine/index.ts'
import { createRandom } from './random.ts'

/** Where a request goes, and what was foretold of it. */
export interface Choice {
  instanceId: number
  predicted?: { ttftMs: number; finishMs: number; cachedTokens: number; outputTokens: number }
  /** The request runs there now. */
  commit(nowMs: number): void
}

export interface Ended {
  promptTokens: number
  cachedTokens: number
  outputTokens: number
  promptMs: number
  outputMs: number
}

/** What sends requests to modelled instances: Drover's routing, or something to hold it against. */
export interface SimulatedRouter {
  add(instance: DispatchInstance, modelled: ModelledInstance, nowMs: number): void
  remove(instanceId: number): void
  /** How long its answer will probably be, as a request is told when it comes. */
  outputTokens(request: DispatchRequest): number
  /** The instance it would take, which may have no slot free; undefined where it would take none. */
  choose(request: DispatchRequest, nowMs: number): Choice | undefined
  firstToken?(requestId: number, nowMs: number): void
  tokens?(requestId: number, count: number): void
  /** `usage` is absent where the request failed. */
  ended(requestId: number, nowMs: number, usage?: Ended, blocks?: PrefixBlocks): void
}

/** What Drover gives the index by default, in bytes. */
const prefixBudgetBytes = 256 * 2 ** 20

/** Drover's own routing, as the server runs it, with one policy; `blockTokens` of the trace's blocks, if it has any. */
export function droverRouter(policy: PolicyName, seed: number, blockTokens: number): SimulatedRouter {
  const prefix = createPrefixIndex({ budgetBytes: prefixBudgetBytes, maxAgeMs: Number.POSITIVE_INFINITY })
  const predictor = createPredictor()
  const dispatcher = createDispatcher({
    policies,
    defaultPolicy: policy,
    filter: filterCandidates,
    prefix,
    blockTokens: blockTokens || 16,
    predictor,
    random: createRandom(seed),
  })
  return {
    add: (instance, _modelled, nowMs) => dispatcher.add(instance, nowMs),
    remove: (instanceId) => dispatcher.remove(instanceId),
    outputTokens: ({ shape }) => predictor.outputTokens(shape),
    choose: (request, nowMs) => {
      const decision = dispatcher.decide(request, { nowMs })
      const instanceId = decision.ranked[0]?.candidate.id
      if (instanceId === undefined) return undefined
      return {
        instanceId,
        ...(decision.predicted && { predicted: decision.predicted }),
        commit: (atMs) => dispatcher.started(request, instanceId, decision, atMs),
      }
    },
    firstToken: (requestId, nowMs) => dispatcher.firstToken(requestId, nowMs),
    tokens: (requestId, count) => dispatcher.tokens(requestId, count),
    ended: (requestId, nowMs, usage, blocks) =>
      dispatcher.ended(
        requestId,
        usage ? { outcome: 'answered', usage, ...(blocks && { blocks }) } : { outcome: 'failed' },
        nowMs,
      ),
  }
}

interface Known {
  info: DispatchInstance
  modelled: ModelledInstance
  /** Hashes of the prompts that run there or wait for it. */
  coming: Map<number, readonly number[]>
}

/** No instance takes more than so many times the mean number of requests (KubeAI's bounded load). */
const loadBound = 2
/** A match below this part of the prompt is none. */
const leastMatch = 0.1

/**
 * A router that sees into every cache, and knows besides which prompts are on their way into one: of the instances
 * whose requests are within `loadBound` of the mean it takes the longest match, the least requests among equals.
 * Without the bound every prompt of a trace whose prompts all begin alike would go to one instance.
 */
export function omniscientRouter(bound = loadBound, least = leastMatch): SimulatedRouter {
  const instances = new Map<number, Known>()
  const placeOf = new Map<number, number>()
  return {
    add: (info, modelled) => {
      instances.set(info.id, { info, modelled, coming: new Map() })
    },
    remove: (instanceId) => {
      instances.delete(instanceId)
    },
    outputTokens: () => 1,
    choose: (request) => {
      const hashes = request.blocks?.hashes ?? []
      const able = [...instances.values()].filter(
        ({ info }) => info.key === request.key && (request.contextTokens ?? 0) <= info.kvTokens,
      )
      const running = able.reduce((sum, { coming }) => sum + coming.size, 0)
      const most = (bound * (running + 1)) / Math.max(1, able.length)
      let best: { known: Known; blocks: number } | undefined
      for (const known of able) {
        if (known.coming.size > most) continue
        const found = longestMatch(known, hashes)
        const blocks = found < least * hashes.length ? 0 : found
        const fewer = known.coming.size < (best?.known.coming.size ?? 0)
        if (!best || blocks > best.blocks || (blocks === best.blocks && fewer)) best = { known, blocks }
      }
      if (!best) return undefined
      const { known } = best
      return {
        instanceId: known.info.id,
        commit: () => {
          known.coming.set(request.id, hashes)
          placeOf.set(request.id, known.info.id)
        },
      }
    },
    ended: (requestId) => {
      instances.get(placeOf.get(requestId) ?? -1)?.coming.delete(requestId)
      placeOf.delete(requestId)
    },
  }
}

function longestMatch({ modelled, coming }: Known, hashes: readonly number[]): number {
  let blocks = modelled.cachedBlocks(hashes)
  for (const other of coming.values()) blocks = Math.max(blocks, sharedBlocks(hashes, other))
  return blocks
}

/** Leading blocks that two chains share: as hashes are chained, a bisection finds them. */
function sharedBlocks(a: readonly number[], b: readonly number[]): number {
  let low = 0
  let high = Math.min(a.length, b.length)
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (a[middle - 1] === b[middle - 1]) low = middle
    else high = middle - 1
  }
  return low
}
