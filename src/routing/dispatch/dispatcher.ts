import type { Usage } from '../../inference/index.ts'
import type { HealthBook } from '../health/contract.ts'
import {
  type Candidate,
  type Policy,
  type PolicyName,
  predict,
  type Ranked,
  type RouteRequest,
} from '../policy/index.ts'
import type { Predictor } from '../prediction/contract.ts'
import type { PrefixIndex } from '../prefix/contract.ts'
import { type BacklogHeap, createBacklogHeap } from './backlog-heap.ts'
import {
  type BookedInstance,
  backlogTokens,
  beginRun,
  bookInstance,
  completePrefill,
  decodeStepMs,
  endRun,
  ownDecodeMs,
  type Run,
  remainingMs,
  workOf,
} from './books.ts'
import type {
  DecideOptions,
  Decision,
  Dispatcher,
  DispatchInstance,
  DispatchRequest,
  RunEnd,
  Service,
} from './contract.ts'

export interface DispatcherParts {
  policies: Readonly<Record<PolicyName, Policy>>
  defaultPolicy: PolicyName
  filter: (
    request: RouteRequest,
    candidates: readonly Candidate[],
  ) => { kept: readonly Candidate[]; excluded: readonly { id: number; reason: string }[] }
  prefix: PrefixIndex
  /** Of the blocks in which the index counts what instances can hold. */
  blockTokens: number
  predictor: Predictor
  health?: HealthBook
  /** From 0 up to and without 1. */
  random: () => number
}

/** Up to so many instances of a model all are looked at; of more, those that hold the prefix, the idlest and some at random. */
const lookAtAll = 24
const idlest = 3
const atRandom = 1
const holders = 4
/** Nodes of the heap that are looked at to find the idlest that may be taken. */
const mostHeapNodes = 64
/** Conversations whose last instance is remembered. */
const mostSessions = 10_000

/** An ill instance among ill ones: they are told apart by everything else. */
const illHealth = 0.05
const unhealthy = 'it is unhealthy: its circuit breaker is open, or its probes fail'

/** Instances that serve the same key. */
interface Group {
  booked: BookedInstance[]
  heap: BacklogHeap<BookedInstance>
}

