import { formatCpuList } from '../../core/index.ts'
import { isTree, type Value } from './tree.ts'

/** More words of 64 CPUs than any machine has. */
const mostWords = 128

/**
 * The CPUs near a card from amd-smi's `cpu_affinity`: lists (`1-63`, JSON) or masks of 64 CPUs each (text). Undefined
 * where there are none.
 */
export function cpuListOf(value: Value | undefined): string | undefined {
  if (isTree(value)) {
    const lists = Object.values(value).flatMap((word) =>
      isTree(word) && typeof word['cpu_cores_affinity'] === 'string' ? word['cpu_cores_affinity'] : [],
    )
    const told = lists.filter((list) => /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(list))
    return told.length > 0 ? told.join(',') : undefined
  }
  if (typeof value !== 'string' || !/^(0x[0-9a-f]{1,16}\s*)+$/i.test(value)) return undefined
  const cpus = value
    .trim()
    .split(/\s+/)
    .slice(0, mostWords)
    .flatMap((mask, word) => bitsOf(BigInt(mask)).map((bit) => word * 64 + bit))
  return cpus.length > 0 ? formatCpuList(cpus) : undefined
}

function bitsOf(mask: bigint): number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (mask >> BigInt(bit)) & 1n)
}
