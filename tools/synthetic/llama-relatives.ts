import { gguf } from '../../src/models/gguf/write.ts'
import {
  type Architecture,
  attention,
  bias,
  decoder,
  embedding,
  expertCounts,
  feedForward,
  headSizes,
  layersOf,
  matrix,
  norm,
  output,
  rms,
  rope,
  type Sizes,
  type TensorPlan,
  tied,
} from './tensor-plans.ts'

/** Llama's tensors under another name. */
export const mistral3: Architecture = {
  name: () => 'mistral3',
  tensors: (sizes) => decoder(sizes),
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes) }),
}

/** Llama's tensors, the input embedding as output, and every sum scaled. */
export const granite: Architecture = {
  name: ({ experts }) => (experts > 0 ? 'granitemoe' : 'granite'),
  tensors: (sizes) => tied(decoder(sizes), sizes),
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    ...expertCounts(sizes),
    logit_scale: gguf.float32(8),
    residual_scale: gguf.float32(0.22),
    embedding_scale: gguf.float32(12),
    'attention.scale': gguf.float32(0.0078125),
  }),
}

/** Norms after attention and after the feed-forward part, none before them. */
const normsAfter = (sizes: Sizes, own: (at: string) => TensorPlan[]): TensorPlan[] =>
  decoder(sizes, (at) => [
    ...own(at),
    norm(`${at}.post_attention_norm`, sizes.dim),
    norm(`${at}.post_ffw_norm`, sizes.dim),
  ]).filter(({ name }) => !/\.(attn|ffn)_norm\.weight$/.test(name))

/** Norms over all query and key heads at once; with a window, in three of four layers. */
export const olmo2: Architecture = {
  name: () => 'olmo2',
  tensors: (sizes) =>
    normsAfter(sizes, (at) => [
      norm(`${at}.attn_q_norm`, sizes.heads * sizes.headDim),
      norm(`${at}.attn_k_norm`, sizes.kvHeads * sizes.headDim),
    ]),
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    'attention.sliding_window': gguf.uint32(sizes.window),
  }),
}

export const exaone4: Architecture = {
  name: () => 'exaone4',
  tensors: (sizes) =>
    normsAfter(sizes, (at) => [
      norm(`${at}.attn_q_norm`, sizes.headDim),
      norm(`${at}.attn_k_norm`, sizes.headDim),
    ]),
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes) }),
}

/** Norms before and after each part, and one matrix that widens and gates. */
export const glm4: Architecture = {
  name: () => 'glm4',
  tensors: (sizes) => {
    const { dim, ffn } = sizes
    const layers = layersOf(sizes, (at) => [
      ...attention(at, sizes),
      norm(`${at}.post_attention_norm`, dim),
      norm(`${at}.ffn_norm`, dim),
      matrix(`${at}.ffn_up`, dim, 2 * ffn),
      matrix(`${at}.ffn_down`, ffn, dim),
      norm(`${at}.post_ffw_norm`, dim),
    ])
    return [embedding(sizes), ...layers, norm('output_norm', dim), output(sizes)]
  },
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes) }),
}

/** Attention and a gated feed-forward part side by side on one norm; three of four layers see a window. */
export const cohere2: Architecture = {
  name: () => 'cohere2',
  tensors: (sizes) => tied(decoder(sizes), sizes).filter(({ name }) => !name.endsWith('.ffn_norm.weight')),
  metadata: (sizes) => ({
    ...rope,
    ...headSizes(sizes),
    'attention.layer_norm_epsilon': gguf.float32(1e-5),
    'attention.sliding_window': gguf.uint32(sizes.window),
    logit_scale: gguf.float32(0.25),
  }),
}

/** Qwen 2's biases, experts, and one expert that every token uses as much as its gate says. */
export const qwen2moe: Architecture = {
  name: () => 'qwen2moe',
  tensors: (given) => {
    const sizes = { ...given, experts: Math.max(2, given.experts) }
    const { dim, heads, kvHeads, headDim, ffn } = sizes
    const layers = layersOf(sizes, (at) => [
      ...attention(at, sizes),
      bias(`${at}.attn_q`, heads * headDim),
      bias(`${at}.attn_k`, kvHeads * headDim),
      bias(`${at}.attn_v`, kvHeads * headDim),
      ...feedForward(at, sizes),
      norm(`${at}.ffn_gate_inp_shexp`, dim),
      matrix(`${at}.ffn_gate_shexp`, dim, ffn),
      matrix(`${at}.ffn_up_shexp`, dim, ffn),
      matrix(`${at}.ffn_down_shexp`, ffn, dim),
    ])
    return [embedding(sizes), ...layers, norm('output_norm', dim), output(sizes)]
  },
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    ...expertCounts({ ...sizes, experts: Math.max(2, sizes.experts) }),
    expert_shared_feed_forward_length: gguf.uint32(sizes.ffn),
  }),
}
