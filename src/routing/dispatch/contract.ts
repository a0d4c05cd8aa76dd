import type { Usage } from '../../inference/index.ts'
import type { InstanceTraits, PolicyName, Ranked, RouteRequest } from '../policy/contract.ts'
import type { RequestShape } from '../prediction/contract.ts'
import type { PrefixBlocks } from '../prefix/contract.ts'

/** An instance that requests may be sent to. */
export interface DispatchInstance extends InstanceTraits {
  /** What it serves: requests for the same key may go there. */
  key: string
  /** Alike ones run alike: engine, kind of device and number of devices. */
  kind: string
  modelBytes?: number
  memoryBytesPerS?: number
  flopsPerS?: number
  /** See `EngineInstance.cachesBySlot`. */
  cachesBySlot?: true
}

/** A request as the dispatcher sees it. */
export interface DispatchRequest extends RouteRequest {
  id: number
  key: string
  shape: RequestShape
  /** Absent where nothing is known of its prompt. */
  blocks?: PrefixBlocks
  /** Absent takes the configured policy. */
  policy?: PolicyName
}

export interface DecideOptions {
  nowMs: number
  /** Whether this instance may be taken at all; absent: every one of the key. */
  accepts?: (instanceId: number) => boolean
  /** Leading tokens of the prompt that this instance could take up from a saved cache; absent: none. */
  savedTokens?: (instanceId: number) => number
  /** Ill instances are candidates too: there are no others. */
  evenIll?: boolean
}

/** Where a request should go, and why. */
export interface Decision {
  policy: PolicyName
  unit: 'ms' | 'points'
  /** Best first; empty where no candidate was left. */
  ranked: readonly Ranked[]
  /** Instances that were no candidates, with the constraint that says so. `ill`: it may pass. */
  excluded: readonly { id: number; reason: string; ill?: true }[]
  /** Of the best one. */
  predicted?: { ttftMs: number; finishMs: number; cachedTokens: number; outputTokens: number }
}

/** How a request on an instance ended. */
export interface RunEnd {
  /** `withdrawn`: the client left, or the request was wrong; it says nothing about the instance. */
  outcome: 'answered' | 'failed' | 'withdrawn'
  /** As the engine counted them. */
  usage?: Usage
  /** Prompt and answer together, as the instance's cache holds them now; absent where nobody knows. */
  blocks?: PrefixBlocks
}

/** What those who wait for a model can reckon with. */
export interface Service {
  slots: number
  /** Milliseconds until each running request will probably end. */
  runningMs: number[]
  /** How long a request takes in its slot. */
  meanServiceMs: number
}

/**
 * Decides where requests go, and keeps the books that decisions rest on: what each instance runs, holds in its cache,
 * and how fast it is. Synchronous, no I/O, no clock of its own: the server and the simulator drive the same code.
 */
export interface Dispatcher {
  add(instance: DispatchInstance, nowMs: number): void
  /** How long it took to load. */
  loaded(instanceId: number, loadMs: number): void
  remove(instanceId: number): void
  /** Changes nothing but the count of decisions. */
  decide(request: DispatchRequest, options: DecideOptions): Decision
  /** The request runs there now, by this decision. */
  started(request: DispatchRequest, instanceId: number, decision: Decision, nowMs: number): void
  /** Of all instances of a key together; undefined where none runs. Costs as much as there are running requests. */
  serviceOf(key: string, nowMs: number): Service | undefined
  firstToken(requestId: number, nowMs: number): void
  tokens(requestId: number, count: number): void
  /**
   * The engine has evicted all but the first `keptTokens` of a prompt that it has run at some time. Nothing happens for
   * an instance that is gone.
   */
  cacheShrunk(instanceId: number, blocks: PrefixBlocks, keptTokens: number, nowMs: number): void
  /** Nothing happens for a request that does not run: its instance may have ended first. */
  ended(requestId: number, end: RunEnd, nowMs: number): void
}
