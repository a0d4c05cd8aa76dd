/**
 * What the planner is told, and what it says. Everything is data: no clock, no file and no process is behind it, so a
 * plan for machines that nobody has is worked out as one for this machine.
 */
import type { EngineName } from '../engines/index.ts'
import type { LinkClass, Vendor } from '../hardware/index.ts'
import type { ModelShape } from '../models/index.ts'

export type Strategy = 'single' | 'data' | 'tensor' | 'pipeline' | 'hybrid'

/** The code that computes on a device. Devices of several backends can serve one llama.cpp process. */
export type Backend = 'cuda' | 'rocm' | 'sycl' | 'vulkan' | 'metal' | 'cpu'

/** A GPU that layers can lie on; a node's CPU is in `PlanNode`. */
export interface PlanDevice {
  id: string
  node: string
  name: string
  vendor: Vendor
  backend: Backend
  /** What the engine calls it on its node (`CUDA0`), where that is known. */
  engineName?: string
  /** Memory of the device in all, and what a plan may take of it: less reserves, other programs, other models. */
  totalBytes: number
  usableBytes: number
  /** Measured rates first, the specification's peak else. */
  memoryBytesPerS: number
  flopsPerS: number
  /** The rates were measured through an engine: nothing is to be taken off for what software gets of a peak. */
  measured?: boolean
  /** It shares the host's memory: what it takes is gone from `PlanNode.usableBytes`. */
  unifiedMemory?: boolean
  numaNode?: number
  /** NVIDIA's, as `8.9`: what precisions and engines it takes. */
  computeCapability?: string
  watts?: number
  /** Slowed down or in doubt: taken after the healthy ones. */
  degraded?: boolean
  labels?: Readonly<Record<string, string>>
}

/** A machine. */
export interface PlanNode {
  id: string
  /** Where its RPC worker is reached, as `host:port`; absent: where it usually is. */
  address?: string
  /** Host memory that models may take. */
  usableBytes: number
  memoryBytesPerS: number
  flopsPerS: number
  /** Engines that it can start, the preferred one first. */
  engines: readonly EngineName[]
  /** It can start llama.cpp's RPC worker. */
  rpc: boolean
  numaNodes?: number
}

/** The way between two devices of a node, or (`lan`) between two nodes. */
export interface PlanLink {
  a: string
  b: string
  class: LinkClass | 'lan'
  /** Each way. */
  bytesPerS: number
  latencyS: number
  /** One device may read the other's memory. */
  peerAccess?: boolean
}

/** Links that are not told are taken by their class: see `speed/links.ts`. */
export interface Inventory {
  nodes: readonly PlanNode[]
  devices: readonly PlanDevice[]
  links: readonly PlanLink[]
}

/** What is to run. */
export interface PlanModel {
  name: string
  shape: ModelShape
  /** `gguf` runs on llama.cpp, embedded and Ollama; `safetensors` on vLLM, SGLang and their kind; `exl` on TabbyAPI. */
  format: 'gguf' | 'safetensors' | 'exl'
  /** `Q4_K_M`, `F16`, `fp8`. */
  fileType: string
  embedding?: boolean
  /** The projector's file, which lies with the first layers. */
  projectorBytes?: number
  /** A small model of the same vocabulary that guesses ahead. */
  draft?: { name: string; shape: ModelShape }
}

/** What is asked for; what is left open the planner chooses. */
export interface PlanWishes {
  /** Tokens of a slot. Absent: as many as the model was trained for, or as fit, at least 4096. */
  contextLength?: number
  /** Context where none was asked for. */
  defaultContextLength?: number
  slots?: number
  /** `auto`: 8 bits with flash attention where 16 would need host memory or fit nowhere. Absent: `f16`. */
  kvCacheType?: string
  batchSize?: number
  flashAttention?: 'auto' | 'on' | 'off'
  /** The most where `slots` and `contextLength` are open, for the sake of other models beside it. */
  beside?: { slots?: number; contextLength?: number }
  /** Absent: whichever is best. */
  strategy?: Strategy
  /** Instances with `data` and `hybrid`; absent: as many as there is room for. */
  replicas?: number
  /** Devices that share each layer. */
  tensorSize?: number
  /** Stages of a pipeline. */
  pipelineSize?: number
  /** The only devices, nodes or labels (`vendor=amd`) to take. */
  pins?: readonly string[]
  /** Devices or nodes not to take. */
  avoid?: readonly string[]
  /** Nodes or devices with these are taken first (affinity) or last (anti-affinity). */
  prefer?: readonly string[]
  shun?: readonly string[]
  /** Kept free on each device. */
  reserveBytes?: number
  /** All devices of a plan together draw no more. */
  maxWatts?: number
  /** Devices of several vendors in one instance; true by default. */
  crossVendor?: boolean
  /** Layers on the CPU where the GPUs are too small; true by default. */
  cpuOffload?: boolean
  /** Experts in host memory before whole layers; true by default. */
  expertOffload?: boolean
  /** Other nodes by RPC; true by default. */
  acrossNodes?: boolean
  /** Engines that may be taken, the preferred one first; absent: those of the node. */
  engines?: readonly EngineName[]
  /** `performance_aware` by default. */
  algorithm?: 'memory_only' | 'performance_aware' | 'power_aware'
  /** What is to be best: one stream's speed (default), or all streams' together. */
  objective?: 'latency' | 'throughput'
  /** What of the layers each stage gets: as many bytes as the others, by its memory, or (default) by its speed. */
  division?: 'balanced' | 'memory_aware' | 'performance_aware'
  /** The only vendor whose devices may share a layer: NCCL adds up on NVIDIA's only, RCCL on AMD's. */
  tensorVendor?: Vendor
  /** `balanced`: every stage gets as much of the KV cache as the others, as far as it fits. */
  kvCacheDistribution?: 'by_layer' | 'balanced'
  /** What a token takes longer over devices of several vendors, as a share: 0.1 is a tenth. */
  coordinationOverhead?: number
  /** Stages compute while they hand over; true by default. */
  overlapCommunication?: boolean
  /** Slots for each of `pipelineSize` stages, where `slots` is absent. */
  microBatchSize?: number
}

