import type { ModelShape } from '../../models/index.ts'
import type { PartRole, RunShape } from '../contract.ts'
import { bufferBytes } from './allocator.ts'
import { type GraphPart, graphOf } from './graph.ts'
import { isSliding, physicalBatch } from './kv-cache.ts'
import { expertMatrixBytes, layersOf } from './layers.ts'

const f32Bytes = 4

/** Layers of a kind repeat: after so many of them the buffer is as large as it gets. */
const representative = 3

/** Where kinds alternate, what is left free between them counts, too: so many layers are looked at one by one. */
const alternating = 24

/** Host buffer that results are copied to: a row of logits for each slot. */
export function outputBufferBytes(shape: ModelShape, run: RunShape): number {
  return f32Bytes * run.slots * shape.vocabularySize
}

/** Compute buffers of an instance on one device: its own, and the host's. */
export function deviceComputeBytes(shape: ModelShape, run: RunShape, embedding: boolean): number {
  const role = {
    tensorSize: 1,
    devices: 1,
    output: true,
    backend: 'cuda',
    layers: [0, shape.layerCount],
  } as const
  return partComputeBytes(shape, run, embedding, role) + hostComputeBytes(shape, run, embedding, role)
}

/** Compute buffer of an instance that has everything in host memory. */
export function wholeComputeBytes(shape: ModelShape, run: RunShape, embedding: boolean): number {
  const layers = representativeLayers(shape, 0, shape.layerCount)
  return bufferBytes(graphOf(shape, run, embedding, { layers, begins: 'tokens', ends: true, copies: 1 }))
}

/**
 * Compute buffer of a part that may have some of the layers, on a device or on the CPU. `known` keeps what was worked
 * out for the same shape, run and use: parts whose layers are of the same kinds take the same.
 */
export function partComputeBytes(
  shape: ModelShape,
  run: RunShape,
  embedding: boolean,
  role: PartRole,
  known: Map<string, number> = new Map(),
): number {
  const [first, end] = role.layers
  if (first >= end && !role.output) return 0
  const onCpu = role.backend === 'cpu'
  const part: GraphPart = {
    layers: representativeLayers(shape, first, end),
    begins: first > 0 ? 'hidden' : onCpu ? 'tokens' : 'embeddings',
    ends: role.output,
    copies: onCpu ? 1 : copiesOf(role),
    borrowsExperts: role.borrows === true && role.onHost === 'experts',
  }
  const kinds = layerKinds(shape)
  const alike = part.layers.map((layer) => kinds[layer]).join(' ')
  const key = `${part.begins} ${part.ends} ${part.copies} ${part.borrowsExperts} ${alike}`
  const bytes = known.get(key) ?? bufferBytes(graphOf(shape, run, embedding, part))
  known.set(key, bytes)
  return bytes + (role.borrows && role.onHost === 'layers' ? borrowedBytes(shape, run) : 0)
}

/** The host's share of a computation whose layers are all on devices: inputs, and the looked-up embeddings. */
export function hostComputeBytes(
  shape: ModelShape,
  run: RunShape,
  embedding: boolean,
  role: Company,
): number {
  const part = { layers: [], begins: 'lookup', ends: false, copies: copiesOf(role) } as const
  return bufferBytes(graphOf(shape, run, embedding, part))
}

/** Devices in a row work on so many batches at once (`GGML_SCHED_MAX_COPIES`). */
const overlappingBatches = 4

type Company = Pick<PartRole, 'devices' | 'tensorSize' | 'onHost'>

/** With weights in host memory the batches follow one another (`pipeline_parallel` of `llama-context.cpp`). */
export function overlaps({ devices, tensorSize, onHost }: Company): boolean {
  return devices > tensorSize && onHost === undefined
}

function copiesOf(role: Company): number {
  return overlaps(role) ? overlappingBatches : 1
}

/** What crosses between host and device with a matrix that the device borrows: hidden states, to it and back. */
const crossingStates = 3

/** The largest matrix of a layer, all of its experts', which a device copies to itself where the host has it. */
function borrowedBytes(shape: ModelShape, run: RunShape): number {
  const largest = layersOf(shape).reduce((most, layer) => {
    const { bytes, expertBytes, parameters, feedForwardLength } = layer
    const share = parameters > 0 ? (shape.embeddingLength * feedForwardLength) / parameters : 1
    return Math.max(most, expertBytes > 0 ? expertMatrixBytes(layer) : bytes * Math.min(1, share))
  }, 0)
  return largest + crossingStates * f32Bytes * physicalBatch(run) * shape.embeddingLength
}

const kindsOf = new WeakMap<ModelShape, readonly number[]>()

/** Of each layer a number that is the same for layers whose computation takes the same. */
function layerKinds(shape: ModelShape): readonly number[] {
  const known = kindsOf.get(shape)
  if (known) return known
  const numbers = new Map<string, number>()
  const kinds = layersOf(shape).map(({ feedForwardLength, expertCount, sharedLength }, layer) => {
    const heads = shape.headCountKv[layer]
    const text = `${isSliding(shape, layer)} ${heads} ${feedForwardLength} ${expertCount} ${sharedLength}`
    const number = numbers.get(text) ?? numbers.size
    numbers.set(text, number)
    return number
  })
  kindsOf.set(shape, kinds)
  return kinds
}

/** Layers of a range, without the many that are like those before them. */
function representativeLayers(shape: ModelShape, first: number, end: number): number[] {
  const kinds = layerKinds(shape).slice(first, Math.max(first, end))
  const looked = new Set(kinds).size > 1 ? alternating : 0
  const seen = new Map<number, number>()
  return kinds.flatMap((kind, index) => {
    const count = seen.get(kind) ?? 0
    seen.set(kind, count + 1)
    return index < looked || count < representative || index === kinds.length - 1 ? [first + index] : []
  })
}
