import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Inventory, PlanResult, PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { type FamousName, famousModel } from './famous-models.ts'
import { leftBy } from './left-by.ts'
import type { PlanRequest } from './request.ts'
import { planAll } from './together.ts'

const request = (name: FamousName, wishes: PlanWishes = {}, priority = 0): PlanRequest => ({
  model: famousModel(name),
  wishes: { contextLength: 8192, ...wishes },
  priority,
})
const resultsOf = (requests: PlanRequest[], inventory: Inventory) =>
  planAll(requests, inventory).models.map(({ result }) => result)

/** Devices of each instance, or why there is none. */
function placesOf(result: PlanResult | undefined): string[] {
  if (!result?.ok) return [result?.message ?? 'no result']
  return result.plans[0].instances.map(({ parts }) => parts.map(({ deviceId }) => deviceId).join('+'))
}

describe('several models at once', () => {
  it('each get a card of their own where there are as many', () => {
    const results = resultsOf([request('llama3.1:8b'), request('qwen3:14b')], parseGpuList('2x3090'))
    expect(results.map(placesOf)).toEqual([['gpu1'], ['gpu0']])
  })

  it('share a card where they have to, and know with whom and how fast they are then', () => {
    const { models } = planAll(
      [request('llama3.1:8b', { slots: 1 }), request('qwen3:4b', { slots: 1 })],
      parseGpuList('3090'),
    )
    expect(models.map(({ result }) => placesOf(result))).toEqual([['gpu0'], ['gpu0']])
    expect(models.map(({ sharesWith }) => sharesWith)).toEqual([['qwen3:4b'], ['llama3.1:8b']])
    for (const { result, sharedDecodeTokensPerS = 0 } of models) {
      const alone = result.ok ? result.plans[0].speed.decodeTokensPerS : 0
      expect(sharedDecodeTokensPerS / alone).toBeGreaterThan(0.5)
      expect(sharedDecodeTokensPerS / alone).toBeLessThan(0.7)
    }
  })

  it('divide idle cards among replicas of all, and leave none to chance', () => {
    const results = resultsOf([request('llama3.1:8b'), request('qwen3:14b')], parseGpuList('6x3090'))
    const used = results.map(placesOf)
    expect(used.map(({ length }) => length)).toEqual([3, 3])
    expect(new Set(used.flat()).size).toBe(6)
  })

  it('the large one is placed first, so that the small one does not take its room', () => {
    const results = resultsOf(
      [request('qwen3:0.6b'), request('llama3.1:70b', { slots: 1 })],
      parseGpuList('2x3090,rtx 3060'),
    )
    expect(placesOf(results[1])).toEqual(['gpu0+gpu1'])
    expect(placesOf(results[0])).toEqual(['gpu2'])
  })

  it('one that needs host memory anyway does not push others there', () => {
    const results = resultsOf([request('llama3.1:70b'), request('llama3.1:8b')], parseGpuList('3090'))
    expect(placesOf(results[1])).toEqual(['gpu0'])
    expect(placesOf(results[0])[0]).toContain('node1')
  })

  it('have fewer slots and less context than alone, where that lets all lie on devices', () => {
    const open = (name: FamousName): PlanRequest => ({ model: famousModel(name), wishes: {} })
    const { models, reasons } = planAll([open('llama3.1:8b'), open('qwen3:14b')], parseGpuList('4090'))
    expect(models.map(({ result }) => placesOf(result))).toEqual([['gpu0'], ['gpu0']])
    const [first] = models
    expect(first?.result.ok && first.result.plans[0].reasons.join(' ')).toContain('beside the other models')
    expect(reasons[1]).toMatch(/^Each has at most 1 slot where these are open/)
  })

  it('a higher priority comes first, and who comes too late takes turns', () => {
    const wishes = { cpuOffload: false, slots: 1 }
    const inventory = parseGpuList('3090')
    const { models } = planAll([request('qwen3:32b', wishes), request('llama3.1:8b', wishes, 1)], inventory)
    const [low, high] = models
    expect(placesOf(high?.result)).toEqual(['gpu0'])
    expect(placesOf(low?.result)[0]).toMatch(/^beside llama3\.1:8b: .* needs 2\d\.\d GiB/)
    expect(low?.evicts).toEqual(['llama3.1:8b'])
  })

  it('the largest number of them has a place where not all do', () => {
    const wishes = { cpuOffload: false, slots: 1 }
    const names = ['qwen3:32b', 'llama3.1:8b', 'qwen3:4b'] as const
    const { models } = planAll(
      names.map((name) => request(name, wishes)),
      parseGpuList('3090'),
    )
    expect(models.map(({ result }) => result.ok)).toEqual([false, true, true])
    expect(models[0]?.evicts).toEqual(['qwen3:4b', 'llama3.1:8b'])
  })

  it('one that fits nowhere is refused as if it were alone', () => {
    const wishes = { cpuOffload: false }
    const { models } = planAll(
      [request('llama3.1:405b', wishes), request('qwen3:4b', wishes)],
      parseGpuList('3090'),
    )
    expect(models.map(({ result }) => result.ok)).toEqual([false, true])
    expect(models[0]?.evicts).toBeUndefined()
    expect(placesOf(models[0]?.result)[0]).toMatch(/^model "llama3\.1:405b" needs/)
  })

  it('never take more memory than there is, whatever they and the machines are', () => {
    const names = ['qwen3:0.6b', 'qwen3:4b', 'llama3.1:8b', 'qwen3:14b', 'gpt-oss:20b', 'qwen3:32b'] as const
    const machines = ['3090', '3060,cpu:16', '2x3060', '4090,p40', '3060 / 3090 @10gbe', 'm2 ultra:64']
    fc.assert(
      fc.property(
        fc.subarray([...names], { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...machines),
        fc.constantFrom(undefined, 4096, 32_768),
        (chosen, gpus, contextLength) => {
          const inventory = parseGpuList(gpus)
          const wishes = {
            ...(contextLength !== undefined && { contextLength }),
            defaultContextLength: 16_384,
          }
          const results = resultsOf(
            chosen.map((name) => ({ model: famousModel(name), wishes })),
            inventory,
          )
          // What is left is never below zero: it would be cut off there, and the next would not see it.
          const plans = results.flatMap((result) => (result.ok ? [result.plans[0]] : []))
          const ample = {
            ...inventory,
            nodes: inventory.nodes.map(doubled),
            devices: inventory.devices.map(doubled),
          }
          const left = leftBy(plans, ample, false)
          for (const [at, place] of [...left.nodes, ...left.devices].entries()) {
            const whole = [...inventory.nodes, ...inventory.devices][at]?.usableBytes ?? 0
            expect(place.usableBytes).toBeGreaterThanOrEqual(whole - 1)
          }
        },
      ),
      { numRuns: 12 },
    )
  })
})

function doubled<Place extends { usableBytes: number }>(place: Place): Place {
  return { ...place, usableBytes: 2 * place.usableBytes }
}
