import {
  type AdmissionQueue,
  createAdmissionQueue,
  type DispatchInstance,
  type DispatchRequest,
  defaultAdmissionLimits,
  idBlocks,
  type PrefixBlocks,
} from '../routing/index.ts'
import type { Cluster, ClusterInstance } from './cluster.ts'
import { createModelledInstance, type ModelledEvent, type ModelledInstance } from './engine/index.ts'
import type { Measured } from './measured.ts'
import type { Choice, SimulatedRouter } from './router.ts'
import type { TraceRequest } from './traces/index.ts'

/** A place for one instance: when what is there dies, another one comes up. */
interface Place {
  info: ClusterInstance
  /** Absent while it loads. */
  live: { id: number; modelled: ModelledInstance; flights: Map<number, Flight> } | undefined
  nextMs: number
  busyMs: number
}

/** A request on its way. */
interface Flight {
  trace: TraceRequest
  measured: Measured
  request: DispatchRequest
  /** Of prompt and answer: what comes out at its end. */
  whole: PrefixBlocks | undefined
  /** Of the answer, what instances that died had given already. */
  soFar: number
  startedMs: number
  firstTokenMs: number
  cachedTokens: number
  /** Tokens since it was sent off that the router has been told of. */
  told: number
}

/** A request whose instance is busy is looked at again after so long, as the server does. */
const holdMs = 100
/** Waiting requests, one after the other, that may fail to get a slot before the rest is left alone, as in the server. */
const lookahead = 8

export interface FleetOptions {
  cluster: Cluster
  router: SimulatedRouter
  /** 0 where the trace has no blocks. */
  blockTokens: number
}

/**
 * The pool of a simulation: it stands between the admission queue, the router and the modelled instances, as
 * `src/routing` does between clients and engines, on a clock that somebody else holds.
 */