/** How an instance is run, as far as memory and speed follow from it. */
export interface RunShape {
  /** Tokens of each slot. */
  contextLength: number
  slots: number
  kvCacheType: string
  batchSize: number
  flashAttention: 'auto' | 'on' | 'off'
  /**
   * The engine keeps room for the logits of a whole batch (embedded, llama-servers before 2026's), not only for those
   * of each slot's last token.
   */
  batchLogits?: boolean
}

/** What one layer takes, and what a token costs in it. */
export interface LayerCosts {
  weightsBytes: number
  /** Of these, the experts' (those that can be left in host memory). */
  expertBytes: number
  kvCacheBytes: number
  /** Of the weights and of a full slot's cache, what one token of one stream reads. */
  activeWeightsBytes: number
  kvReadBytes: number
  flopsPerToken: number
}

/** Part of an instance, for what its buffers take. */
export interface PartRole {
  backend: Backend
  layers: readonly [first: number, end: number]
  output: boolean
  /** Parts that share its layers, itself among them. */
  tensorSize: number
  /** Devices of the whole instance. */
  devices: number
  /** What of the instance's weights lies in host memory, too; batches do not overlap then. */
  onHost?: 'layers' | 'experts' | undefined
  /** The first device of the engine's list: long batches bring it what lies in host memory, one matrix at a time. */
  borrows?: boolean
}

/** A model under a `RunShape`, worked out once; a planner asks it for each layout. */
export interface ModelCosts {
  layers: readonly LayerCosts[]
  /** The head (and a tied embedding's copy), with what a token costs in it. */
  output: { weightsBytes: number; flopsPerToken: number }
  projectorBytes: number
  /** Weights, cache and buffers of the draft model, which lies on one device. */
  draftBytes: number
  /** Compute buffers of a part. */
  computeBytes(role: PartRole): number
  /** The backend's own on a device: its context, graphs, communication. */
  overheadBytes(role: PartRole): number
  /** Host memory beside `cpu` parts: input embedding, output buffer, the process. Of an instance on one device. */
  host: MemoryParts
  /** The same of an instance on several devices, which keeps more inputs where they work one after the other. */
  hostOf(role: Pick<PartRole, 'devices' | 'tensorSize' | 'onHost'>): MemoryParts
}

/** What a model takes of one device, or of a node's host memory. */
export interface MemoryParts {
  weightsBytes: number
  kvCacheBytes: number
  computeBytes: number
  /** The backend's own: context, graphs, communication. */
  overheadBytes: number
  projectorBytes: number
  draftBytes: number
  totalBytes: number
}

/** One device's part of an instance. Parts of one `stage` share its layers as tensors; stages follow each other. */
export interface PlanPart {
  /** A device's id, or a node's for its CPU. */
  deviceId: string
  node: string
  kind: 'gpu' | 'cpu'
  stage: number
  /** First layer, and the one after the last; equal where it has no layer. */
  layers: readonly [first: number, end: number]
  /** Share of each tensor: 1 but in a tensor split. */
  share: number
  /** Layers of these whose experts lie in host memory. */
  hostExperts: readonly number[]
  /** It has the output head. */
  output: boolean
  memory: MemoryParts
  /** Reached by llama.cpp's RPC. */
  remote: boolean
}

/** An engine process to be, with all of its devices. */
export interface PlanInstance {
  engine: EngineName
  /** Where the process itself runs. */
  node: string
  splitMode: 'none' | 'layer' | 'row' | 'tensor'
  tensorSize: number
  pipelineSize: number
  /** In the order of the stages, the host's part last. */
  parts: readonly PlanPart[]
  /** What the host's memory holds besides parts of kind `cpu`: input embedding, output buffers, experts. */
  host: MemoryParts
  contextLength: number
  slots: number
  kvCacheType: string
  /** The device that the draft model lies on. */
  draftDeviceId?: string
}

export interface PlanSpeed {
  /** One stream alone, and all slots of all instances together. */
  decodeTokensPerS: number
  throughputTokensPerS: number
  prefillTokensPerS: number
  /** Of a prompt of `promptTokens`, nothing of it in a cache. */
  ttftMs: number
  promptTokens: number
  watts?: number
}

export interface Plan {
  strategy: Strategy
  /** Where several variants of the model were offered: which one. */
  model: string
  instances: readonly PlanInstance[]
  speed: PlanSpeed
  /** Sentences, in the order of the decisions. */
  reasons: readonly string[]
}

/** A layout that was not taken, with why. */
export interface Rejected {
  /** `tensor over 4 x RTX 3090`. */
  what: string
  reason: string
}

export type PlanResult =
  | {
      ok: true
      /** Best first. */
      plans: readonly [Plan, ...Plan[]]
      rejected: readonly Rejected[]
    }
  | {
      ok: false
      /** Readable by whoever asked. */
      message: string
      neededBytes: number
      usableBytes: number
      /** What would help, one phrase each. */
      suggestions: readonly string[]
      rejected: readonly Rejected[]
    }
