import type { ModelShape } from '../../models/index.ts'
import type { LayerCosts, MemoryParts, ModelCosts, PartRole, PlanModel, RunShape } from '../contract.ts'
import {
  hostComputeBytes,
  outputBufferBytes,
  overlaps,
  partComputeBytes,
  wholeComputeBytes,
} from './compute.ts'
import { type Corrections, uncorrected } from './corrections.ts'
import { kvCacheByLayer } from './kv-cache.ts'
import { activeOf, headBytes, layersOf } from './layers.ts'
import { backendBytes, processBytes } from './overheads.ts'

/**
 * What `model` costs in memory and arithmetic when it is run as `run` says, layer by layer. Pure. Throws
 * `invalid_option` for a KV cache type that does not exist.
 */
export function costsOf(model: PlanModel, run: RunShape, corrections?: Corrections): ModelCosts {
  const { shape, embedding = false } = model
  const scale = corrections ?? uncorrected
  const known = new Map<number, number>()
  const buffers = new Map<string, number>()
  const computeBytes = (role: PartRole): number => {
    const key = keyOf(role)
    const bytes =
      known.get(key) ?? Math.ceil(scale.compute * partComputeBytes(shape, run, embedding, role, buffers))
    known.set(key, bytes)
    return bytes
  }
  const host = hostParts(shape, run, embedding, { devices: 1, tensorSize: 1 })
  let hostOfSeveral: MemoryParts | undefined
  return {
    layers: layerCosts(shape, run, scale),
    output: {
      weightsBytes: Math.ceil(scale.weights * headBytes(shape, { cpu: false, amx: false })),
      flopsPerToken: 2 * shape.embeddingLength * shape.vocabularySize,
    },
    projectorBytes: model.projectorBytes ?? 0,
    draftBytes: model.draft ? draftBytes(model.draft.shape, run) : 0,
    computeBytes,
    overheadBytes: ({ backend, tensorSize }) => backendBytes(backend, tensorSize),
    host,
    hostOf: (role) => {
      if (!overlaps(role)) return host
      hostOfSeveral ??= hostParts(shape, run, embedding, role)
      return hostOfSeveral
    },
  }
}

/** Layers of any model are fewer. */
const manyLayers = 2 ** 16

/** A number for all that a part's buffers depend on: this is asked for each part of each layout. */
function keyOf(role: PartRole): number {
  const [first, end] = role.layers
  const onHost = role.onHost === undefined ? 0 : role.onHost === 'layers' ? 1 : 2
  const flags = [role.backend === 'cpu', role.output, overlaps(role), role.borrows === true]
  const use = flags.reduce((bits, flag) => 2 * bits + Number(flag), onHost)
  return (use * manyLayers + first) * manyLayers + end
}

function layerCosts(shape: ModelShape, run: RunShape, scale: Corrections): LayerCosts[] {
  const caches = kvCacheByLayer(shape, run)
  return layersOf(shape).map((layer, index) => {
    const kvCacheBytes = Math.ceil(scale.kvCache * (caches[index] ?? 0))
    return {
      weightsBytes: Math.ceil(scale.weights * layer.bytes),
      expertBytes: Math.ceil(scale.weights * layer.expertBytes),
      kvCacheBytes,
      activeWeightsBytes: activeOf(layer.bytes, layer.expertBytes, layer, shape),
      kvReadBytes: kvCacheBytes / run.slots,
      flopsPerToken: 2 * activeOf(layer.parameters, layer.expertParameters, layer, shape),
    }
  })
}

/** All of a draft model on one device: it runs one sequence a slot in the same context. */
function draftBytes(shape: ModelShape, run: RunShape): number {
  const cache = kvCacheByLayer(shape, run).reduce((sum, bytes) => sum + bytes, 0)
  return Math.ceil(shape.weightBytes + cache + wholeComputeBytes(shape, run, false))
}

function hostParts(
  shape: ModelShape,
  run: RunShape,
  embedding: boolean,
  role: Pick<PartRole, 'devices' | 'tensorSize' | 'onHost'>,
): MemoryParts {
  const weightsBytes = shape.inputBytes
  const computeBytes = outputBufferBytes(shape, run) + hostComputeBytes(shape, run, embedding, role)
  const overheadBytes = processBytes(shape.vocabularySize)
  return {
    weightsBytes,
    kvCacheBytes: 0,
    computeBytes,
    overheadBytes,
    projectorBytes: 0,
    draftBytes: 0,
    totalBytes: weightsBytes + computeBytes + overheadBytes,
  }
}