export function createFleet({ cluster, router, blockTokens }: FleetOptions) {
  const queue: AdmissionQueue = createAdmissionQueue({ ...defaultAdmissionLimits, maxWaiting: 1_000_000 })
  const places: Place[] = cluster.instances.map((info) => ({
    info,
    live: undefined,
    nextMs: Number.POSITIVE_INFINITY,
    busyMs: 0,
  }))
  const waiting = new Map<number, Flight>()
  const placeOf = new Map<number, Place>()
  const groups = new Set<string>()
  let nextId = 1
  let wakeMs = Number.POSITIVE_INFINITY

  function raise(place: Place, nowMs: number): void {
    const engine = { ...place.info.engine, ...(blockTokens > 0 && { blockTokens }) }
    const id = nextId++
    const modelled = createModelledInstance(engine)
    place.live = { id, modelled, flights: new Map() }
    placeOf.set(id, place)
    router.add(dispatchInstance(id, place.info, engine.blockTokens), modelled, nowMs)
    serve(nowMs)
  }

  function arrive(id: number, trace: TraceRequest, measured: Measured, nowMs: number): void {
    const { blocks, whole } = blocksOf(trace, blockTokens)
    const block = blockTokens || 1
    const request: DispatchRequest = {
      id,
      key: keyFor(trace.model, cluster),
      tenant: trace.tenant,
      promptTokens: trace.promptTokens,
      outputTokens: 0,
      contextTokens: Math.ceil((trace.promptTokens + Math.max(1, trace.outputTokens)) / block) * block,
      shape: {
        model: trace.model ?? 'model',
        tenant: trace.tenant,
        kind: 'chat',
        promptTokens: trace.promptTokens,
        tools: false,
        format: false,
        thinking: false,
      },
      ...(blocks && { blocks }),
    }
    request.outputTokens = router.outputTokens(request)
    const flight: Flight = {
      trace,
      measured,
      request,
      whole,
      soFar: 0,
      startedMs: 0,
      firstTokenMs: 0,
      cachedTokens: 0,
      told: 0,
    }
    enqueue(flight, nowMs)
    serve(nowMs)
  }

  function enqueue(flight: Flight, nowMs: number): void {
    const { request } = flight
    waiting.set(request.id, flight)
    groups.add(request.key)
    const refusals = queue.offer(
      {
        id: request.id,
        group: request.key,
        model: request.key,
        tenant: request.tenant,
        // Whose answer broke off comes before those who have nothing yet.
        priority: flight.soFar > 0 ? 'system' : 'default',
        arrivedMs: flight.measured.arrivedMs,
        promptTokens: request.promptTokens,
        outputTokens: request.outputTokens,
      },
      nowMs,
    )
    for (const { ticket, reason } of refusals) refuse(ticket.id, reason)
  }

  function refuse(id: number, reason: string): void {
    const flight = waiting.get(id)
    if (flight) flight.measured.refused = reason
    waiting.delete(id)
  }

  function serve(nowMs: number): void {
    wakeMs = Number.POSITIVE_INFINITY
    if (queue.size === 0) return
    tellProduced(nowMs)
    for (const group of groups) {
      let served = true
      while (served) served = serveNext(group, nowMs)
    }
    if (queue.size > 0) wakeMs = Math.min(wakeMs, queue.nextChangeMs(nowMs))
  }

  /** The router hears of every token, as the server does; here, just before it is asked. */
  function tellProduced(nowMs: number): void {
    for (const { live } of places) {
      live?.modelled.eachProduced(nowMs, (id, tokens) => {
        const flight = live.flights.get(id)
        if (!flight || tokens <= flight.told) return
        router.tokens?.(id, tokens - flight.told)
        flight.told = tokens
      })
    }
  }

  /** Sends the first of a group off that can be; false when none of those at its head can. */
  function serveNext(group: string, nowMs: number): boolean {
    let misses = 0
    for (const { id } of queue.inOrder(group, nowMs)) {
      const flight = waiting.get(id)
      if (!flight) throw new Error(`request ${id} waits in the queue, and is not known`)
      const choice = router.choose(flight.request, nowMs)
      const place = choice && placeOf.get(choice.instanceId)
      if (choice && place?.live && place.live.flights.size < place.info.engine.slots) {
        waiting.delete(id)
        queue.start(id, nowMs)
        send(flight, place, choice, nowMs)
        return true
      }
      if (!choice && places.every(({ live }) => live)) {
        queue.withdraw(id)
        refuse(id, 'no instance can hold it')
        return true
      }
      if (choice) wakeMs = Math.min(wakeMs, nowMs + holdMs)
      if (++misses >= lookahead) return false
    }
    return false
  }

  function send(flight: Flight, place: Place, choice: Choice, nowMs: number): void {
    const { trace, measured, request, soFar, whole } = flight
    const { live } = place
    if (!live) return
    choice.commit(nowMs)
    if (measured.instance < 0) {
      measured.instance = places.indexOf(place)
      measured.sentMs = nowMs
      if (choice.predicted) measured.predicted = choice.predicted
    }
    live.flights.set(request.id, flight)
    flight.told = 0
    live.modelled.submit(
      {
        id: request.id,
        hashes: whole?.hashes ?? [],
        promptTokens: trace.promptTokens + soFar,
        outputTokens: Math.max(1, trace.outputTokens - soFar),
      },
      nowMs,
    )
    place.nextMs = live.modelled.nextMs()
  }

  function happen(place: Place, nowMs: number): void {
    const { live } = place
    if (!live) return
    let ended = false
    for (const event of live.modelled.advance(nowMs)) {
      const flight = live.flights.get(event.id)
      if (flight) ended = happened(event, flight) || ended
      if (event.type === 'done') live.flights.delete(event.id)
    }
    place.nextMs = live.modelled.nextMs()
    if (ended) serve(nowMs)
  }

  function happened(event: ModelledEvent, flight: Flight): boolean {
    const { measured, request, soFar } = flight
    if (event.type === 'started') {
      flight.startedMs = event.atMs
      flight.cachedTokens = event.cachedTokens
      if (soFar === 0) measured.cachedTokens = event.cachedTokens
    } else if (event.type === 'firstToken') {
      flight.firstTokenMs = event.atMs
      if (soFar === 0) measured.firstTokenMs = event.atMs
      router.firstToken?.(event.id, event.atMs)
    } else if (event.type === 'done') {
      measured.doneMs = event.atMs
      const outputTokens = measured.outputTokens - soFar
      router.tokens?.(event.id, Math.max(0, outputTokens - flight.told))
      const usage = {
        promptTokens: request.promptTokens,
        cachedTokens: flight.cachedTokens,
        outputTokens,
        promptMs: flight.firstTokenMs - flight.startedMs,
        outputMs: event.atMs - flight.firstTokenMs,
      }
      queue.charge(request.tenant, outputTokens)
      if (flight.cachedTokens > 0) queue.charge(request.tenant, -flight.cachedTokens)
      router.ended(event.id, event.atMs, usage, flight.whole)
      return true
    }
    return false
  }

  /** What runs there goes on elsewhere: prompt and answer so far are the new prompt. */
  function fail(place: Place, nowMs: number): void {
    const { live } = place
    if (!live) return
    happen(place, nowMs)
    const produced = new Map<number, number>()
    live.modelled.eachProduced(nowMs, (id, tokens) => produced.set(id, tokens))
    place.busyMs += live.modelled.busyMs()
    place.live = undefined
    place.nextMs = Number.POSITIVE_INFINITY
    placeOf.delete(live.id)
    for (const id of live.flights.keys()) router.ended(id, nowMs)
    router.remove(live.id)
    for (const [id, flight] of live.flights) {
      const more = produced.get(id) ?? 0
      flight.soFar += more
      flight.measured.resumed++
      flight.request = {
        ...flight.request,
        promptTokens: flight.request.promptTokens + more,
        outputTokens: Math.max(1, flight.request.outputTokens - more),
      }
      enqueue(flight, nowMs)
    }
    serve(nowMs)
  }

  return {
    places: places as readonly Place[],
    raise,
    fail,
    arrive,
    happen,
    serve,
    wakeMs: () => wakeMs,
    busyMs: (place: Place) => place.busyMs + (place.live?.modelled.busyMs() ?? 0),
  }
}

