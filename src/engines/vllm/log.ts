import type { InstanceMemory } from '../contract.ts'

const gib = 2 ** 30

/**
 * Weights and KV cache by vLLM's own lines (`Model loading took 14.99 GiB ...`, `Available KV cache memory: 5.18 GiB`).
 * Some releases have a line of each worker, some of the first only: so the mean stands for each of `devices`.
 */
export function vllmMemory(log: string, devices: number): InstanceMemory {
  const weights = meanGib(log, /[Mm]odel loading took ([\d.]+) Gi?B/g)
  const kvCache = meanGib(log, /Available KV cache memory: ([\d.]+) GiB/g)
  return { vramBytes: Math.round((weights + kvCache) * gib * devices), hostBytes: 0 }
}

export function meanGib(log: string, line: RegExp): number {
  const values = [...log.matchAll(line)].map(([, value]) => Number(value))
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
