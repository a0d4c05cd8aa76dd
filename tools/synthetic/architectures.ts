import { gguf } from '../../src/models/gguf/write.ts'
import { lfm2, mamba } from './hybrids.ts'
import { cohere2, exaone4, glm4, granite, mistral3, olmo2, qwen2moe } from './llama-relatives.ts'
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

const llama: Architecture = {
  name: () => 'llama',
  tensors: (sizes) => decoder(sizes),
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes), ...expertCounts(sizes) }),
}

const qwen2: Architecture = {
  name: () => 'qwen2',
  tensors: (sizes) =>
    decoder(sizes, (at) => [
      bias(`${at}.attn_q`, sizes.heads * sizes.headDim),
      bias(`${at}.attn_k`, sizes.kvHeads * sizes.headDim),
      bias(`${at}.attn_v`, sizes.kvHeads * sizes.headDim),
    ]),
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes) }),
}

const qwen3: Architecture = {
  name: ({ experts }) => (experts > 0 ? 'qwen3moe' : 'qwen3'),
  tensors: (sizes) =>
    decoder(sizes, (at) => [
      norm(`${at}.attn_q_norm`, sizes.headDim),
      norm(`${at}.attn_k_norm`, sizes.headDim),
    ]),
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes), ...expertCounts(sizes) }),
}

const gemmaNorms = (at: string, { dim }: Sizes): TensorPlan[] => [
  norm(`${at}.post_attention_norm`, dim),
  norm(`${at}.post_ffw_norm`, dim),
]

const gemma2: Architecture = {
  name: () => 'gemma2',
  tensors: (sizes) =>
    tied(
      decoder(sizes, (at) => gemmaNorms(at, sizes)),
      sizes,
    ),
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    attn_logit_softcapping: gguf.float32(50),
    final_logit_softcapping: gguf.float32(30),
    'attention.sliding_window': gguf.uint32(sizes.window),
  }),
}

/** Five of six layers see a window. */
const gemma3: Architecture = {
  name: () => 'gemma3',
  tensors: (sizes) =>
    tied(
      decoder(sizes, (at) => [
        ...gemmaNorms(at, sizes),
        norm(`${at}.attn_q_norm`, sizes.headDim),
        norm(`${at}.attn_k_norm`, sizes.headDim),
      ]),
      sizes,
    ),
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    'attention.sliding_window': gguf.uint32(sizes.window),
  }),
}

/** One matrix for queries, keys and values, and one that widens and gates. */
const phi3: Architecture = {
  name: () => 'phi3',
  tensors: (sizes) => {
    const { dim, heads, kvHeads, headDim, ffn } = sizes
    const layers = layersOf(sizes, (at) => [
      norm(`${at}.attn_norm`, dim),
      matrix(`${at}.attn_qkv`, dim, (heads + 2 * kvHeads) * headDim),
      matrix(`${at}.attn_output`, heads * headDim, dim),
      norm(`${at}.ffn_norm`, dim),
      matrix(`${at}.ffn_up`, dim, 2 * ffn),
      matrix(`${at}.ffn_down`, ffn, dim),
    ])
    return [embedding(sizes), ...layers, norm('output_norm', dim), output(sizes)]
  },
  metadata: (sizes) => ({ ...rms, ...rope, ...headSizes(sizes) }),
}

/** Attention and a feed-forward part without a gate side by side, on one norm. */
const phi2: Architecture = {
  name: () => 'phi2',
  tensors: (sizes) => {
    const { dim, ffn, vocab } = sizes
    const affine = (name: string, columns: number, rows: number): TensorPlan[] => [
      matrix(name, columns, rows),
      bias(name, rows),
    ]
    const layers = layersOf(sizes, (at) => [
      norm(`${at}.attn_norm`, dim),
      bias(`${at}.attn_norm`, dim),
      ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].flatMap((name) => affine(`${at}.${name}`, dim, dim)),
      ...affine(`${at}.ffn_up`, dim, ffn),
      ...affine(`${at}.ffn_down`, ffn, dim),
    ])
    const last = [norm('output_norm', dim), bias('output_norm', dim), output(sizes), bias('output', vocab)]
    return [embedding(sizes), ...layers, ...last]
  },
  metadata: (sizes) => ({
    ...rope,
    'attention.layer_norm_epsilon': gguf.float32(1e-5),
    'rope.dimension_count': gguf.uint32(sizes.headDim),
  }),
}

