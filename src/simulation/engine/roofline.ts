import type { EngineModel } from './contract.ts'

/** What a device can do at most, as its data sheet says. */
export interface DeviceRoofline {
  memoryBytesPerS: number
  /** Of the precision that the model is computed in. */
  flopsPerS: number
  memoryBytes: number
}

/** What of a model decides its speed. */
export interface ModelRoofline {
  /** Parameters that take part in one token; of a mixture of experts, the active ones. */
  activeParams: number
  /** Bytes of all weights. */
  weightBytes: number
  /** Bytes of the weights that one token reads; absent: all. */
  activeWeightBytes?: number
  kvBytesPerToken: number
  /** Kernels of one step; each costs its launch. Absent: 10 for each of 32 layers. */
  operations?: number
}

/** Of the data sheet's memory bandwidth, what decoding reaches (the constant of NVIDIA's aiconfigurator). */
const memoryEfficiency = 0.8
/** Of the data sheet's FLOPS, what prefill reaches. */
const computeEfficiency = 0.5
/** To launch one kernel (aiconfigurator). */
const operationMs = 0.003
/** What an engine keeps for itself besides weights and KV cache (aiconfigurator: 3.5 GiB). */
const otherBytes = 3.5 * 2 ** 30
/** From disk or page cache into the device, bytes per second, and what an engine takes to start. */
const loadBytesPerS = 2e9
const startMs = 3000

/** What is not a matter of the device: how an engine is set up. */
export type EngineSetup = Partial<
  Pick<EngineModel, 'chunkTokens' | 'slots' | 'kvTokens' | 'blockTokens' | 'loadMs'>
>

/**
 * An instance by the roofline: decoding reads the active weights once a step and each sequence's KV cache, at 0.8 of
 * the memory bandwidth; each token costs two operations a parameter, at 0.5 of the FLOPS.
 *
 * @throws RangeError where the weights leave no room for a KV cache.
 */
export function engineModelOf(
  device: DeviceRoofline,
  model: ModelRoofline,
  setup: EngineSetup = {},
): EngineModel {
  const bytesPerMs = (device.memoryBytesPerS * memoryEfficiency) / 1000
  const tokensPerMs = (device.flopsPerS * computeEfficiency) / (2 * model.activeParams) / 1000
  const kvBytes = device.memoryBytes - model.weightBytes - Math.min(otherBytes, device.memoryBytes * 0.1)
  const kvTokens = setup.kvTokens ?? Math.floor(kvBytes / model.kvBytesPerToken)
  if (kvTokens < 1) {
    throw new RangeError(
      `weights of ${gib(model.weightBytes)} leave no room for a KV cache in ${gib(device.memoryBytes)}: ` +
        'take a larger device or a smaller model',
    )
  }
  return {
    prefillTokensPerS: tokensPerMs * 1000,
    decodeBaseMs:
      (model.activeWeightBytes ?? model.weightBytes) / bytesPerMs + (model.operations ?? 320) * operationMs,
    decodePerRequestMs: 1 / tokensPerMs,
    decodePerKvTokenMs: model.kvBytesPerToken / bytesPerMs,
    chunkTokens: setup.chunkTokens ?? 2048,
    slots: setup.slots ?? 128,
    kvTokens,
    blockTokens: setup.blockTokens ?? 16,
    loadMs: setup.loadMs ?? startMs + (model.weightBytes / loadBytesPerS) * 1000,
  }
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
