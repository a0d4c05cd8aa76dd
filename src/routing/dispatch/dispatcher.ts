import type { Usage } from '../../inference/index.ts'
import type { HealthBook } from '../health/contract.ts'
import {
  type Candidate,
  type Policy,
  type PolicyContext,
  type PolicyName,
  predict,
  type Ranked,
  type RouteRequest,
} from '../policy/index.ts'
import type { Predictor } from '../prediction/contract.ts'
import type { PrefixBlocks, PrefixIndex, PrefixMatch } from '../prefix/contract.ts'
import {
  type BookedInstance,
  beginRun,
  bookInstance,
  completePrefill,
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
import { createGroup, type Group, joinGroup, leaveGroup, nominees, reorder } from './nominees.ts'

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
  /** Up to so many instances of a model all are looked at; of more, a few (`nominees.ts`). Absent: 24. */
  lookAtAll?: number
}

const usualLookAtAll = 24
/** Of those that hold the longest beginnings of a prompt so many are looked at. */
const mostHolders = 4
/** Conversations whose last instance is remembered. */
const mostSessions = 10_000

/** An ill instance among ill ones: they are told apart by everything else. */
const illHealth = 0.05
const unhealthy = 'it is unhealthy: its circuit breaker is open, or its probes fail'
const refused = 'it serves other options, takes no new requests, or failed on this one'