/** Latent attention, a first layer without experts, and one expert that every token uses. */
const deepseek2: Architecture = {
  name: () => 'deepseek2',
  tensors: (sizes) => {
    const { dim, heads, headDim, ffn, experts } = sizes
    const { rank, rope: turned } = latentSizes(sizes)
    const layer = (at: string): TensorPlan[] => [
      norm(`${at}.attn_norm`, dim),
      matrix(`${at}.attn_q_a`, dim, rank),
      norm(`${at}.attn_q_a_norm`, rank),
      matrix(`${at}.attn_q_b`, rank, heads * headDim),
      matrix(`${at}.attn_kv_a_mqa`, dim, rank + turned),
      norm(`${at}.attn_kv_a_norm`, rank),
      { ...matrix(`${at}.attn_k_b`, headDim - turned, rank, heads), exact: true },
      { ...matrix(`${at}.attn_v_b`, rank, headDim, heads), exact: true },
      matrix(`${at}.attn_output`, heads * headDim, dim),
    ]
    const shared = (at: string): TensorPlan[] => [
      matrix(`${at}.ffn_gate_shexp`, dim, ffn),
      matrix(`${at}.ffn_up_shexp`, dim, ffn),
      matrix(`${at}.ffn_down_shexp`, ffn, dim),
    ]
    const layers = layersOf(sizes, (at) => [
      ...layer(at),
      ...feedForward(
        at,
        at === 'blk.0' ? { ...sizes, experts: 0 } : { ...sizes, experts: Math.max(2, experts) },
      ),
      ...(at === 'blk.0' ? [] : shared(at)),
    ])
    return [embedding(sizes), ...layers, norm('output_norm', dim), output(sizes)]
  },
  metadata: (sizes) => {
    const { rank, rope: turned } = latentSizes(sizes)
    return {
      ...rms,
      ...rope,
      ...expertCounts({ ...sizes, experts: Math.max(2, sizes.experts) }),
      expert_shared_count: gguf.uint32(1),
      leading_dense_block_count: gguf.uint32(1),
      'attention.head_count_kv': gguf.uint32(1),
      'attention.q_lora_rank': gguf.uint32(rank),
      'attention.kv_lora_rank': gguf.uint32(rank),
      'attention.key_length': gguf.uint32(rank + turned),
      'attention.value_length': gguf.uint32(rank),
      'attention.key_length_mla': gguf.uint32(sizes.headDim),
      'attention.value_length_mla': gguf.uint32(sizes.headDim),
      'rope.dimension_count': gguf.uint32(turned),
    }
  },
}

const latentSizes = ({ dim, headDim }: Sizes) => ({ rank: dim / 2, rope: headDim / 2 })

/** Sinks, biases everywhere, and a window in every second layer. */
const gptOss: Architecture = {
  name: () => 'gpt-oss',
  tensors: (sizes) => {
    const { dim, heads, kvHeads, headDim, ffn } = sizes
    const experts = Math.max(2, sizes.experts)
    const layers = layersOf(sizes, (at) => [
      ...attention(at, sizes),
      bias(`${at}.attn_q`, heads * headDim),
      bias(`${at}.attn_k`, kvHeads * headDim),
      bias(`${at}.attn_v`, kvHeads * headDim),
      bias(`${at}.attn_output`, dim),
      norm(`${at}.attn_sinks`, heads),
      norm(`${at}.post_attention_norm`, dim),
      ...feedForward(at, { ...sizes, experts }).filter(({ name }) => !name.endsWith('ffn_norm.weight')),
      bias(`${at}.ffn_gate_inp`, experts),
      { ...bias(`${at}.ffn_gate_exps`, ffn), shape: [ffn, experts] },
      { ...bias(`${at}.ffn_up_exps`, ffn), shape: [ffn, experts] },
      { ...bias(`${at}.ffn_down_exps`, dim), shape: [dim, experts] },
    ])
    return [embedding(sizes), ...layers, norm('output_norm', dim), output(sizes)]
  },
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    ...expertCounts({ ...sizes, experts: Math.max(2, sizes.experts) }),
    'attention.sliding_window': gguf.uint32(sizes.window),
  }),
}

const bert: Architecture = {
  name: () => 'bert',
  tensors: (sizes) => {
    const { dim, ffn, context } = sizes
    const affine = (name: string, columns: number, rows: number): TensorPlan[] => [
      matrix(name, columns, rows),
      bias(name, rows),
    ]
    const scaled = (name: string): TensorPlan[] => [norm(name, dim), bias(name, dim)]
    return [
      embedding(sizes),
      { ...matrix('position_embd', dim, context), exact: true },
      { ...matrix('token_types', dim, 2), exact: true },
      ...scaled('token_embd_norm'),
      ...layersOf(sizes, (at) => [
        ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].flatMap((name) => affine(`${at}.${name}`, dim, dim)),
        ...scaled(`${at}.attn_output_norm`),
        ...affine(`${at}.ffn_up`, dim, ffn),
        ...affine(`${at}.ffn_down`, ffn, dim),
        ...scaled(`${at}.layer_output_norm`),
      ]),
    ]
  },
  metadata: () => ({
    'attention.layer_norm_epsilon': gguf.float32(1e-12),
    'attention.causal': gguf.bool(false),
    pooling_type: gguf.uint32(1),
  }),
}

/** The architectures that can be made. */
export const architectures = {
  llama,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  phi2,
  phi3,
  deepseek2,
  'gpt-oss': gptOss,
  mamba,
  bert,
  cohere2,
  exaone4,
  glm4,
  granite,
  lfm2,
  mistral3,
  olmo2,
  qwen2moe,
} as const

/** Name of an architecture that can be made. */
export type ArchitectureName = keyof typeof architectures
