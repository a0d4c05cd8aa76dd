import { decodeBatch } from './batch.ts'
import { createLedger } from './ledger.ts'
import { subscribe } from './zmtp.ts'

/** What an engine's KV cache still holds of prompts, by the events that it publishes. */
export interface KvCacheWatch {
  /** See `Ledger.follow`. */
  follow(promptTokens: readonly number[], onShrunk: (keptTokens: number) => void): void
  close(): void
}

export interface KvCacheWatchOptions {
  /** Where the events are published: `tcp://host:port` or `ipc:///path`. */
  endpoint: string
  /** For people: whose they are. */
  title: string
  log(message: string): void
}

/**
 * Subscribes to an engine's events. Messages have three frames: a topic, the batch's number (64 bits, big end first) and
 * the batch. Where one is missing, or cannot be read, nobody knows what the cache holds, and it is learnt anew.
 */
export function watchKvCache({ endpoint, title, log }: KvCacheWatchOptions): KvCacheWatch {
  const ledger = createLedger()
  const said = new Set<string>()
  let last: bigint | undefined
  /** Of connections, since the last batch. */
  let losses = 0

  function startAfresh(kind: 'form' | 'gap', what: string): void {
    ledger.forget()
    if (said.has(kind)) return
    said.add(kind)
    log(`${what} (KV cache events of ${title}, ${endpoint}): what its cache holds is learnt anew; said once`)
  }

  const subscriber = subscribe({
    endpoint,
    topic: '',
    onMessage([, sequence, payload]) {
      const events = payload && decodeBatch(payload)
      if (sequence?.length !== 8 || !events) return startAfresh('form', 'a message is no batch of events')
      const number = sequence.readBigUInt64BE()
      if (last !== undefined && number !== last + 1n)
        startAfresh('gap', `batch ${last + 1n} is missing, ${number} came`)
      last = number
      losses = 0
      ledger.apply(events)
    },
    onSubscribed() {
      last = undefined
      ledger.forget()
    },
    onLost(reason) {
      // With the first the engine may just be ending.
      if (++losses !== 2) return
      log(`no KV cache events of ${title} come from ${endpoint}: ${reason}; tried again until they do`)
    },
  })
  return { follow: ledger.follow, close: subscriber.close }
}
