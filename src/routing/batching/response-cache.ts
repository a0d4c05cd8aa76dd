import type { Clock } from '../../core/index.ts'
import type { InferenceEvent, Usage } from '../../inference/index.ts'
import { eventBytes } from './event-bytes.ts'

export interface ResponseCacheOptions {
  /** Of all kept answers, by estimate. */
  maxBytes: number
  /** After so long an answer is given no more. */
  ttlMs: number
  clock: Clock
}

/** Whole answers by `requestKey`, given again without an engine. The least recently used leave first. */
export interface ResponseCache {
  /**
   * The events of a kept answer; undefined where there is none. Its last event counts the tokens that the prompt and
   * the answer have, as they were recorded, since that is what the client gets; all of the prompt as cached, since none
   * was computed; and no time for either, since none was spent.
   */
  find(key: string): InferenceEvent[] | undefined
  /** Passes an answer on as it comes, and keeps it once it is whole. A broken or abandoned one is not kept. */
  record(key: string, answer: AsyncIterable<InferenceEvent>): AsyncIterable<InferenceEvent>
  stats(): ResponseCacheStats
}

export interface ResponseCacheStats {
  answers: number
  bytes: number
  hits: number
  misses: number
}

interface Kept {
  events: InferenceEvent[]
  bytes: number
  keptMs: number
}

/** One answer may take this part of the cache at most, lest it drives all others out. */
const largestPart = 1 / 8
/** A key with its entry in the map. */
const entryBytes = 200

export function createResponseCache({ maxBytes, ttlMs, clock }: ResponseCacheOptions): ResponseCache {
  /** In order of their last use: a `Map` remembers the order of insertion. */
  const kept = new Map<string, Kept>()
  let totalBytes = 0
  let hits = 0
  let misses = 0

  function drop(key: string): void {
    totalBytes -= kept.get(key)?.bytes ?? 0
    kept.delete(key)
  }

  function keep(key: string, events: InferenceEvent[], bytes: number): void {
    drop(key)
    kept.set(key, { events, bytes, keptMs: clock.monotonicMs() })
    totalBytes += bytes
    for (const oldest of kept.keys()) {
      if (totalBytes <= maxBytes) break
      drop(oldest)
    }
  }

  return {
    find(key) {
      const entry = kept.get(key)
      if (!entry || clock.monotonicMs() - entry.keptMs >= ttlMs) {
        drop(key)
        misses++
        return undefined
      }
      kept.delete(key)
      kept.set(key, entry)
      hits++
      return entry.events.map(asRepeated)
    },
    async *record(key, answer) {
      const events: InferenceEvent[] = []
      let bytes = entryBytes
      for await (const event of answer) {
        bytes += eventBytes(event)
        if (bytes <= maxBytes * largestPart) events.push(event)
        else events.length = 0
        // Before it goes out: whoever reads may stop at this one.
        if (event.type === 'done' && events.length > 0) keep(key, events, bytes)
        yield event
      }
    },
    stats: () => ({ answers: kept.size, bytes: totalBytes, hits, misses }),
  }
}

function asRepeated(event: InferenceEvent): InferenceEvent {
  if (event.type !== 'done') return event
  const usage: Usage = { ...event.usage, cachedTokens: event.usage.promptTokens, promptMs: 0, outputMs: 0 }
  return { ...event, usage, totalMs: 0, loadMs: 0 }
}
