import type { EngineModel } from './engine/index.ts'
import { createRandom, type Random } from './random.ts'
import type { Trace, TraceRequest } from './traces/index.ts'

export interface WorkloadOptions {
  seed: number
  /** Share of what the cluster can do; scales the time between requests. Absent: as the trace has it. */
  load?: number
  /** Requests a second, in place of `load`. */
  rate?: number
}

/**
 * The requests of a trace with their times on the clock of a simulation: where the trace knows times only to a bucket,
 * they are spread over it at random (in the order of the trace), the same for the same seed; then all times are
 * stretched to the wanted load or rate.
 */
export function workloadOf(
  { requests, bucketMs, blockTokens }: Trace,
  engines: readonly EngineModel[],
  { seed, load, rate }: WorkloadOptions,
): TraceRequest[] {
  const spread = spreadOver(requests, bucketMs, createRandom(seed))
  const spanS = ((spread.at(-1)?.atMs ?? 0) - (spread[0]?.atMs ?? 0)) / 1000
  const own = spanS > 0 ? (spread.length - 1) / spanS : 0
  const wanted = rate ?? (load === undefined ? own : load * capacityOf(spread, engines, blockTokens))
  const stretch = wanted > 0 && own > 0 ? own / wanted : 1
  const firstMs = spread[0]?.atMs ?? 0
  return spread.map((request) => ({ ...request, atMs: (request.atMs - firstMs) * stretch }))
}

function spreadOver(
  requests: readonly TraceRequest[],
  bucketMs: number,
  random: Random,
): readonly TraceRequest[] {
  if (bucketMs === 0) return requests
  const spread: TraceRequest[] = []
  for (let from = 0; from < requests.length; ) {
    const atMs = requests[from]?.atMs ?? 0
    let to = from
    while (to < requests.length && requests[to]?.atMs === atMs) to++
    const times = Array.from({ length: to - from }, () => atMs + random() * bucketMs).sort((a, b) => a - b)
    times.forEach((time, index) => {
      spread.push({ ...(requests[from + index] as TraceRequest), atMs: time })
    })
    from = to
  }
  return spread
}

/**
 * Requests of this mixture that a cluster can do in a second, each computed from scratch: the sum over its instances
 * of one over the mean work of a request. A load of 1 offers just as much; what caches save is to spare.
 */
export function capacityOf(
  requests: readonly TraceRequest[],
  engines: readonly EngineModel[],
  blockTokens: number,
): number {
  const known = new Map<EngineModel, number>()
  let perS = 0
  for (const engine of engines) {
    const workMs = known.get(engine) ?? meanWorkMs(requests, engine, blockTokens)
    known.set(engine, workMs)
    perS += 1000 / workMs
  }
  return perS
}

/**
 * What a request takes of an instance's time: its prompt at the prefill rate, and of each decoding step its own part,
 * its KV cache, and of the weights' reading a share among as many requests as fit at once.
 */
function meanWorkMs(requests: readonly TraceRequest[], engine: EngineModel, blockTokens: number): number {
  const block = blockTokens || engine.blockTokens
  const mean = (of: (request: TraceRequest) => number) =>
    requests.reduce((sum, request) => sum + of(request), 0) / Math.max(1, requests.length)
  const held = mean(({ promptTokens, outputTokens }) => promptTokens + outputTokens + block)
  const atOnce = Math.max(1, Math.min(engine.slots, engine.kvTokens / held))
  const stepMs = engine.decodeBaseMs / atOnce + engine.decodePerRequestMs
  return mean(
    ({ promptTokens, outputTokens }) =>
      (promptTokens / engine.prefillTokensPerS) * 1000 +
      outputTokens * (stepMs + engine.decodePerKvTokenMs * (promptTokens + outputTokens / 2)),
  )
}
