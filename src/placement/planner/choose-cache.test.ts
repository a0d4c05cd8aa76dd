import { describe, expect, it } from 'vitest'
import type { PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { famousModel } from './famous-models.ts'
import { planModel } from './plan.ts'

const cacheOf = (gpus: string, wishes: PlanWishes) => {
  const result = planModel(famousModel('llama3.1:8b'), parseGpuList(gpus), { slots: 1, ...wishes })
  return result.ok ? result.plans[0].instances[0]?.kvCacheType : result.message
}
const auto = { kvCacheType: 'auto', contextLength: 131_072 }

describe('the type of a KV cache that the planner may choose', () => {
  it('has 16 bits where devices hold the model so', () => {
    expect(cacheOf('3090', auto)).toBe('f16')
  })

  it('has 8 where that keeps the model out of host memory, or makes it fit at all', () => {
    const card = '4080'
    expect(cacheOf(card, auto)).toBe('q8_0')
    expect(cacheOf(card, { ...auto, cpuOffload: false })).toBe('q8_0')
    expect(cacheOf(card, { ...auto, kvCacheType: 'f16', cpuOffload: false })).toContain(
      'OLLAMA_KV_CACHE_TYPE=q8_0',
    )
  })

  it('has 16 where the heads do not divide into blocks, whatever was asked for', () => {
    const llama = famousModel('llama3.1:8b')
    const odd = { ...llama, shape: { ...llama.shape, keyLength: 80, valueLength: 80 } }
    for (const kvCacheType of ['q8_0', 'iq4_nl', 'auto']) {
      const result = planModel(odd, parseGpuList('4080'), { ...auto, kvCacheType, slots: 1 })
      expect(result.ok && result.plans[0].instances[0]?.kvCacheType).toBe('f16')
      const said =
        result.ok && result.plans[0].reasons.some((one) => one.includes('do not divide into the blocks'))
      expect(said).toBe(kvCacheType !== 'auto')
    }
    expect(cacheOf('4080', { ...auto, kvCacheType: 'bf16' })).toBe('bf16')
  })

  it('has 16 where flash attention is forbidden, where 8 are no help, and where nobody asked', () => {
    expect(cacheOf('4080', { ...auto, flashAttention: 'off' })).toBe('f16')
    expect(cacheOf('3060', auto)).toBe('f16')
    expect(cacheOf('4080', { contextLength: 131_072 })).toBe('f16')
  })
})
