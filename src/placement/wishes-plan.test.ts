import { describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.ts'
import type { Inventory, PlanDevice, PlanResult } from './contract.ts'
import { findFamous } from './famous.ts'
import { parseGpuList } from './inventory/index.ts'
import { planModel } from './planner/index.ts'
import { wishesFrom } from './wishes.ts'

/** The plan for a well-known model on cards as they are written, under a section `multi_gpu`. */
function planned(
  model: string,
  gpus: string,
  yaml: string,
  change = (inventory: Inventory) => inventory,
): PlanResult {
  const famous = findFamous(model)
  if (!famous) throw new Error(`${model} is not known`)
  const sources = {
    env: {},
    flags: { config: 'a' },
    homeDir: '/',
    cwd: '/',
    readFile: () => `multi_gpu: ${yaml}`,
  }
  const inventory = change(parseGpuList(gpus))
  const { wishes, problems } = wishesFrom(loadConfig(sources).config.multiGpu, inventory)
  expect(problems).toEqual([])
  return planModel(famous, inventory, { defaultContextLength: 8192, ...wishes })
}

function best(...args: Parameters<typeof planned>) {
  const result = planned(...args)
  if (!result.ok) throw new Error(result.message)
  const [plan] = result.plans
  const [instance] = plan.instances
  if (!instance) throw new Error('a plan without an instance')
  const layers = instance.parts
    .filter(({ kind }) => kind === 'gpu')
    .map(({ layers: [first, end] }) => end - first)
  return { ...plan, instance, layers }
}

const large = 'llama3.1:70b'
const small = 'llama3.1:8b'

describe('what the section multi_gpu does to plans', () => {
  it('strategy, tensor_parallel.size, pipeline_parallel.size, data_parallel.replicas', () => {
    expect(best(small, '4x4090', '{strategy: single}').instances).toHaveLength(1)
    expect(best(small, '4x4090', '{strategy: data, data_parallel: {replicas: 3}}').instances).toHaveLength(3)
    const tensor = best(small, '4x4090', '{strategy: tensor, tensor_parallel: {size: 2}}')
    expect(tensor.instance).toMatchObject({ tensorSize: 2, pipelineSize: 1 })
    const pipeline = best(small, '4x4090', '{strategy: pipeline, pipeline_parallel: {size: 3}}')
    expect(pipeline.instance).toMatchObject({ tensorSize: 1, pipelineSize: 3 })
    const hybrid = best(
      small,
      '4x4090',
      '{strategy: hybrid, tensor_parallel: {size: 2}, data_parallel: {replicas: 2}}',
    )
    expect([hybrid.instances.length, hybrid.instance.tensorSize]).toEqual([2, 2])
  })

  it('enabled and memory.pooling keep a model on one device, and refuse one that fits none', () => {
    expect(best(large, '2x4090', '{}').instance.parts.length).toBeGreaterThan(1)
    for (const yaml of ['{enabled: false}', '{memory: {pooling: false}}']) {
      const result = planned(large, '2x4090', yaml)
      const most = result.ok
        ? result.plans[0].instances[0]?.parts.filter(({ kind }) => kind === 'gpu').length
        : 0
      expect(most).toBeLessThanOrEqual(1)
    }
  })

  it('cross_vendor: which GPUs, whether together, and what that costs', () => {
    const both = '2x4090,2x7900xtx'
    const used = (yaml: string) => best(large, both, yaml).instance.parts.map(({ deviceId }) => deviceId)
    const devices = parseGpuList(both).devices
    const ids = (vendor: PlanDevice['vendor']) =>
      devices.filter((one) => one.vendor === vendor).map(({ id }) => id)
    expect(used('{cross_vendor: {cuda_gpus: []}}').filter((id) => ids('nvidia').includes(id))).toEqual([])
    expect(used('{cross_vendor: {rocm_gpus: [2]}}')).not.toContain(ids('amd')[1])
    const alone = used('{cross_vendor: {enabled: false}}')
    expect(
      alone.some((id) => ids('nvidia').includes(id)) && alone.some((id) => ids('amd').includes(id)),
    ).toBe(false)
    const mixed = (overhead: number) =>
      best(
        large,
        '4090,rx7900xtx',
        `{strategy: pipeline, cross_vendor: {coordination_overhead: ${overhead}}}`,
      ).speed
    expect(mixed(0).decodeTokensPerS / mixed(0.25).decodeTokensPerS).toBeCloseTo(1.25, 3)
    expect(mixed(0.25).ttftMs / mixed(0).ttftMs).toBeCloseTo(1.25, 3)
  })

  it('tensor_parallel.communication: rccl adds up on AMD only', () => {
    const yaml = '{strategy: tensor, tensor_parallel: {size: 2, communication: rccl}}'
    expect(best(small, '2x7900xtx', yaml).instance.tensorSize).toBe(2)
    const refused = planned(small, '2x4090', yaml)
    expect(refused.ok && refused.plans[0].instances[0]?.tensorSize === 2).toBe(false)
    expect(refused.rejected.map(({ reason }) => reason).join()).toContain("as amd's GPUs do it")
  })

  it('split_strategy and kv_cache_distribution: how many layers unlike devices get', () => {
    const split = (yaml: string) =>
      best(small, 'A100 SXM4 80GB,4090', `{strategy: pipeline, pipeline_parallel: {size: 2}, ${yaml}}`).layers
    const spread = (layers: readonly number[]) => Math.max(...layers) - Math.min(...layers)
    expect(spread(split('memory: {kv_cache_distribution: balanced}'))).toBeLessThanOrEqual(2)
    expect(spread(split('tensor_parallel: {split_strategy: balanced}'))).toBeLessThanOrEqual(3)
    expect(spread(split('tensor_parallel: {split_strategy: memory_aware}'))).toBeGreaterThan(12)
  })

  it('pipeline_parallel.micro_batch_size: slots for each stage', () => {
    const slots = (size: number) =>
      best(small, '2x4090', `{strategy: pipeline, pipeline_parallel: {size: 2, micro_batch_size: ${size}}}`)
        .instance.slots
    expect([slots(1), slots(3)]).toEqual([2, 6])
  })

  it('pipeline_parallel.overlap_communication: prompts take longer where stages wait', () => {
    const ttft = (overlap: boolean) =>
      best(
        small,
        '2x4090',
        `{strategy: pipeline, pipeline_parallel: {size: 2, overlap_communication: ${overlap}}}`,
      ).speed.ttftMs
    expect(ttft(false)).toBeGreaterThan(ttft(true) * 1.2)
  })

  it('scheduling.algorithm and scheduling.metrics: what is the best plan', () => {
    const few = best(small, '4x4090', '{scheduling: {algorithm: memory_only}}')
    expect(few.instance.parts.filter(({ kind }) => kind === 'gpu')).toHaveLength(1)
    const many = best(small, '4x4090', '{scheduling: {metrics: [throughput]}}')
    const quick = best(small, '4x4090', '{scheduling: {metrics: [latency]}}')
    expect(many.speed.throughputTokensPerS).toBeGreaterThanOrEqual(quick.speed.throughputTokensPerS)
    expect(quick.speed.decodeTokensPerS).toBeGreaterThanOrEqual(many.speed.decodeTokensPerS)
  })
})
