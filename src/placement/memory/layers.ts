import type { LayerShape, ModelShape } from '../../models/index.ts'

/** Each layer of a model; where the shape tells only bytes, the rest is taken to be the same in all of them. */
export function layersOf(shape: ModelShape): readonly LayerShape[] {
  if (shape.layers !== undefined) return shape.layers
  const inLayers = shape.layerBytes.reduce((sum, bytes) => sum + bytes, 0)
  const experts = shape.expertCount ?? 0
  return shape.layerBytes.map((bytes) => {
    const parameters = inLayers > 0 ? Math.round(shape.parameterCount * (bytes / shape.weightBytes)) : 0
    // Gate, up and down of each expert; attention takes the rest.
    const expertParameters =
      experts > 0 ? Math.min(parameters, 3 * experts * shape.embeddingLength * shape.feedForwardLength) : 0
    return {
      bytes,
      expertBytes: parameters > 0 ? Math.round((bytes * expertParameters) / parameters) : 0,
      parameters,
      expertParameters,
      feedForwardLength: shape.feedForwardLength,
      expertCount: experts,
    }
  })
}

/** Gate, up and down of all experts are matrices of one size, where the file does not tell their types. */
export function expertMatrixBytes(layer: LayerShape): number {
  return layer.expertMatrixBytes ?? layer.expertBytes / 3
}

/** Of a layer's numbers (or bytes), what one token uses: of the routed experts only its own. */
export function activeOf(all: number, experts: number, layer: LayerShape, shape: ModelShape): number {
  if (layer.expertCount === 0) return all
  const used = Math.min(layer.expertCount, Math.max(1, shape.expertUsedCount ?? 1))
  return Math.round(all - experts + (experts * used) / layer.expertCount)
}

/** How much larger a CPU with AMX keeps a matrix, which it packs for its tiles (`ggml-cpu/amx/mmq.cpp`). */
const amxGrowth: Readonly<Record<string, number>> = {
  Q8_0: 4 / 34,
  Q4_K: 4 / 144,
  Q5_K: 4 / 176,
  IQ4_XS: 2 / 136,
}

/** Types that a CPU keeps in an order of its own, apart from the file's. */
const repacked = /^(Q4_0|Q4_K|IQ4_NL|MXFP4)$/
const repackedByAmx = /^(F16|Q4_0|Q4_1|Q8_0|Q[456]_K|IQ4_XS)$/

/** Of how many rows each a matrix must be, for AMX and for other CPUs. */
const amxRows = 32
const repackedRows = 8

/** Bytes that a layer takes of host memory beyond its tensors, on a CPU with AMX. */
export function amxBytesOf(layer: LayerShape): number {
  return Object.entries(layer.matrixBytes ?? {}).reduce(
    (sum, [type, bytes]) => sum + bytes * (amxGrowth[type] ?? 0),
    0,
  )
}

/**
 * Bytes of the head: output matrix and norm. A tied embedding is copied to the device that has the head; a CPU copies
 * it only where it repacks matrices of its type.
 */
export function headBytes(shape: ModelShape, on: { cpu: boolean; amx: boolean }): number {
  const { outputType = '' } = shape
  const matrix = shape.tiedEmbeddings ? shape.inputBytes : shape.outputBytes
  const takes = (rows: number, types: RegExp) => shape.vocabularySize % rows === 0 && types.test(outputType)
  const tiled = on.cpu && on.amx && takes(amxRows, repackedByAmx)
  const packed = tiled ? matrix * (amxGrowth[outputType] ?? 0) : 0
  if (!shape.tiedEmbeddings) return shape.outputBytes + packed
  const copied = !on.cpu || tiled || takes(repackedRows, repacked)
  return shape.outputBytes + (copied ? shape.inputBytes + packed : 0)
}
