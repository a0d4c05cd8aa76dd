import { describe, expect, it } from 'vitest'
import type { PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { famousModel } from './famous-models.ts'
import { planModel } from './plan.ts'

const small = famousModel('qwen3:8b')
const planned = (machines: string, wishes: PlanWishes) => planModel(small, parseGpuList(machines), wishes)

function reasonsFor(machines: string, wishes: PlanWishes): readonly string[] {
  const result = planned(machines, wishes)
  return result.ok ? result.plans[0].reasons : [result.message]
}

function refusalOf(machines: string, wishes: PlanWishes) {
  const result = planned(machines, wishes)
  if (result.ok) throw new Error('it fits')
  return result
}

describe('a plan says', () => {
  it('that a context is less than was asked for, as the model knows no more', () => {
    expect(reasonsFor('3090', { contextLength: 500_000, slots: 1 })).toContain(
      'The context is 40960 tokens, all that the model was made for (500000 were asked for), with 1 slot (as asked for).',
    )
  })

  it('how many of the instances asked for find no room', () => {
    expect(reasonsFor('3090', { replicas: 3 })).toContain('2 instances of the 3 asked for find no room.')
    expect(reasonsFor('2x3090', { replicas: 3 })).toContain('1 instance of the 3 asked for finds no room.')
    expect(reasonsFor('2x3090', { replicas: 2 }).join()).not.toContain('no room')
  })

  it('which names of the wishes nothing has', () => {
    expect(reasonsFor('2x3090', { pins: ['gpu0', 'gpu7'], avoid: ['vendor=amd'] })).toContain(
      'Nothing here is called gpu7, vendor=amd, which the wishes name.',
    )
    expect(reasonsFor('2x3090', { pins: ['CUDA1'], prefer: ['name=RTX 3090'] }).join()).not.toContain(
      'called',
    )
  })
})

describe('a refusal says', () => {
  it('that a size of the division is what does not fit', () => {
    expect(refusalOf('3090', { tensorSize: 3 }).suggestions).toEqual([
      'another number of devices to a layer than 3 would fit',
    ])
    expect(refusalOf('3090', { pipelineSize: 2 }).suggestions).toEqual([
      'another number of stages than 2 would fit',
    ])
  })

  it('that the engine asked for is', () => {
    const { message, suggestions } = refusalOf('3090', { engines: ['vllm'] })
    expect(message).toMatch(/no node has an engine for gguf files/)
    expect(suggestions).toEqual(['another engine than vllm would run it'])
  })

  it('that what was named is not there, and what is', () => {
    expect(refusalOf('9x3090', { pins: ['gpu9'] }).message).toMatch(
      /nothing is called gpu9, where it is to lie \(there are gpu0, gpu1, .*, gpu7 and 1 more\)/,
    )
  })

  it('no contradiction where memory is enough', () => {
    expect(refusalOf('3090', { pipelineSize: 2 }).message).toMatch(
      /needs [\d.]+ GiB and buffers: [\d.]+ GiB on devices and [\d.]+ GiB of host memory are available, but no allowed division/,
    )
  })
})
