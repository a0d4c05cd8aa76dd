import { describe, expect, it } from 'vitest'
import type { PlanResult, PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { type FamousName, famousModel } from './famous-models.ts'
import { planAll } from './together.ts'

const request = (name: FamousName, wishes: PlanWishes = {}, priority = 0) => ({
  model: famousModel(name),
  wishes: { contextLength: 8192, ...wishes },
  priority,
})

/** Devices of each instance, or why there is none. */
function placesOf(result: PlanResult | undefined): string[] {
  if (!result?.ok) return [result?.message ?? 'no result']
  return result.plans[0].instances.map(({ parts }) => parts.map(({ deviceId }) => deviceId).join('+'))
}

describe('several models at once', () => {
  it('each get a card of their own where there are as many', () => {
    const results = planAll([request('llama3.1:8b'), request('qwen3:14b')], parseGpuList('2x3090'))
    expect(results.map(placesOf)).toEqual([['gpu1'], ['gpu0']])
  })

  it('share a card where they have to', () => {
    const results = planAll(
      [request('llama3.1:8b', { slots: 1 }), request('qwen3:4b', { slots: 1 })],
      parseGpuList('3090'),
    )
    expect(results.map(placesOf)).toEqual([['gpu0'], ['gpu0']])
  })

  it('divide idle cards among replicas, and leave none to chance', () => {
    const results = planAll([request('llama3.1:8b'), request('qwen3:14b')], parseGpuList('6x3090'))
    const used = results.flatMap(placesOf)
    expect(used.length).toBe(6)
    expect(new Set(used).size).toBe(6)
  })

  it('the large one is placed first, so that the small one does not take its room', () => {
    const results = planAll(
      [request('qwen3:0.6b'), request('llama3.1:70b', { slots: 1 })],
      parseGpuList('2x3090,rtx 3060'),
    )
    expect(placesOf(results[1])).toEqual(['gpu0+gpu1'])
    expect(placesOf(results[0])).toEqual(['gpu2'])
  })

  it('a higher priority comes first, and who comes too late takes what is left', () => {
    const wishes = { cpuOffload: false, slots: 1 }
    const inventory = parseGpuList('3090')
    const [low, high] = planAll([request('qwen3:32b', wishes), request('llama3.1:8b', wishes, 1)], inventory)
    expect(placesOf(high)).toEqual(['gpu0'])
    expect(placesOf(low)[0]).toMatch(/needs 2\d\.\d GiB/)
  })
})
