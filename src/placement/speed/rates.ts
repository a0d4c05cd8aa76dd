import type { PlanDevice, PlanNode } from '../contract.ts'

/** Of a specification's memory bandwidth, what decoding reaches (the constant of NVIDIA's aiconfigurator). */
const memoryEfficiency = 0.8
/** Of a specification's FLOPS, what a prompt's matrix products reach. */
const computeEfficiency = 0.5
/** Of a CPU's memory bandwidth: its channels are read by cores that have to unpack weights as well. */
const cpuMemoryEfficiency = 0.7

/** Kernels of a layer that are launched one after the other, and what each costs beside its arithmetic (aiconfigurator). */
const operationsPerLayer = 10
const operationS = 3e-6
/** Threads of a CPU meet after each operation. */
const cpuOperationS = 5e-6

/** What a device does for a model. */
export interface Rates {
  memoryBytesPerS: number
  flopsPerS: number
  /** Of one layer, whatever the batch. */
  layerOverheadS: number
}

export function ratesOf(device: PlanDevice): Rates {
  const onCpu = device.backend === 'cpu'
  const memoryShare = device.measured ? 1 : onCpu ? cpuMemoryEfficiency : memoryEfficiency
  return {
    memoryBytesPerS: Math.max(1, device.memoryBytesPerS * memoryShare),
    flopsPerS: Math.max(1, device.flopsPerS * (device.measured ? 1 : computeEfficiency)),
    layerOverheadS: operationsPerLayer * (onCpu ? cpuOperationS : operationS),
  }
}

/** A node's CPU as llama.cpp uses it. */
export function hostRatesOf(node: PlanNode): Rates {
  return {
    memoryBytesPerS: Math.max(1, node.memoryBytesPerS * cpuMemoryEfficiency),
    flopsPerS: Math.max(1, node.flopsPerS * computeEfficiency),
    layerOverheadS: operationsPerLayer * cpuOperationS,
  }
}
