import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readSafetensors } from './read.ts'
import { safetensorsModel } from './shape.ts'

const llama8b = {
  model_type: 'llama',
  hidden_size: 4096,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  intermediate_size: 14336,
  vocab_size: 128256,
  max_position_embeddings: 131072,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
}

describe('the shape of a model by its config.json', () => {
  it('has the parameters and bytes that Llama 3.1 8B has', () => {
    const { shape, fileType } = safetensorsModel(llama8b)
    expect(fileType).toBe('BF16')
    // As its index tells: 8,030,261,248 parameters in 16,060,522,496 bytes.
    expect(shape.parameterCount).toBe(8_030_261_248)
    expect(shape.weightBytes).toBe(16_060_522_496)
    expect(shape).toMatchObject({ keyLength: 128, valueLength: 128, layerCount: 32, contextLength: 131072 })
    expect(shape.headCountKv).toEqual(new Array(32).fill(8))
  })

  it('keeps to the sum of the files where that is known', () => {
    const { shape } = safetensorsModel(llama8b, { totalBytes: 9_000_000_000 })
    const sum = shape.layerBytes.reduce((total, bytes) => total + bytes, 0)
    expect(shape.weightBytes).toBe(9_000_000_000)
    expect(Math.abs(sum + shape.inputBytes + shape.outputBytes - 9_000_000_000)).toBeLessThan(100)
  })

  it('tells experts from the rest, and dense layers before them', () => {
    const { shape } = safetensorsModel({
      ...llama8b,
      model_type: 'deepseek_v3',
      num_hidden_layers: 4,
      n_routed_experts: 8,
      num_experts_per_tok: 2,
      n_shared_experts: 1,
      moe_intermediate_size: 1024,
      first_k_dense_replace: 1,
      kv_lora_rank: 512,
      qk_rope_head_dim: 64,
    })
    expect(shape.layers?.map(({ expertCount }) => expertCount)).toEqual([0, 8, 8, 8])
    expect(shape.layers?.[1]?.expertBytes).toBe(2 * 8 * 3 * 4096 * 1024)
    expect(shape).toMatchObject({
      keyLength: 576,
      valueLength: 0,
      headCountKv: [1, 1, 1, 1],
      expertUsedCount: 2,
    })
  })

  it('knows windows by the list of layer types, and quantised weights by their bits', () => {
    const types = Array.from({ length: 32 }, (_, layer) =>
      layer % 6 === 5 ? 'full_attention' : 'sliding_attention',
    )
    const gemma = safetensorsModel({
      model_type: 'gemma3',
      text_config: { ...llama8b, sliding_window: 1024, layer_types: types },
    })
    expect(gemma.shape.slidingWindow).toBe(1024)
    expect(gemma.shape.slidingLayers?.filter(Boolean)).toHaveLength(27)
    expect(safetensorsModel({ ...llama8b, sliding_window: 4096 }).shape.slidingLayers).toBeUndefined()
    const awq = safetensorsModel({ ...llama8b, quantization_config: { quant_method: 'awq', bits: 4 } })
    expect(awq.fileType).toBe('awq 4 bit')
    // The published file has 5.7 GB.
    expect(awq.shape.weightBytes / 1e9).toBeCloseTo(5.8, 0)
  })

  it('says which key it misses', () => {
    const { hidden_size: _, ...without } = llama8b
    expect(() => safetensorsModel(without)).toThrow('config.json cannot be used: hidden_size')
    expect(() => safetensorsModel('text')).toThrow('model_type')
  })
})

describe('a Hugging Face folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'drover-safetensors-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  const config = {
    ...llama8b,
    hidden_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    vocab_size: 16,
    intermediate_size: 16,
  }

  it('is read by the headers of its files, without the weights', async () => {
    const tensors = {
      'model.embed_tokens.weight': [16, 8],
      'model.layers.0.mlp.up_proj.weight': [16, 8],
      'model.layers.1.mlp.up_proj.weight': [16, 8],
      'model.norm.weight': [8],
      'lm_head.weight': [16, 8],
    }
    let at = 0
    const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
    for (const [name, shape] of Object.entries(tensors)) {
      const bytes = 2 * shape.reduce((product, length) => product * length, 1)
      header[name] = { dtype: 'BF16', shape, data_offsets: [at, at + bytes] }
      at += bytes
    }
    const text = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    await writeFile(join(folder, 'config.json'), JSON.stringify(config))
    await writeFile(join(folder, 'model.safetensors'), Buffer.concat([length, text]))
    const { shape } = await readSafetensors(folder)
    expect(shape).toMatchObject({
      layerBytes: [256, 256],
      inputBytes: 256,
      outputBytes: 272,
      weightBytes: 1040,
      parameterCount: 520,
    })
  })

  it('is read by its index where the files are not there, and refused where they are broken', async () => {
    await rm(join(folder, 'model.safetensors'))
    await writeFile(
      join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ metadata: { total_size: 5000 }, weight_map: {} }),
    )
    expect((await readSafetensors(folder)).shape.weightBytes).toBe(5000)
    await writeFile(join(folder, 'model.safetensors'), 'not one')
    await expect(readSafetensors(folder)).rejects.toThrow('model.safetensors is no safetensors file')
  })
})
