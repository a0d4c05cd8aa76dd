import { gguf } from '../../src/models/gguf/write.ts'
import {
  type Architecture,
  attention,
  bias,
  embedding,
  feedForward,
  headSizes,
  layersOf,
  matrix,
  norm,
  output,
  rms,
  rope,
  type Sizes,
} from './tensor-plans.ts'

/** Layers that keep a state of fixed size in place of a cache. */
export const mamba: Architecture = {
  name: () => 'mamba',
  tensors: (sizes) => {
    const { dim } = sizes
    const { inner, state, rank, kernel } = mambaSizes(sizes)
    const layers = layersOf(sizes, (at) => [
      norm(`${at}.attn_norm`, dim),
      matrix(`${at}.ssm_in`, dim, 2 * inner),
      { ...matrix(`${at}.ssm_conv1d`, kernel, inner), exact: true },
      bias(`${at}.ssm_conv1d`, inner),
      matrix(`${at}.ssm_x`, inner, rank + 2 * state),
      { ...matrix(`${at}.ssm_dt`, rank, inner), exact: true },
      bias(`${at}.ssm_dt`, inner),
      { ...matrix(`${at}.ssm_a`, state, inner), name: `${at}.ssm_a`, exact: true },
      { ...norm(`${at}.ssm_d`, inner), name: `${at}.ssm_d` },
      matrix(`${at}.ssm_out`, inner, dim),
    ])
    return [embedding(sizes), ...layers, norm('output_norm', dim), output(sizes)]
  },
  metadata: (sizes) => {
    const { inner, state, rank, kernel } = mambaSizes(sizes)
    return {
      ...rms,
      'attention.head_count': gguf.uint32(0),
      'attention.head_count_kv': gguf.uint32(0),
      feed_forward_length: gguf.uint32(0),
      'ssm.conv_kernel': gguf.uint32(kernel),
      'ssm.inner_size': gguf.uint32(inner),
      'ssm.state_size': gguf.uint32(state),
      'ssm.time_step_rank': gguf.uint32(rank),
    }
  },
}

const mambaSizes = ({ dim }: Sizes) => ({ inner: 2 * dim, state: 16, rank: dim / 16, kernel: 4 })

/** Short convolutions, and attention in every third layer. */
export const lfm2: Architecture = {
  name: () => 'lfm2',
  tensors: (sizes) => {
    const { dim, headDim, vocab } = sizes
    const layers = layersOf(sizes, (at) => {
      const within = attends(Number(at.slice(4)))
        ? [...attention(at, sizes), norm(`${at}.attn_q_norm`, headDim), norm(`${at}.attn_k_norm`, headDim)]
        : [
            norm(`${at}.attn_norm`, dim),
            { ...matrix(`${at}.shortconv.conv`, shortConvolution, dim), exact: true },
            matrix(`${at}.shortconv.in_proj`, dim, 3 * dim),
            matrix(`${at}.shortconv.out_proj`, dim, dim),
          ]
      return [...within, ...feedForward(at, sizes)]
    })
    return [embedding({ ...sizes, vocab }), ...layers, norm('token_embd_norm', dim)]
  },
  metadata: (sizes) => ({
    ...rms,
    ...rope,
    ...headSizes(sizes),
    'attention.head_count_kv': {
      type: 'array',
      items: 'int32',
      value: Array.from({ length: sizes.layers }, (_, layer) => (attends(layer) ? sizes.kvHeads : 0)),
    },
    'shortconv.l_cache': gguf.uint32(shortConvolution),
  }),
}

const shortConvolution = 3
const attends = (layer: number) => layer % 3 === 2
