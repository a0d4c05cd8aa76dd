import type { LayerShape, ModelShape } from '../contract.ts'
import type { Metadata, TensorFacts } from './facts.ts'

/** Routed experts, in one tensor for all of them (`ffn_up_exps`) or one each (`ffn_up.3`, of older files). */
const routedExpert = /^blk\.\d+\.ffn_(up|down|gate|gate_up)(_(ch)?exps\.|\.\d+\.)/
/** A CPU with AMX packs matrices whose rows come in so many (`TILE_N` of ggml's `amx/mmq.cpp`, twice). */
const packedRows = 32
const feedForward = /^blk\.\d+\.ffn_(up|up_exps|gate_up_exps|up\.0)\.weight$/

/** What each layer holds, by its tensors. A layer without a feed-forward tensor takes its width from the metadata. */
export function layersOf(
  tensors: readonly TensorFacts[],
  layerCount: number,
  metadata: Metadata,
  architecture: string,
): LayerShape[] {
  const stated = metadata[`${architecture}.feed_forward_length`]
  const matrices = Array.from({ length: layerCount }, (): Record<string, number> => ({}))
  const layers = matrices.map((matrixBytes, layer): LayerShape => {
    const length: unknown = Array.isArray(stated) ? stated[layer] : stated
    const feedForwardLength = typeof length === 'number' ? length : 0
    const none = { bytes: 0, expertBytes: 0, parameters: 0, expertParameters: 0, expertCount: 0 }
    return { ...none, feedForwardLength, matrixBytes }
  })
  for (const { name, type, shape, bytes } of tensors) {
    const [, index] = /^blk\.(\d+)\./.exec(name) ?? []
    const layer = index === undefined ? undefined : layers[Number(index)]
    if (layer === undefined) continue
    const parameters = shape.reduce((product, length) => product * length, 1)
    layer.bytes += bytes
    layer.parameters += parameters
    if (routedExpert.test(name)) {
      layer.expertBytes += bytes
      layer.expertMatrixBytes = Math.max(layer.expertMatrixBytes ?? 0, bytes)
      layer.expertParameters += parameters
      const numbered = /ffn_up\.(\d+)\.weight$/.exec(name)
      layer.expertCount = Math.max(layer.expertCount, numbered ? Number(numbered[1]) + 1 : (shape[2] ?? 0))
    } else if (shape.length === 2 && (shape[1] ?? 0) % packedRows === 0) {
      const ofLayer = matrices[Number(index)] ?? {}
      ofLayer[type] = (ofLayer[type] ?? 0) + bytes
    }
    if (name.endsWith('.ffn_up_shexp.weight')) layer.sharedLength = shape[1] ?? 0
    if (feedForward.test(name))
      layer.feedForwardLength = widthOf(name, shape[1] ?? 0, layer.feedForwardLength)
  }
  return layers
}

/** Gate and up together are twice as wide; Phi has both in one `ffn_up`, which only the metadata tells. */
function widthOf(name: string, rows: number, stated: number): number {
  if (name.includes('gate_up') || (stated > 0 && rows === 2 * stated)) return rows / 2
  return rows
}

/** How a model's layers are put together, told by the names and sizes of its tensors. */
export function wiringOf(
  tensors: readonly TensorFacts[],
): Pick<ModelShape, 'fusedQkv' | 'feedForward' | 'parallelLayers' | 'norms' | 'tabledPositions'> {
  const find = (name: string) =>
    tensors.find((tensor) => tensor.name.startsWith('blk.') && tensor.name.endsWith(`.${name}.weight`))
  const [up, down] = [find('ffn_up'), find('ffn_down')]
  const gated = find('ffn_gate') !== undefined
  const fused = !gated && up !== undefined && up.shape[1] === 2 * (down?.shape[0] ?? 0)
  const normsBetween = ['ffn_norm', 'attn_output_norm', 'post_attention_norm', 'attn_norm_2'].some(find)
  return {
    ...(find('attn_qkv') && { fusedQkv: true }),
    ...(up && !gated && { feedForward: fused ? 'fused' : 'plain' }),
    ...(find('attn_norm') && !normsBetween && { parallelLayers: true }),
    ...(!find('attn_norm') && normsAfter(find)),
    ...(tensors.some(({ name }) => name === 'position_embd.weight') && { tabledPositions: true }),
  }
}

function normsAfter(find: (name: string) => TensorFacts | undefined): Pick<ModelShape, 'norms'> {
  if (find('attn_output_norm')) return { norms: 'sums' }
  return find('post_attention_norm') ? { norms: 'results' } : {}
}