export function createDispatcher(parts: DispatcherParts): Dispatcher {
  const { prefix, predictor, health, lookAtAll = usualLookAtAll } = parts
  const groups = new Map<string, Group>()
  const instances = new Map<number, BookedInstance>()
  const runs = new Map<number, Run>()
  const sessions = new Map<string, { instance: number; atMs: number }>()
  let decisions = 0

  function add(info: DispatchInstance, nowMs: number): void {
    remove(info.id)
    const booked = bookInstance(info, nowMs)
    const group = groups.get(info.key) ?? createGroup()
    groups.set(info.key, group)
    prefix.setCapacity(info.id, Math.ceil(info.kvTokens / parts.blockTokens))
    // Who comes late does not make up for what the others were given before.
    booked.chosen = Math.min(...group.booked.map(({ chosen }) => chosen), Number.MAX_SAFE_INTEGER)
    if (group.booked.length === 0) booked.chosen = 0
    joinGroup(group, booked)
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
    leaveGroup(group, booked)
    if (group.booked.length === 0) groups.delete(booked.info.key)
  }

  function decide(request: DispatchRequest, options: DecideOptions): Decision {
    const policy = parts.policies[request.policy ?? parts.defaultPolicy]
    const group = groups.get(request.key)
    const few = group !== undefined && group.booked.length > lookAtAll
    let { candidates, excluded } = candidatesOf(group, request, options, few)
    let { kept, excluded: unfit } = parts.filter(request, candidates)
    let fleet = few ? meansOf(group) : undefined
    if (few && kept.length === 0 && candidates.length > 0) {
      // Whoever is as it is asked for, pinned by name perhaps, need not be among the few.
      ;({ candidates, excluded } = candidatesOf(group, request, options, false))
      ;({ kept, excluded: unfit } = parts.filter(request, candidates))
      fleet = undefined
    }
    const context = { nowMs: options.nowMs, random: parts.random }
    const ranked = policy.rank(request, kept, fleet ? { ...context, fleet } : context)
    const [best] = ranked
    return {
      policy: policy.name,
      unit: policy.unit,
      ranked,
      excluded: unfit.length > 0 ? [...excluded, ...unfit] : excluded,
      ...(best && { predicted: predictedOf(request, best) }),
    }
  }

  function candidatesOf(
    group: Group | undefined,
    request: DispatchRequest,
    options: DecideOptions,
    few: boolean,
  ) {
    const { nowMs, savedTokens } = options
    const excluded: Exclusion[] = []
    const candidates: Candidate[] = []
    if (!group) return { candidates, excluded }
    const matches = request.blocks ? prefix.match(request.blocks, nowMs, mostHolders) : []
    const session = request.session === undefined ? undefined : sessions.get(sessionKey(request))
    const usable = (id: number) => mayTake(id, options, few, excluded)
    const find = (id: number) => instances.get(id)
    const looked = few
      ? nominees(group, matches, session?.instance, find, usable, parts.random)
      : group.booked.filter(({ info }) => usable(info.id))
    for (const booked of looked) {
      const candidate = candidateOf(booked, request, heldBlocks(booked, request, matches, nowMs), nowMs)
      if (session?.instance === booked.info.id) candidate.sessionAtMs = session.atMs
      candidates.push(savedTokens ? withSaved(candidate, request, savedTokens(booked.info.id)) : candidate)
    }
    return { candidates, excluded }
  }

  /** Whether a request may go there; why not is told of all where there are few, of the ill always. */
  function mayTake(id: number, options: DecideOptions, few: boolean, excluded: Exclusion[]): boolean {
    const { nowMs, accepts, evenIll } = options
    if (accepts && !accepts(id)) {
      if (!few) excluded.push({ id, reason: refused })
      return false
    }
    if (evenIll || !health || health.allows(id, nowMs)) return true
    if (!few || !excluded.some((one) => one.id === id)) excluded.push({ id, reason: unhealthy, ill: true })
    return false
  }

  function heldBlocks(
    { info, slotCaches }: BookedInstance,
    { blocks }: DispatchRequest,
    matches: readonly PrefixMatch[],
    nowMs: number,
  ): number {
    if (!blocks) return 0
    if (slotCaches) return slotCaches.found(blocks.hashes)
    for (const match of matches) if (match.instance === info.id) return match.blocks
    // The longest holders are known; others may hold the system prompt, if there are more holders at all.
    return matches.length < mostHolders ? 0 : prefix.heldBy(info.id, blocks, nowMs)
  }

  function candidateOf(
    booked: BookedInstance,
    request: DispatchRequest,
    blocks: number,
    nowMs: number,
  ): Candidate {
    const { info } = booked
    const rates = predictor.rates(booked.of)
    const work = workOf(booked, rates, predictor, nowMs)
    // Field by field: V8 builds such an object at once, and one that begins with a spread by many steps.
    return {
      id: info.id,
      deviceIds: info.deviceIds,
      slots: info.slots,
      contextLength: info.contextLength,
      kvTokens: info.kvTokens,
      weight: info.weight,
      watts: info.watts,
      costPerMillionTokens: info.costPerMillionTokens,
      precisions: info.precisions,
      capabilities: info.capabilities,
      labels: info.labels,
      tenants: info.tenants,
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
    regroup(booked)
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

  function regroup(booked: BookedInstance): void {
    const group = groups.get(booked.info.key)
    if (!group) return
    const { prefillTokensPerS, decodePerRequestMs } = predictor.rates(booked.of)
    reorder(group, booked, prefillTokensPerS, usualOutputTokens * decodePerRequestMs)
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
    regroup(run.booked)
  }

  function tokens(requestId: number, count: number): void {
    const run = runs.get(requestId)
    if (!run) return
    run.outputTokens += count
    run.booked.activeTokens += count
  }

  function cacheShrunk(instanceId: number, blocks: PrefixBlocks, keptTokens: number, nowMs: number): void {
    if (instances.has(instanceId))
      prefix.evict(instanceId, blocks, Math.floor(keptTokens / blocks.blockTokens), nowMs)
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
    regroup(run.booked)
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

  return { add, loaded, remove, decide, started, serviceOf, firstToken, tokens, cacheShrunk, ended }
}

type Exclusion = Decision['excluded'][number]

/** Answers for whose length an instance's place among the idle ones is worked out. */
const usualOutputTokens = 256

function meansOf({ booked, running, prefilling }: Group): NonNullable<PolicyContext['fleet']> {
  return { running: running / booked.length, prefilling: prefilling / booked.length }
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
