import type { EngineName } from '../../engines/index.ts'
import type { Backend, PlanDevice, PlanModel, PlanNode, PlanWishes } from '../contract.ts'

/** Engines that read a format, the preferred one first. */
const enginesByFormat: Readonly<Record<PlanModel['format'], readonly EngineName[]>> = {
  gguf: ['llama.cpp', 'embedded', 'ollama'],
  safetensors: ['vllm', 'sglang'],
  exl: ['exllama'],
}

const backendsOf: Readonly<Partial<Record<EngineName, readonly Backend[]>>> = {
  embedded: ['cuda', 'vulkan', 'metal', 'cpu'],
  ollama: ['cuda', 'rocm', 'vulkan', 'metal', 'cpu'],
  vllm: ['cuda', 'rocm', 'sycl'],
  sglang: ['cuda', 'rocm'],
  exllama: ['cuda'],
}

/** NVIDIA's compute capability that an engine's kernels ask for. */
const leastCapability: Readonly<Partial<Record<EngineName, number>>> = { vllm: 7, sglang: 7.5, exllama: 8 }
/** Weights in 8-bit floats: computed in natively from 8.9 on, unpacked (Marlin) from 8.0 on. */
const fp8Capability = 8

/** vLLM and SGLang take this part of a device for themselves (`--gpu-memory-utilization`), and leave the rest alone. */
const takenShare = 0.9

/** Devices of one llama.cpp process: the scheduler of ggml knows no more. */
export const mostLlamaDevices = 16

/** What an engine can do with several devices. */
export interface EngineAbilities {
  /** Stages that follow each other, tensors divided, and both at once. */
  pipeline: boolean
  tensor: boolean
  both: boolean
  mixedBackends: boolean
  /** Layers or experts on the CPU. */
  host: boolean
  /** How it reaches other nodes. */
  acrossNodes: 'rpc' | 'own' | 'no'
  mostDevices: number
}

const nothing: EngineAbilities = {
  pipeline: false,
  tensor: false,
  both: false,
  mixedBackends: false,
  host: false,
  acrossNodes: 'no',
  mostDevices: 1,
}
const spread = { ...nothing, pipeline: true, tensor: true, mostDevices: Number.POSITIVE_INFINITY }

const abilities: Readonly<Record<EngineName, EngineAbilities>> = {
  'llama.cpp': {
    ...spread,
    mixedBackends: true,
    host: true,
    acrossNodes: 'rpc',
    mostDevices: mostLlamaDevices,
  },
  embedded: { ...nothing, host: true },
  ollama: { ...nothing, host: true },
  vllm: { ...spread, both: true, acrossNodes: 'own' },
  sglang: { ...spread, both: true, acrossNodes: 'own' },
  exllama: spread,
  openai: nothing,
}

export function abilitiesOf(engine: EngineName): EngineAbilities {
  return abilities[engine]
}

/** Engines of a node that can run the model, the preferred one first. */
export function enginesOf(model: PlanModel, node: PlanNode, wishes: PlanWishes): EngineName[] {
  const able = enginesByFormat[model.format]
  const order = wishes.engines ?? node.engines
  return order.filter((engine) => able.includes(engine) && node.engines.includes(engine))
}

/** Whether an engine has code for a device. */
export function runsOn(engine: EngineName, device: PlanDevice, model: PlanModel): boolean {
  const backends = backendsOf[engine]
  if (backends && !backends.includes(device.backend)) return false
  if (device.backend !== 'cuda' || device.computeCapability === undefined) return true
  const capability = Number(device.computeCapability)
  const fp8 = model.format === 'safetensors' && /fp8|f8/i.test(model.fileType)
  return capability >= Math.max(leastCapability[engine] ?? 0, fp8 ? fp8Capability : 0)
}

/** Memory of a device that an engine can be told to take. */
export function usableFor(engine: EngineName, device: PlanDevice): number {
  if (engine !== 'vllm' && engine !== 'sglang') return device.usableBytes
  return Math.min(device.usableBytes, device.totalBytes * takenShare)
}

/** Formats other than GGUF keep the input embedding on the devices. */
export function embedsOnDevice({ format }: PlanModel): boolean {
  return format !== 'gguf'
}
