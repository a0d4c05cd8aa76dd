import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Metadata, TensorFacts } from './facts.ts'
import { readShape } from './shape.ts'
import { tensorBytes, tensorTypeName } from './tensor-types.ts'

const layers = (count: number): TensorFacts[] =>
  Array.from({ length: count }, (_, layer) => ({
    name: `blk.${layer}.w`,
    type: 'F16',
    shape: [4, 4],
    bytes: 32,
  }))

/** The shape of an architecture with four layers, and these keys. */
function shapeOf(architecture: string, keys: Metadata, tensors = layers(4)) {
  const base = { block_count: 4, embedding_length: 256, 'attention.head_count': 8 }
  const metadata: Metadata = { 'general.architecture': architecture }
  for (const [key, value] of Object.entries({ ...base, ...keys })) metadata[`${architecture}.${key}`] = value
  return readShape(metadata, tensors)
}

describe('the shape of a model', () => {
  it('takes as many KV heads as heads where the file names none', () => {
    expect(shapeOf('llama', {})).toMatchObject({ headCountKv: [8, 8, 8, 8], keyLength: 32, valueLength: 32 })
  })

  it('may have KV heads that differ from layer to layer, and key lengths of their own', () => {
    const shape = shapeOf('openelm', { 'attention.head_count_kv': [1, 2, 3, 4], 'attention.key_length': 128 })
    expect(shape).toMatchObject({ headCountKv: [1, 2, 3, 4], keyLength: 128, valueLength: 32 })
  })

  it('keeps a window only in layers that are known to', () => {
    const window = { 'attention.sliding_window': 512 }
    expect(shapeOf('phi3', window)).toMatchObject({ slidingWindow: 512 })
    expect(shapeOf('phi3', window).slidingLayers).toBeUndefined()
    expect(shapeOf('gemma2', window).slidingLayers).toEqual([true, false, true, false])
    const pattern = { ...window, 'attention.sliding_window_pattern': [true, true, false, true] }
    expect(shapeOf('any', pattern).slidingLayers).toEqual([true, true, false, true])
    const every = { ...window, 'attention.sliding_window_pattern': 4 }
    expect(shapeOf('any', every).slidingLayers).toEqual([true, true, true, false])
  })

  it('keeps the latent part of a key, and no values, under multi-head latent attention', () => {
    const keys = { 'attention.kv_lora_rank': 512, 'rope.dimension_count': 64, 'attention.head_count_kv': 1 }
    expect(shapeOf('deepseek2', keys)).toMatchObject({
      keyLength: 576,
      valueLength: 0,
      headCountKv: [1, 1, 1, 1],
    })
    expect(shapeOf('deepseek2', { ...keys, 'attention.head_count_kv': 8 }).valueLength).toBe(32)
  })

  it('has a state of fixed size in recurrent layers, and no KV heads there', () => {
    const ssm = { 'ssm.conv_kernel': 4, 'ssm.inner_size': 512, 'ssm.state_size': 16, 'ssm.group_count': 1 }
    const perLayer = 4 * (3 * (512 + 2 * 16) + 16 * 512)
    expect(shapeOf('mamba', { ...ssm, 'attention.head_count': 0 })).toMatchObject({
      headCountKv: [0, 0, 0, 0],
      recurrentStateBytes: 4 * perLayer,
    })
    expect(shapeOf('qwen3next', { ...ssm, full_attention_interval: 4 })).toMatchObject({
      headCountKv: [0, 0, 0, 8],
      recurrentStateBytes: 3 * perLayer,
    })
    expect(shapeOf('falcon-h1', ssm)).toMatchObject({
      headCountKv: [8, 8, 8, 8],
      recurrentStateBytes: 4 * perLayer,
    })
    expect(shapeOf('rwkv6', { 'wkv.head_size': 64, 'attention.head_count': 0 }).recurrentStateBytes).toBe(
      4 * 4 * 256 * 66,
    )
  })

  it('names experts and an explicit size of the vocabulary', () => {
    const shape = shapeOf('mixtral', { expert_count: 8, expert_used_count: 2, vocab_size: 32000 })
    expect(shape).toMatchObject({ expertCount: 8, expertUsedCount: 2, vocabularySize: 32000 })
    expect(shapeOf('llama', {}).expertCount).toBeUndefined()
  })

  it('tells input, layers and output apart, and counts the rest as weights', () => {
    const named = (name: string, bytes: number): TensorFacts => ({ name, type: 'F32', shape: [1], bytes })
    const tensors = [
      named('token_embd.weight', 1),
      named('position_embd.weight', 2),
      named('blk.0.ffn_up.weight', 10),
      named('blk.0.ffn_down.weight', 20),
      named('blk.9.extra', 40),
      named('output.weight', 100),
      named('output_norm.weight', 200),
      named('rope_freqs.weight', 400),
    ]
    expect(shapeOf('llama', {}, tensors)).toMatchObject({
      weightBytes: 773,
      layerBytes: [30, 0, 0, 0],
      inputBytes: 3,
      outputBytes: 300,
    })
  })

  it('tells of each layer its experts, its width, and its matrices by type', () => {
    const matrix = (name: string, type: string, ...shape: number[]): TensorFacts => {
      const weights = shape.reduce((product, length) => product * length, 1)
      return { name: `${name}.weight`, type, shape, bytes: tensorBytes(type, weights) ?? 0 }
    }
    const tensors = [
      matrix('token_embd', 'Q8_0', 256, 1000),
      matrix('output_norm', 'F32', 256),
      matrix('blk.0.attn_q', 'Q4_K', 256, 256),
      matrix('blk.0.ffn_up', 'Q6_K', 256, 768),
      matrix('blk.1.attn_q', 'Q4_K', 256, 256),
      matrix('blk.1.ffn_up_exps', 'Q4_K', 256, 512, 8),
      matrix('blk.1.ffn_down_shexp', 'Q4_K', 512, 256),
      // Of 8 rows: no CPU packs it for its tiles.
      matrix('blk.1.ffn_gate_inp', 'F16', 256, 8),
      ...layers(4).slice(2),
    ]
    const shape = shapeOf('deepseek2', { feed_forward_length: 768 }, tensors)
    const quarter = (256 * 256 * 144) / 256
    expect(shape.layers?.[0]).toEqual({
      bytes: quarter + (3 * 256 * 256 * 210) / 256,
      expertBytes: 0,
      parameters: 4 * 256 * 256,
      expertParameters: 0,
      feedForwardLength: 768,
      expertCount: 0,
      matrixBytes: { Q4_K: quarter, Q6_K: (3 * 256 * 256 * 210) / 256 },
    })
    expect(shape.layers?.[1]).toMatchObject({
      expertBytes: 16 * quarter,
      expertParameters: 8 * 256 * 512,
      feedForwardLength: 512,
      expertCount: 8,
      matrixBytes: { Q4_K: 3 * quarter },
    })
    expect(shape).toMatchObject({ tiedEmbeddings: true, outputType: 'Q8_0' })
    expect(shape.layers?.map(({ bytes }) => bytes)).toEqual(shape.layerBytes)
  })

  it('tells by the tensors how a layer is put together', () => {
    const named = (name: string, ...shape: number[]): TensorFacts => ({
      name: `blk.0.${name}.weight`,
      type: 'F16',
      shape,
      bytes: 1,
    })
    const wiring = (...tensors: TensorFacts[]) => {
      const { fusedQkv, feedForward, parallelLayers } = shapeOf('x', { block_count: 1 }, tensors)
      return { fusedQkv, feedForward, parallelLayers }
    }
    const norms = [named('attn_norm', 64), named('ffn_norm', 64)]
    expect(
      wiring(...norms, named('ffn_up', 64, 256), named('ffn_gate', 64, 256), named('ffn_down', 256, 64)),
    ).toEqual({})
    expect(
      wiring(...norms, named('attn_qkv', 64, 192), named('ffn_up', 64, 512), named('ffn_down', 256, 64)),
    ).toEqual({
      fusedQkv: true,
      feedForward: 'fused',
    })
    expect(wiring(named('attn_norm', 64), named('ffn_up', 64, 256), named('ffn_down', 256, 64))).toEqual({
      feedForward: 'plain',
      parallelLayers: true,
    })
  })

  it('tells where a layer normalises, and what places its tokens', () => {
    const of = (...names: string[]) => {
      const tensors = names.map((name): TensorFacts => ({ name, type: 'F32', shape: [64], bytes: 256 }))
      const { norms, tabledPositions, tiedEmbeddings } = shapeOf('x', { block_count: 1 }, tensors)
      return { norms, tabledPositions, tiedEmbeddings }
    }
    const [before, after] = ['blk.0.attn_norm.weight', 'blk.0.post_attention_norm.weight'] as const
    expect(of(before, after)).toEqual({})
    expect(of(after)).toEqual({ norms: 'results' })
    expect(of('position_embd.weight', 'blk.0.attn_output_norm.weight')).toEqual({
      norms: 'sums',
      tabledPositions: true,
    })
    const short = ['token_embd.weight', 'token_embd_norm.weight', 'blk.0.shortconv.conv.weight']
    expect(of(before, ...short)).toEqual({ tiedEmbeddings: true })
  })

  it('tells the state of short convolutions', () => {
    const metadata = { 'attention.head_count_kv': [0, 0, 4, 0], 'shortconv.l_cache': 3, embedding_length: 64 }
    expect(shapeOf('lfm2', { ...metadata, block_count: 4 }, layers(4))).toMatchObject({
      recurrent: { width: 64, convolved: 64, convolution: 2, state: 0 },
      recurrentStateBytes: 3 * 2 * 64 * 4,
    })
  })

  it('is refused without an architecture, or with layers that have no tensors', () => {
    expect(() => readShape({}, [])).toThrow('names no architecture')
    expect(() => shapeOf('llama', { block_count: 5 })).toThrow('claims 5 layers but has 4 tensors')
    expect(() => shapeOf('llama', { block_count: -1 })).toThrow(
      'has -1 where its metadata should have a count',
    )
    expect(() => shapeOf('llama', { context_length: 1.5 })).toThrow('has 1.5 where')
    expect(() => shapeOf('llama', { 'attention.head_count_kv': [1, 2, 1e300, 4] })).toThrow(
      'has 1e+300 where',
    )
  })

  it('is refused, or made of finite numbers, whatever the metadata says', () => {
    const key = fc.constantFrom(
      'attention.head_count',
      'attention.head_count_kv',
      'embedding_length',
      'ssm.inner_size',
      'ssm.state_size',
      'attention.sliding_window_pattern',
      'full_attention_interval',
      'context_length',
      'wkv.head_size',
    )
    const value = fc.oneof(fc.jsonValue(), fc.nat(100_000), fc.array(fc.nat(16), { maxLength: 4 }))
    fc.assert(
      fc.property(fc.dictionary(key, value), (keys) => {
        let shape: ReturnType<typeof shapeOf>
        try {
          shape = shapeOf('x', keys)
        } catch (error) {
          expect(String(error)).toContain('where its metadata should have a count')
          return
        }
        for (const number of Object.values(shape).flat()) {
          if (typeof number === 'number') expect(Number.isFinite(number)).toBe(true)
        }
        expect(shape.headCountKv).toHaveLength(4)
      }),
    )
  })
})

describe('the bytes of a tensor', () => {
  it.each([
    ['F32', 256, 1024],
    ['f16', 3, 6],
    ['Q8_0', 32, 34],
    ['q4_0', 33, 36],
    ['Q4_K', 256, 144],
    ['Q6_K', 512, 420],
    ['MXFP4', 64, 34],
  ])('of type %s with %d weights are %d', (type, weights, bytes) => {
    expect(tensorBytes(type, weights)).toBe(bytes)
  })

  it('are not known for a type that is not', () => {
    expect(tensorBytes('Q99', 32)).toBeUndefined()
    expect(tensorTypeName(12)).toBe('Q4_K')
    expect(tensorTypeName(4)).toBe('TYPE_4')
  })
})
