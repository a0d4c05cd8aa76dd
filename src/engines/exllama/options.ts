import { DroverError } from '../../inference/index.ts'
import type { InstanceSpec } from '../contract.ts'

/** TabbyAPI counts its cache in pages of so many tokens. */
const pageTokens = 256

/** Our names of KV types as ExLlama's; it has no others. */
const cacheModes: Readonly<Record<string, string>> = { f16: 'FP16', bf16: 'FP16', q8_0: 'Q8', q4_0: 'Q4' }

/**
 * How a TabbyAPI is to load a model, under the names of its `config.yml` (section `model`) and of `POST /v1/model/load`.
 * Throws `unsupported` for what ExLlama cannot do.
 */
export function tabbyModelOptions(spec: InstanceSpec): Record<string, unknown> {
  const { contextLength, slots, kvCacheType, parallel } = spec
  const cacheMode = cacheModes[kvCacheType]
  if (cacheMode === undefined) {
    const known = Object.keys(cacheModes).join(', ')
    throw new DroverError('unsupported', `ExLlama keeps no KV cache of ${kvCacheType}: take one of ${known}`)
  }
  if ((parallel?.nodes?.length ?? 1) > 1) {
    throw new DroverError('unsupported', 'ExLlama runs a model on one machine only')
  }
  if (spec.embedding) throw new DroverError('unsupported', 'ExLlama does not embed: run this model with vLLM')
  if (spec.adapterPaths.length > 0) {
    throw new DroverError(
      'unsupported',
      'adapters are not given to ExLlama: run this model with vLLM or llama.cpp',
    )
  }
  if ((parallel?.data ?? 1) > 1) {
    throw new DroverError('unsupported', 'ExLlama makes no copies of a model: start several instances')
  }
  const devices = (parallel?.tensor ?? 1) * (parallel?.pipeline ?? 1)
  return {
    max_seq_len: contextLength,
    cache_size: Math.ceil((contextLength * slots) / pageTokens) * pageTokens,
    cache_mode: cacheMode,
    max_batch_size: slots,
    tensor_parallel: (parallel?.tensor ?? 1) > 1,
    ...(parallel?.deviceGb
      ? { gpu_split_auto: false, gpu_split: parallel.deviceGb }
      : { gpu_split_auto: devices > 1 || parallel === undefined }),
  }
}