export type Fleet = ReturnType<typeof createFleet>

function keyFor(model: string | undefined, cluster: Cluster): string {
  const serves = cluster.instances.some((instance) => instance.serves === model)
  return serves ? (model ?? '') : ''
}

function dispatchInstance(id: number, info: ClusterInstance, blockTokens: number): DispatchInstance {
  const { engine, kind, weight, watts, modelBytes, memoryBytesPerS, flopsPerS } = info
  const kvTokens = Math.floor(engine.kvTokens / blockTokens) * blockTokens
  return {
    id,
    key: info.serves ?? '',
    kind,
    deviceIds: [`modelled:${id}`],
    slots: engine.slots,
    contextLength: kvTokens,
    kvTokens,
    weight,
    ...(watts !== undefined && { watts }),
    ...(modelBytes !== undefined && { modelBytes }),
    ...(memoryBytesPerS !== undefined && { memoryBytesPerS }),
    ...(flopsPerS !== undefined && { flopsPerS }),
  }
}

/** The blocks of the prompt, which a request comes with, and those of prompt and answer, which are known at its end. */
function blocksOf({ hashes, tenant, promptTokens, outputTokens }: TraceRequest, blockTokens: number) {
  if (blockTokens === 0) return { blocks: undefined, whole: undefined }
  const whole = idBlocks(hashes, tenant, blockTokens, promptTokens + outputTokens)
  const prompt = Math.min(whole.hashes.length, Math.floor(promptTokens / blockTokens))
  return {
    blocks: { ...whole, hashes: whole.hashes.slice(0, prompt), promptTokens },
    whole,
  }
}
