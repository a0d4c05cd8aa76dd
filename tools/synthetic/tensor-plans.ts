import { type GgufMetadata, gguf } from '../../src/models/gguf/write.ts'

/** The sizes that decide every tensor of a model. */
export interface Sizes {
  readonly dim: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly ffn: number
  readonly vocab: number
  readonly context: number
  /** Number of experts of each layer; 0 for a dense model. */
  readonly experts: number
  /** Of these, how many a token uses. */
  readonly usedExperts: number
  /** Tokens that a sliding layer sees. */
  readonly window: number
}

/** A tensor to be filled: matrices with random weights, norms with ones, biases with zeros. */
export interface TensorPlan {
  readonly name: string
  readonly shape: readonly number[]
  readonly fill: 'weights' | 'ones' | 'zeros'
  /** Standard deviation of random weights. */
  readonly deviation: number
  /** Kept in F32 whatever the file's type, as engines need some small matrices. */
  readonly exact?: boolean
}

/** How one family of models names its tensors and what its metadata must say. */
export interface Architecture {
  /** The name in `general.architecture`, which for some families differs when there are experts. */
  name(sizes: Sizes): string
  tensors(sizes: Sizes): TensorPlan[]
  /** Metadata beyond what every architecture has; keys without the architecture's prefix. */
  metadata(sizes: Sizes): GgufMetadata
}

export const matrix = (name: string, columns: number, ...rows: number[]): TensorPlan => ({
  name: `${name}.weight`,
  shape: [columns, ...rows],
  fill: 'weights',
  deviation: columns ** -0.5,
})
export const norm = (name: string, width: number): TensorPlan => ({
  name: `${name}.weight`,
  shape: [width],
  fill: 'ones',
  deviation: 1,
})
export const bias = (name: string, width: number): TensorPlan => ({
  name: `${name}.bias`,
  shape: [width],
  fill: 'zeros',
  deviation: 1,
})

export const layersOf = (sizes: Sizes, layer: (prefix: string) => TensorPlan[]): TensorPlan[] =>
  Array.from({ length: sizes.layers }, (_, index) => layer(`blk.${index}`)).flat()

export const embedding = ({ dim, vocab }: Sizes): TensorPlan => ({
  ...matrix('token_embd', dim, vocab),
  deviation: 1,
})
export const output = ({ dim, vocab }: Sizes): TensorPlan => ({
  ...matrix('output', dim, vocab),
  deviation: 3 * dim ** -0.5,
})

export function attention(at: string, { dim, heads, kvHeads, headDim }: Sizes): TensorPlan[] {
  return [
    norm(`${at}.attn_norm`, dim),
    matrix(`${at}.attn_q`, dim, heads * headDim),
    matrix(`${at}.attn_k`, dim, kvHeads * headDim),
    matrix(`${at}.attn_v`, dim, kvHeads * headDim),
    matrix(`${at}.attn_output`, heads * headDim, dim),
  ]
}

export function feedForward(at: string, { dim, ffn, experts }: Sizes): TensorPlan[] {
  if (experts === 0) {
    return [
      norm(`${at}.ffn_norm`, dim),
      matrix(`${at}.ffn_gate`, dim, ffn),
      matrix(`${at}.ffn_up`, dim, ffn),
      matrix(`${at}.ffn_down`, ffn, dim),
    ]
  }
  return [
    norm(`${at}.ffn_norm`, dim),
    { ...matrix(`${at}.ffn_gate_inp`, dim, experts), exact: true },
    matrix(`${at}.ffn_gate_exps`, dim, ffn, experts),
    matrix(`${at}.ffn_up_exps`, dim, ffn, experts),
    matrix(`${at}.ffn_down_exps`, ffn, dim, experts),
  ]
}

export function decoder(sizes: Sizes, extra: (at: string) => TensorPlan[] = () => []): TensorPlan[] {
  const layers = layersOf(sizes, (at) => [...attention(at, sizes), ...feedForward(at, sizes), ...extra(at)])
  return [embedding(sizes), ...layers, norm('output_norm', sizes.dim), output(sizes)]
}

export const rms: GgufMetadata = { 'attention.layer_norm_rms_epsilon': gguf.float32(1e-5) }
export const rope: GgufMetadata = { 'rope.freq_base': gguf.float32(10_000) }
export const headSizes = ({ headDim }: Sizes): GgufMetadata => ({
  'attention.key_length': gguf.uint32(headDim),
  'attention.value_length': gguf.uint32(headDim),
  'rope.dimension_count': gguf.uint32(headDim),
})
export const expertCounts = ({ experts, usedExperts, ffn }: Sizes): GgufMetadata =>
  experts === 0
    ? {}
    : {
        expert_count: gguf.uint32(experts),
        expert_used_count: gguf.uint32(Math.min(usedExperts, experts)),
        expert_feed_forward_length: gguf.uint32(ffn),
      }

/** Input and output share one matrix: small embeddings keep the last token from winning every time. */
export const tied = (plans: TensorPlan[], { dim }: Sizes): TensorPlan[] =>
  plans
    .filter(({ name }) => name !== 'output.weight')
    .map((plan) => (plan.name === 'token_embd.weight' ? { ...plan, deviation: 0.2 * dim ** -0.5 } : plan))
