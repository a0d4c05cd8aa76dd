import type { LayerCosts, ModelCosts } from '../contract.ts'

/** Running sums over a model's layers: `sums[end] - sums[first]` is what the layers `first` to `end` take together. */
export interface LayerSums {
  weightsBytes: Float64Array
  expertBytes: Float64Array
  kvCacheBytes: Float64Array
  kvReadBytes: Float64Array
  flops: Float64Array
  /** Weights that a step of `batch` tokens reads, without those of the experts. */
  denseBytes: Float64Array
  /** Of the experts' weights, those that a step of `batch` tokens reads. */
  expertReads(batch: number): Float64Array
}

const known = new WeakMap<ModelCosts, LayerSums>()

export function layerSumsOf(costs: ModelCosts): LayerSums {
  const before = known.get(costs)
  if (before) return before
  const sum = (of: (layer: LayerCosts) => number) => runningSum(costs.layers, of)
  const reads = new Map<number, Float64Array>()
  const sums: LayerSums = {
    weightsBytes: sum((layer) => layer.weightsBytes),
    expertBytes: sum((layer) => layer.expertBytes),
    kvCacheBytes: sum((layer) => layer.kvCacheBytes),
    kvReadBytes: sum((layer) => layer.kvReadBytes),
    flops: sum((layer) => layer.flopsPerToken),
    denseBytes: sum((layer) => Math.max(0, layer.weightsBytes - layer.expertBytes)),
    expertReads: (batch) => {
      let read = reads.get(batch)
      if (!read) {
        read = sum((layer) => layer.expertBytes * expertShare(layer, batch))
        reads.set(batch, read)
      }
      return read
    },
  }
  known.set(costs, sums)
  return sums
}

/**
 * Of a layer's experts, the share that a step of `batch` tokens wakes, each token drawing its own: with the share `p`
 * of one token, `1 - (1 - p)^batch` (as in Parallax).
 */
export function expertShare(layer: LayerCosts, batch: number): number {
  if (layer.expertBytes <= 0) return 0
  const dense = layer.weightsBytes - layer.expertBytes
  const ofOne = Math.min(1, Math.max(0, (layer.activeWeightsBytes - dense) / layer.expertBytes))
  return 1 - (1 - ofOne) ** batch
}

function runningSum(layers: readonly LayerCosts[], of: (layer: LayerCosts) => number): Float64Array {
  const sums = new Float64Array(layers.length + 1)
  layers.forEach((layer, at) => {
    sums[at + 1] = (sums[at] ?? 0) + of(layer)
  })
  return sums
}

/** What the layers from `first` up to `end` (not with it) take of a running sum. */
export function between(sums: Float64Array, first: number, end: number): number {
  return (sums[end] ?? 0) - (sums[first] ?? 0)
}