export function createDispatcher(parts: DispatcherParts): Dispatcher {
  const { prefix, predictor, health } = parts
  const groups = new Map<string, Group>()
  const instances = new Map<number, BookedInstance>()
  const runs = new Map<number, Run>()
  const sessions = new Map<string, { instance: number; atMs: number }>()
  let decisions = 0

  function add(info: DispatchInstance, nowMs: number): void {
    remove(info.id)
    const booked = bookInstance(info, nowMs)
    const group = groups.get(info.key) ?? { booked: [], heap: createBacklogHeap() }
    groups.set(info.key, group)
    prefix.setCapacity(info.id, Math.ceil(info.kvTokens / parts.blockTokens))
    // Who comes late does not make up for what the others were given before.
    booked.chosen = Math.min(...group.booked.map(({ chosen }) => chosen), Number.MAX_SAFE_INTEGER)
    if (group.booked.length === 0) booked.chosen = 0
    group.booked.push(booked)
    group.heap.add(booked)
    instances.set(info.id, booked)
  }

  function loaded(instanceId: number, loadMs: number): void {
    const booked = instances.get(instanceId)
    if (booked) predictor.observeLoad(booked.of, loadMs)
  }

  function remove(instanceId: number): void {
    const booked = instances.get(instanceId)
    if (!booked) return
    for (const id of booked.runs.keys()) runs.delete(id)
    instances.delete(instanceId)
    prefix.forget(instanceId)
    predictor.forget(instanceId)
    health?.forget(instanceId)
    const group = groups.get(booked.info.key)
    if (!group) return
    group.heap.remove(booked)
    group.booked.splice(group.booked.indexOf(booked), 1)
    if (group.booked.length === 0) groups.delete(booked.info.key)
  }

  function decide(request: DispatchRequest, options: DecideOptions): Decision {
    const policy = parts.policies[request.policy ?? parts.defaultPolicy]
    const group = groups.get(request.key)
    const { candidates, excluded } = group
      ? candidatesOf(group, request, options)
      : { candidates: [], excluded: [] }
    const { kept, excluded: unfit } = parts.filter(request, candidates)
    const ranked = policy.rank(request, kept, { nowMs: options.nowMs, random: parts.random })
    const [best] = ranked
    return {
      policy: policy.name,
      unit: policy.unit,
      ranked,
      excluded: [...excluded, ...unfit],
      ...(best && { predicted: predictedOf(request, best) }),
    }
  }

  function candidatesOf(group: Group, request: DispatchRequest, options: DecideOptions) {
    const { nowMs, accepts, savedTokens } = options
    const excluded: { id: number; reason: string; ill?: true }[] = []
    const candidates: Candidate[] = []
    const cached = cachedBlocks(request, nowMs)
    const { looked, few } = nominees(group, cached, accepts)
    for (const booked of looked) {
      const { id } = booked.info
      if (few && accepts && !accepts(id)) {
        excluded.push({ id, reason: 'it serves other options, takes no new requests, or failed on this one' })
      } else if (!options.evenIll && health && !health.allows(id, nowMs)) {
        excluded.push({ id, reason: unhealthy, ill: true })
      } else {
        const candidate = candidateOf(booked, request, heldBlocks(booked, request, cached, nowMs), nowMs)
        candidates.push(savedTokens ? withSaved(candidate, request, savedTokens(id)) : candidate)
      }
    }
    return { candidates, excluded }
  }

  function cachedBlocks({ blocks }: DispatchRequest, nowMs: number): Map<number, number> {
    if (!blocks) return new Map()
    const matches = prefix.match(blocks, nowMs, holders)
    return new Map(matches.map((match) => [match.instance, match.blocks]))
  }

  function heldBlocks(
    { info, slotCaches }: BookedInstance,
    { blocks }: DispatchRequest,
    cached: ReadonlyMap<number, number>,
    nowMs: number,
  ): number {
    if (!blocks) return 0
    if (slotCaches) return slotCaches.found(blocks.hashes)
    // The longest holders are known; others may hold the system prompt.
    return cached.get(info.id) ?? prefix.heldBy(info.id, blocks, nowMs)
  }

  /** Whom to look at, so that a decision costs no more with a thousand instances than with a hundred. */
  function nominees(
    { booked, heap }: Group,
    cached: ReadonlyMap<number, number>,
    accepts: (id: number) => boolean = () => true,
  ): { looked: Iterable<BookedInstance>; few: boolean } {
    if (booked.length <= lookAtAll) return { looked: booked, few: true }
    const looked = new Set<BookedInstance>()
    const consider = (one: BookedInstance | undefined) => {
      if (one && accepts(one.info.id)) looked.add(one)
    }
    for (const id of cached.keys()) consider(instances.get(id))
    for (const one of heap.smallest(idlest, mostHeapNodes, ({ info }) => accepts(info.id))) looked.add(one)
    for (let count = 0; count < atRandom; count++) {
      consider(booked[Math.floor(parts.random() * booked.length)])
    }
    return { looked, few: false }
  }

  function candidateOf(
    booked: BookedInstance,
    request: DispatchRequest,
    blocks: number,
    nowMs: number,
  ): Candidate {
    const { info } = booked
    const rates = predictor.rates(booked.of)
    const session = request.session === undefined ? undefined : sessions.get(sessionKey(request))
    const work = workOf(booked, rates, predictor, nowMs)
    // One spread, and every other field by name: V8 copies a second one key by key, for each candidate.
    const candidate: Candidate = {
      ...info,
      running: work.running,
      prefilling: work.prefilling,
      prefillTokens: work.prefillTokens,
      activeTokens: work.activeTokens,
      slotWaitMs: work.slotWaitMs,
      loadingMs: work.loadingMs,
      lastChosen: work.lastChosen,
      chosen: work.chosen,
      rates,
      health: health ? health.scoreOf(info.id, nowMs) || illHealth : 1,
      // The last token is always computed: its probabilities are what the answer begins with.
      cachedTokens: Math.min(
        blocks * (request.blocks?.blockTokens ?? 0),
        Math.max(0, request.promptTokens - 1),
      ),
      networkMs: 0,
    }
    if (session?.instance === info.id) candidate.sessionAtMs = session.atMs
    return candidate
  }

  function started(request: DispatchRequest, instanceId: number, decision: Decision, nowMs: number): void {
    const booked = instances.get(instanceId)
    if (!booked) return
    const chosen = decision.ranked.find(({ candidate }) => candidate.id === instanceId)?.candidate
    const run: Run = {
      request,
      booked,
      predicted: decision.predicted ?? { ttftMs: 0, finishMs: 0, cachedTokens: 0, outputTokens: 0 },
      startedMs: nowMs,
      outputTokens: 0,
      computedTokens: Math.max(0, request.promptTokens - (chosen?.cachedTokens ?? 0)),
      shared: false,
      batchSum: 0,
      batchSamples: 0,
    }
    const attempt = health?.begin(instanceId, nowMs)
    if (attempt) run.attempt = attempt
    runs.set(request.id, run)
    beginRun(run, nowMs)
    booked.lastChosen = ++decisions
    booked.chosen++
    if (request.blocks) prefix.insert(instanceId, request.blocks, nowMs)
    booked.slotCaches?.take(request.id, request.blocks?.hashes ?? [], chosen?.restoreMs !== undefined)
    remember(request, instanceId, nowMs)
    reorder(booked, nowMs)
  }

  function remember(request: DispatchRequest, instance: number, atMs: number): void {
    if (request.session === undefined) return
    const key = sessionKey(request)
    sessions.delete(key)
    sessions.set(key, { instance, atMs })
    if (sessions.size <= mostSessions) return
    const [oldest] = sessions.keys()
    if (oldest !== undefined) sessions.delete(oldest)
  }

  function reorder(booked: BookedInstance, nowMs: number): void {
    const rates = predictor.rates(booked.of)
    const backlogMs = (backlogTokens(booked, rates, nowMs) / rates.prefillTokensPerS) * 1000
    const full = booked.runs.size >= booked.info.slots ? 1e9 : 0
    booked.heapKey = full + backlogMs + decodeStepMs(rates, booked.runs.size + 1)
    groups.get(booked.info.key)?.heap.moved(booked)
  }

  function serviceOf(key: string, nowMs: number): Service | undefined {
    const group = groups.get(key)
    if (!group) return undefined
    const runningMs: number[] = []
    let slots = 0
    let predictedMs = 0
    for (const booked of group.booked) {
      slots += booked.info.slots
      runningMs.push(...remainingMs(booked, predictor.rates(booked.of), predictor, nowMs))
      for (const { predicted } of booked.runs.values()) predictedMs += predicted.finishMs
    }
    return { slots, runningMs, meanServiceMs: runningMs.length === 0 ? 0 : predictedMs / runningMs.length }
  }

  function firstToken(requestId: number, nowMs: number): void {
    const run = runs.get(requestId)
    if (!run || run.firstTokenMs !== undefined) return
    run.firstTokenMs = nowMs
    sampleBatch(run)
    completePrefill(run, nowMs)
    reorder(run.booked, nowMs)
  }

  function tokens(requestId: number, count: number): void {
    const run = runs.get(requestId)
    if (!run) return
    run.outputTokens += count
    run.booked.activeTokens += count
  }

  function ended(requestId: number, end: RunEnd, nowMs: number): void {
    const run = runs.get(requestId)
    if (!run) return
    runs.delete(requestId)
    sampleBatch(run)
    endRun(run, nowMs)
    run.booked.slotCaches?.release(requestId, (end.blocks ?? run.request.blocks)?.hashes ?? [])
    if (run.attempt && end.outcome === 'withdrawn') health?.cancel(run.attempt)
    else if (run.attempt && end.outcome !== 'withdrawn') health?.end(run.attempt, end.outcome, nowMs)
    if (end.outcome === 'answered') learn(run, end, nowMs)
    reorder(run.booked, nowMs)
  }

  function learn(run: Run, { usage, blocks }: RunEnd, nowMs: number): void {
    const { request, booked, predicted } = run
    const { id } = booked.info
    if (usage) {
      predictor.observe({
        of: booked.of,
        shape: request.shape,
        ...prefillOf(run, usage),
        outputTokens: usage.outputTokens,
        decodeMs: ownDecodeMs(run, usage.outputMs, predictor.rates(booked.of), nowMs),
        batch: run.batchSamples === 0 ? 1 : run.batchSum / run.batchSamples,
      })
      correct(run, usage.cachedTokens, nowMs)
      predictor.record({
        model: request.key,
        instance: id,
        predicted,
        actual: {
          ttftMs: (run.firstTokenMs ?? nowMs) - run.startedMs,
          finishMs: nowMs - run.startedMs,
          outputTokens: usage.outputTokens,
          cachedTokens: usage.cachedTokens,
        },
      })
    }
    if (blocks) prefix.insert(id, blocks, nowMs)
  }

  /** What the engine did not find was not there: whatever is older than that is gone too. */
  function correct({ request, booked, predicted }: Run, cachedTokens: number, nowMs: number): void {
    const { blocks } = request
    if (!blocks || cachedTokens + blocks.blockTokens >= predicted.cachedTokens) return
    prefix.correct(booked.info.id, blocks, Math.floor(cachedTokens / blocks.blockTokens), nowMs)
    prefix.insert(booked.info.id, blocks, nowMs)
  }

  return { add, loaded, remove, decide, started, serviceOf, firstToken, tokens, ended }
}

