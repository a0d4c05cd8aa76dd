import { describe, expect, it } from 'vitest'
import { textWidth } from '../../core/index.ts'
import { findFamous } from '../famous.ts'
import { parseGpuList } from '../inventory/index.ts'
import { planAll } from '../planner/index.ts'
import { instanceOf, memoryOf, namedModel, partOf, planOf } from './testing.ts'
import { describePlan, drawPlans } from './together.ts'

const machine = parseGpuList('2x3090,p40,cpu:64')
const both = planOf([instanceOf([partOf(machine, 0), partOf(machine, 1, { stage: 1, output: true })])])
const one = planOf([instanceOf([partOf(machine, 1, { memory: memoryOf(4, 2, 0.5, 0.5), output: true })])], {
  strategy: 'single',
})
const small = { ...namedModel, name: 'qwen3:4b' }

describe('the picture of several models', () => {
  it('has a bar a device, in which a letter begins the part of each', () => {
    const models = [{ model: namedModel, plan: both }, undefined, { model: small, plan: one }]
    expect(drawPlans(models, machine)).toBe(`2 of 3 models at the same time, on 2 devices

  CUDA0 RTX 3090 A██████████████▓▒▒················/ 12.5/24.0 GiB A 12.5
  CUDA1 RTX 3090 A██████████████▓▒▒C█████▓▓▓▒······/ 19.5/24.0 GiB A 12.5, C 7.0
  host memory    AC·································  1.2/57.6 GiB A 0.6, C 0.6

not used: Tesla P40

█ weights   ▓ KV cache   ▒ buffers   · free   / kept or taken
a letter begins each model's part of a device
`)
  })

  it('tells of each model what lies where', () => {
    expect(
      describePlan(2, { model: small, plan: one }, machine, 80),
    ).toBe(`C  qwen3:4b (Q4_K_M): one device by llama.cpp
  1 slot of 8192 tokens, KV cache f16, on CUDA1 RTX 3090 (layers 0-79, head),
    host memory (input embedding)
`)
  })

  it('draws alike devices and nodes once', () => {
    const boxes = parseGpuList('4x4090 / 4x4090')
    const plan = planOf(boxes.devices.map((_, at) => instanceOf([partOf(boxes, at, { output: true })])))
    const text = drawPlans([{ model: namedModel, plan }], boxes)
    expect(text).toMatch(/\nnode1-2, each\n {2}4 x RTX 4090 +A█+/)
    expect(text.match(/RTX 4090/g)).toHaveLength(1)
  })

  it('keeps within 80 columns for whatever the planner makes', () => {
    const names = ['llama3.1:8b', 'qwen3:4b', 'gpt-oss:20b']
    const subjects = names.flatMap((name) => findFamous(name) ?? [])
    for (const gpus of ['3060,cpu:32', '4090 / 3090 @10gbe', 'm2 ultra:64', '2xp40']) {
      const inventory = parseGpuList(gpus)
      const { models } = planAll(
        subjects.map((model) => ({ model, wishes: { defaultContextLength: 8192 } })),
        inventory,
      )
      const drawn = models.map(({ result }, at) => {
        const model = subjects[at]
        return result.ok && model ? { model, plan: result.plans[0] } : undefined
      })
      const lines = drawPlans(drawn, inventory).split('\n')
      expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(80)
      expect(lines.join('')).not.toMatch(/NaN|undefined|Infinity/)
    }
  })
})
