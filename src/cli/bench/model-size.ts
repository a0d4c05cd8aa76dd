import { parseSizeBytes } from '../../config/index.ts'
import type { HostSystem } from '../../hardware/index.ts'
import type { WorkerDevice } from '../../placement/index.ts'

const mb = 1e6

/** A CPU of one core computes a token of it within some tens of milliseconds. */
const cpuBytes = 128 * mb
/**
 * On a GPU a token should take a millisecond, so that what an engine does between two of them (some 0.1 ms) counts
 * little; within what is written and loaded in a second or two.
 */
const gpu = { tokenMs: 1, leastBytes: 256 * mb, mostBytes: 1000 * mb, unknownBytes: 384 * mb }
/** Of the device's free memory; the KV cache and buffers come on top. */
const memoryShare = 0.25
const leastBytes = 2 * mb
const mostBytes = 64_000 * mb

/** Bytes of the synthetic model that fits a device. */
export function modelBytesFor({ kind, device, memoryFreeBytes }: WorkerDevice): number {
  const wanted = kind === 'cpu' ? cpuBytes : gpuBytes(device.facts.bandwidthGBs?.value)
  return Math.max(leastBytes, Math.min(wanted, Math.floor(memoryFreeBytes * memoryShare)))
}

function gpuBytes(bandwidthGBs: number | undefined): number {
  if (bandwidthGBs === undefined) return gpu.unknownBytes
  return Math.min(gpu.mostBytes, Math.max(gpu.leastBytes, (bandwidthGBs * 1e9 * gpu.tokenMs) / 1000))
}

/** A size that was asked for. Throws for what is none, or one that no benchmark can be made of. */
export function modelBytesOf(text: string): number {
  const bytes = parseSizeBytes(text.trim())
  if (bytes !== undefined && bytes >= leastBytes && bytes <= mostBytes) return bytes
  throw new Error(`--model-size takes a size from 2MB to 64GB, such as 500MB, not ${JSON.stringify(text)}`)
}

/** Whether a model of one size tells about the same as one of the other; layers make sizes round. */
export function isAboutAsLarge(aBytes: number, bBytes: number): boolean {
  return Math.abs(Math.log2(aBytes / bBytes)) < 0.5
}

const cpuFolder = '/sys/devices/system/cpu'

/** The last-level cache of these hardware threads (absent: of all), each counted once; 0 where the system does not tell. */
export function cpuCacheBytes(system: HostSystem, cores?: readonly number[]): number {
  const names =
    cores?.map((core) => `cpu${core}`) ?? system.list(cpuFolder).filter((name) => /^cpu\d+$/.test(name))
  const caches = new Map<string, number>()
  for (const name of names) {
    const folder = `${cpuFolder}/${name}/cache/index3`
    const kib = /^(\d+)K/.exec(system.readText(`${folder}/size`) ?? '')?.[1]
    if (kib !== undefined)
      caches.set(system.readText(`${folder}/shared_cpu_list`) ?? name, Number(kib) * 1024)
  }
  return [...caches.values()].reduce((sum, bytes) => sum + bytes, 0)
}