/** Reading a saved cache: opening it, and each token of it. Of 1,600 tokens (14 MB) it was measured to be 2 to 6 ms. */
const restoreMs = { base: 5, perToken: 0.005 }

function withSaved(candidate: Candidate, { promptTokens }: DispatchRequest, tokens: number): Candidate {
  const cachedTokens = Math.min(tokens, Math.max(0, promptTokens - 1))
  if (cachedTokens <= candidate.cachedTokens) return candidate
  return { ...candidate, cachedTokens, restoreMs: restoreMs.base + restoreMs.perToken * cachedTokens }
}

function sessionKey({ tenant, session, key }: DispatchRequest): string {
  return `${tenant}\n${key}\n${session}`
}

/** How fast prompts were computed: of one that had the engine to itself by its own count, else of the whole stretch. */
function prefillOf({ shared, stretch }: Run, usage: Usage): { computedTokens: number; prefillMs: number } {
  if (!shared) {
    const computedTokens = Math.max(0, usage.promptTokens - usage.cachedTokens)
    return { computedTokens, prefillMs: usage.promptMs }
  }
  return { computedTokens: stretch?.tokens ?? 0, prefillMs: stretch?.ms ?? 0 }
}

function sampleBatch(run: Run): void {
  run.batchSum += run.booked.runs.size
  run.batchSamples++
}

function predictedOf(request: DispatchRequest, { candidate }: Ranked): NonNullable<Decision['predicted']> {
  const { ttftMs, finishMs } = predict(request, candidate)
  return { ttftMs, finishMs, cachedTokens: candidate.cachedTokens, outputTokens: request.outputTokens }
}
