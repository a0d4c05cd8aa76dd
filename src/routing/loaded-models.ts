import type { StoredModel } from '../models/index.ts'
import type { LoadedModel } from './contract.ts'
import type { Pool } from './pool/index.ts'

/** Each model once, whatever instances it has. */
export function loadedModels(
  pool: Pool,
  names: ReadonlyMap<string, StoredModel>,
  nowMs: number,
): LoadedModel[] {
  const byKey = Map.groupBy(pool.ready(), ({ entry }) => entry.key)
  return [...byKey]
    .flatMap(([key, running]) => {
      const stored = names.get(key)
      if (!stored) return []
      const memories = running.map(({ instance }) => instance.memory)
      return {
        stored,
        contextLength: Math.max(...running.map(({ instance }) => instance.contextLength)),
        slots: sum(running.map(({ instance }) => instance.slots)),
        sizeBytes: sum(memories.map(({ vramBytes, hostBytes }) => vramBytes + hostBytes)),
        vramBytes: sum(memories.map(({ vramBytes }) => vramBytes)),
        expiresAtMs: Math.max(
          ...running.map(({ entry }) => (entry.inUse > 0 ? nowMs : entry.idleSinceMs) + entry.keepAliveMs),
        ),
      }
    })
    .sort((a, b) => b.expiresAtMs - a.expiresAtMs)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
