import { encodeF32 } from '../../src/models/gguf/quantize.ts'
import { type GgufMetadata, type GgufTensor, gguf, writeGguf } from '../../src/models/gguf/write.ts'
import { randomTensor } from './random-weights.ts'

/** What a synthetic projector looks like. */
export interface ProjectorShape {
  /** Width of the hidden states of the model that it projects into. */
  readonly modelDim: number
  /** Width of the image encoder. */
  readonly dim?: number
  readonly layers?: number
  readonly heads?: number
  /** Pixels of the square that every image is scaled to. */
  readonly imageSize?: number
  readonly patchSize?: number
  readonly seed?: number
}

type Sizes = Required<Omit<ProjectorShape, 'seed'>>

/**
 * Writes the projector of a model that sees: a vision transformer with random weights and a two-layer projection, as
 * LLaVA 1.5 has them, in the layout of llama.cpp's `--mmproj` files. An image becomes `(imageSize / patchSize)²` tokens.
 * The same shape and seed give the same bytes. Returns the file's length in bytes.
 */
export function writeSyntheticProjector(path: string, shape: ProjectorShape): Promise<number> {
  const sizes = { dim: 32, layers: 2, heads: 2, imageSize: 28, patchSize: 14, ...shape }
  return writeGguf(path, { metadata: metadataOf(sizes), tensors: tensorsOf(sizes, shape.seed ?? 1) })
}

function metadataOf({ dim, layers, heads, imageSize, patchSize, modelDim }: Sizes): GgufMetadata {
  return {
    'general.architecture': gguf.string('clip'),
    'general.type': gguf.string('mmproj'),
    'general.name': gguf.string('Synthetic projector'),
    'general.file_type': gguf.uint32(0),
    'clip.has_vision_encoder': gguf.bool(true),
    'clip.projector_type': gguf.string('mlp'),
    'clip.use_gelu': gguf.bool(true),
    'clip.vision.image_size': gguf.uint32(imageSize),
    'clip.vision.patch_size': gguf.uint32(patchSize),
    'clip.vision.embedding_length': gguf.uint32(dim),
    'clip.vision.feed_forward_length': gguf.uint32(dim * 2),
    'clip.vision.block_count': gguf.uint32(layers),
    'clip.vision.attention.head_count': gguf.uint32(heads),
    'clip.vision.attention.layer_norm_epsilon': gguf.float32(1e-5),
    'clip.vision.projection_dim': gguf.uint32(modelDim),
    'clip.vision.image_mean': gguf.float32s([0.5, 0.5, 0.5]),
    'clip.vision.image_std': gguf.float32s([0.5, 0.5, 0.5]),
  }
}

function tensorsOf({ dim, layers, imageSize, patchSize, modelDim }: Sizes, seed: number): GgufTensor[] {
  let stream = 0
  const matrix = (name: string, ...shape: number[]): GgufTensor => {
    const own = stream++
    const deviation = (shape[0] ?? 1) ** -0.5
    return { name, type: 'F32', shape, data: () => randomTensor('F32', shape, deviation, seed, own) }
  }
  const filled = (name: string, width: number, value: number): GgufTensor => ({
    name,
    type: 'F32',
    shape: [width],
    data: () => [encodeF32(new Float32Array(width).fill(value))],
  })
  const linear = (name: string, from: number, to: number) => [
    matrix(`${name}.weight`, from, to),
    filled(`${name}.bias`, to, 0),
  ]
  const norm = (name: string) => [filled(`${name}.weight`, dim, 1), filled(`${name}.bias`, dim, 0)]
  const block = (index: number) => {
    const at = `v.blk.${index}`
    const attention = ['attn_q', 'attn_k', 'attn_v', 'attn_out']
    return [
      ...norm(`${at}.ln1`),
      ...attention.flatMap((part) => linear(`${at}.${part}`, dim, dim)),
      ...norm(`${at}.ln2`),
      ...linear(`${at}.ffn_up`, dim, dim * 2),
      ...linear(`${at}.ffn_down`, dim * 2, dim),
    ]
  }
  const patches = (imageSize / patchSize) ** 2
  return [
    filled('v.class_embd', dim, 0),
    matrix('v.patch_embd.weight', patchSize, patchSize, 3, dim),
    matrix('v.position_embd.weight', dim, patches + 1),
    ...norm('v.pre_ln'),
    ...Array.from({ length: layers }, (_, index) => block(index)).flat(),
    ...linear('mm.0', dim, modelDim),
    ...linear('mm.2', modelDim, modelDim),
  ]
}
