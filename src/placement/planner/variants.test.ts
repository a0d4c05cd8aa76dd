import { describe, expect, it } from 'vitest'
import type { PlanResult } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { type FamousName, famousModel } from './famous-models.ts'
import { planVariants } from './variants.ts'

const types = ['F16', 'Q8_0', 'Q6_K', 'Q4_K_M', 'Q3_K_M', 'Q2_K']

function chosen(name: FamousName, machines: string): { type: string; result: PlanResult } {
  const models = types.map((type) => ({ ...famousModel(name, type), name: `${name}-${type}` }))
  const result = planVariants(models, parseGpuList(machines), { contextLength: 8192 })
  if (!result.ok) throw new Error(result.message)
  return { type: result.plans[0].model.slice(name.length + 1), result }
}

describe('of several files of a model', () => {
  it('the finest is taken that one device holds', () => {
    expect(chosen('qwen3:0.6b', 'rtx 3060').type).toBe('F16')
    expect(chosen('llama3.1:8b', '3090').type).toBe('F16')
    expect(chosen('qwen3:14b', 'rtx 3060').type).toBe('Q4_K_M')
    expect(chosen('qwen3:32b', '3090').type).toBe('Q4_K_M')
  })

  it('a coarser one on one device is better than a finer one over several nodes', () => {
    expect(chosen('qwen3:32b', '3090 / 3090 @1gbe').type).toBe('Q4_K_M')
  })

  it('one too coarse for its size is not taken, even if it needs fewer devices', () => {
    const { type, result } = chosen('llama3.1:8b', '2xrtx 3050 6gb')
    expect(['Q4_K_M', 'Q6_K', 'Q8_0']).toContain(type)
    const coarse = result.ok ? result.rejected.find(({ what }) => what.includes('Q2_K')) : undefined
    expect(coarse?.reason).toMatch(/bits a weight are too few/)
  })

  it('what was not taken is told with its reason', () => {
    const { result } = chosen('qwen3:32b', '3090')
    const fine = result.ok ? result.rejected.find(({ what }) => what.includes('as Q8_0')) : undefined
    expect(fine?.reason).toMatch(/slower than one reads|needs the CPU/)
  })

  it('where none fits the smallest is refused', () => {
    const models = types.map((type) => famousModel('llama3.1:405b', type))
    const result = planVariants(models, parseGpuList('rtx 3060,cpu:16'), {})
    expect(result.ok).toBe(false)
    if (!result.ok) expect(result.message).toMatch(/needs 1\d\d\.\d GiB/)
  })
})
