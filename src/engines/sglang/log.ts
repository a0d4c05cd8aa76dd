import type { InstanceMemory } from '../contract.ts'
import { meanGib } from '../vllm/log.ts'

const gib = 2 ** 30

/**
 * Weights and KV cache by SGLang's own lines (`Load weight end. ... mem usage=14.98 GB.`, `KV Cache is allocated. ... K
 * size: 1.20 GB, V size: 1.20 GB`), of which each rank has its own; the mean stands for each of `devices`.
 */
export function sglangMemory(log: string, devices: number): InstanceMemory {
  const weights = meanGib(log, /Load weight end\..*?mem usage=([\d.]+) GB/g)
  const keys = meanGib(log, /KV Cache is allocated\..*?K size: ([\d.]+) GB/g)
  const values = meanGib(log, /KV Cache is allocated\..*?V size: ([\d.]+) GB/g)
  return { vramBytes: Math.round((weights + keys + values) * gib * devices), hostBytes: 0 }
}
