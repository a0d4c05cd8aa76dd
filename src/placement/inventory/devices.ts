import type { EngineName } from '../../engines/index.ts'
import { type Device, type Fact, factsOf, type GpuSpec, type Vendor } from '../../hardware/index.ts'
import type { Backend, PlanDevice } from '../contract.ts'

const gib = 2 ** 30

/** What a card does of which nothing is known: a middling one. */
const assumedBytesPerS = 200e9
const assumedFlopsPerS = 10e12

/** What engines reach of a peak; of a device that was measured, what is not measured is taken with this off. */
const usualComputeShare = 0.5

/** Firmware and driver keep this of a card for themselves (an RTX 4090 tells 24564 MiB, about 300 of them in use). */
const driverBytes = 400 * 2 ** 20

/** Metal lends the GPU this share of a Mac's memory: of a larger one more (`recommendedMaxWorkingSetSize`). */
const metalShare = { small: 0.67, large: 0.75, largeFromGiB: 36 }

/** What a system with programs leaves of its memory. */
export const hostShare = 0.9

const backends: Readonly<Record<Vendor, Backend>> = {
  nvidia: 'cuda',
  amd: 'rocm',
  intel: 'sycl',
  apple: 'metal',
  other: 'vulkan',
  cpu: 'cpu',
}

const enginePrefixes: Readonly<Record<Backend, string>> = {
  cuda: 'CUDA',
  rocm: 'ROCm',
  sycl: 'SYCL',
  metal: 'MTL',
  vulkan: 'Vulkan',
  cpu: 'CPU',
}

/** The backend by the engine's own name of a device (`Vulkan0`), else the vendor's own. */
export function backendOf(vendor: Vendor, engineName?: string): Backend {
  const prefix = /^[A-Za-z]+/.exec(engineName ?? '')?.[0]?.toLowerCase() ?? ''
  const told = (Object.keys(enginePrefixes) as Backend[]).find((backend) =>
    prefix.startsWith(enginePrefixes[backend].toLowerCase()),
  )
  if (prefix === 'hip') return 'rocm'
  return told ?? (prefix === 'metal' ? 'metal' : backends[vendor])
}

/** What llama.cpp calls the n-th device of a backend. */
export function engineNameOf(backend: Backend, position: number): string {
  return `${enginePrefixes[backend]}${position}`
}

/** A card that nobody has to have, with the facts of the table. */
export function imagineDevice(spec: GpuSpec, id: string, memoryBytes: number): Device {
  const { vendor, names, computeCapability, gfx, sharedMemory, cores, card } = spec
  const told = {
    vendor,
    name: names[0] ?? card,
    ...(computeCapability !== undefined && { computeCapability }),
  }
  const known = { ...told, ...(gfx !== undefined && { gfx }) }
  const units = cores.length > 0 && { computeUnits: Math.max(...cores) }
  return {
    id,
    ...known,
    name: card,
    kind: sharedMemory ? 'integrated' : 'discrete',
    state: 'ok',
    sources: ['table'],
    memoryTotalBytes: memoryBytes,
    unifiedMemory: sharedMemory,
    facts: factsOf({ ...known, ...units, memoryTotalBytes: spec.vramGiB * gib }),
  }
}

/**
 * Cards that are delivered with ECC on and keep its bits in the memory itself: a T4 of 16 GiB tells 15360 MiB, an L40S
 * of 48 GiB 46068. Memory on the chip's own package (HBM) has room of its own for them.
 */
const cardsWithEcc = new Set(
  'Tesla P4,Tesla P40,Tesla M40 24GB,Tesla T4,A2,A10,A10G,A16,A40,L4,L20,L40,L40S'.split(','),
)
const eccShare = 1 / 16

/** What of a card's memory by name is never there for models. */
export function eccBytes({ card }: Pick<GpuSpec, 'card'>, memoryBytes: number): number {
  return cardsWithEcc.has(card) ? memoryBytes * eccShare : 0
}

/** What models may take of a device that nothing else uses. */
export function usableOf({ vendor, unifiedMemory, memoryTotalBytes }: Device): number {
  if (vendor === 'apple') {
    const { small, large, largeFromGiB } = metalShare
    return Math.floor(memoryTotalBytes * (memoryTotalBytes >= largeFromGiB * gib ? large : small))
  }
  if (unifiedMemory) return Math.floor(memoryTotalBytes * hostShare)
  return Math.max(0, memoryTotalBytes - driverBytes)
}

export interface DevicePlace {
  id: string
  node: string
  usableBytes: number
  engineName?: string | undefined
  degraded?: boolean
  watts?: number | undefined
  labels?: Readonly<Record<string, string>> | undefined
}

/** A device as plans know it: measured rates first, the table's second, a middling card's where nothing is known. */
export function planDeviceOf(device: Device, place: DevicePlace): PlanDevice {
  const { vendor, facts, memoryTotalBytes, computeCapability, numaNode } = device
  const { id, node, engineName, degraded, labels, watts = facts.tdpWatts?.value } = place
  const bandwidth = facts.bandwidthGBs
  const measured = bandwidth?.from === 'measured'
  const peak = peakFlops(device) ?? assumedFlopsPerS
  return {
    id,
    node,
    name: device.name,
    vendor,
    backend: backendOf(vendor, engineName),
    ...(engineName !== undefined && { engineName }),
    totalBytes: memoryTotalBytes,
    usableBytes: Math.min(place.usableBytes, memoryTotalBytes),
    memoryBytesPerS: bandwidth ? bandwidth.value * 1e9 : assumedBytesPerS,
    flopsPerS: measured ? peak * usualComputeShare : peak,
    ...(measured && { measured }),
    ...(device.unifiedMemory && { unifiedMemory: true }),
    ...(numaNode !== undefined && { numaNode }),
    ...(computeCapability !== undefined && { computeCapability }),
    ...(watts !== undefined && { watts }),
    ...(degraded && { degraded }),
    ...(labels && { labels }),
  }
}

/** The fastest of the precisions that weights are multiplied in; old cards have one that is of no use (Pascal's fp16). */
function peakFlops({ facts: { tflops } }: Device): number | undefined {
  const peaks = [tflops.fp32, tflops.fp16, tflops.bf16].filter((fact): fact is Fact => fact !== undefined)
  return peaks.length === 0 ? undefined : Math.max(...peaks.map(({ value }) => value)) * 1e12
}

/** From here on vLLM and SGLang have kernels for a card of NVIDIA's (Volta), and ExLlama (Ampere). */
const leastCapability = { vllm: 7, exllama: 8 }

/** Engines that a machine with these cards and nothing else known of it could run, the preferred one first. */
export function usualEngines(devices: readonly PlanDevice[]): EngineName[] {
  const served = (least: number) =>
    devices.length > 0 &&
    devices.every((device) => device.vendor === 'nvidia' && Number(device.computeCapability) >= least)
  const instinct = devices.length > 0 && devices.every(({ name }) => name.startsWith('Instinct'))
  return [
    'llama.cpp',
    'embedded',
    'ollama',
    ...(served(leastCapability.vllm) || instinct ? (['vllm', 'sglang'] as const) : []),
    ...(served(leastCapability.exllama) ? (['exllama'] as const) : []),
  ]
}
