import { describe, expect, it } from 'vitest'
import { type SpecBase, specOfPlan } from './instance-spec.ts'
import { parseGpuList } from './inventory/index.ts'
import { instanceOf, partOf } from './picture/testing.ts'

const base: SpecBase = {
  id: 'i1',
  modelName: 'llama3.1:70b',
  modelPath: '/models/70b.gguf',
  projectorPaths: [],
  adapterPaths: [],
  embedding: false,
  flashAttention: 'auto',
  contextShift: true,
  stallTimeoutMs: 60_000,
}
const two = parseGpuList('2x3090,rx7900xtx')
const boxes = parseGpuList('3090 / 2x3090 / cpu:64')

describe('the spec of a planned instance', () => {
  it('has the layers of each device in their order, the head as one of them', () => {
    const instance = instanceOf([
      partOf(two, 2, { layers: [0, 30] }),
      partOf(two, 0, { stage: 1, layers: [30, 80], output: true }),
    ])
    expect(specOfPlan(instance, two, base)).toEqual({
      ...base,
      contextLength: 8192,
      slots: 1,
      kvCacheType: 'f16',
      gpuLayers: 81,
      split: { mode: 'layer', devices: ['ROCm0', 'CUDA0'], weights: [30, 51] },
    })
  })

  it('leaves to the host what the plan leaves there', () => {
    const instance = instanceOf([
      partOf(two, 0, { layers: [20, 80], output: true, hostExperts: [21, 20] }),
      { ...partOf(two, 0), deviceId: 'node1', kind: 'cpu', layers: [0, 20] },
    ])
    expect(specOfPlan(instance, two, base)).toMatchObject({
      gpuLayers: 61,
      split: { mode: 'none', devices: ['CUDA0'], weights: [61] },
      hostExperts: [20, 21],
    })
    const onCpu = instanceOf([{ ...partOf(two, 0), deviceId: 'node1', kind: 'cpu', layers: [0, 80] }])
    expect(specOfPlan(onCpu, two, base)).toMatchObject({ gpuLayers: 0 })
    expect(specOfPlan(onCpu, two, base).split).toBeUndefined()
  })

  it('names the devices of workers one after the other, in the order of the workers', () => {
    const parts = [
      {
        ...partOf(boxes, 0),
        deviceId: 'node3',
        node: 'node3',
        kind: 'cpu' as const,
        layers: [0, 10] as const,
        remote: true,
      },
      partOf(boxes, 2, { stage: 1, layers: [10, 40], remote: true }),
      partOf(boxes, 0, { stage: 2, layers: [40, 80], output: true }),
    ]
    const spec = specOfPlan(instanceOf(parts, { node: 'node1' }), boxes, base, {
      addressOf: (node) => `${node}.lan:7000`,
    })
    expect(spec.rpcWorkers).toEqual(['node3.lan:7000', 'node2.lan:7000'])
    expect(spec.split).toEqual({ mode: 'layer', devices: ['RPC0', 'RPC2', 'CUDA0'], weights: [10, 30, 41] })
  })

  it('has a worker lend its CPU behind its GPUs where the plan uses that, too', () => {
    const cpuOf = (node: string) => ({ ...partOf(boxes, 1), deviceId: node, node, kind: 'cpu' as const })
    const parts = [
      { ...cpuOf('node2'), layers: [0, 10] as const, remote: true },
      { ...cpuOf('node3'), stage: 1, layers: [10, 20] as const, remote: true },
      partOf(boxes, 2, { stage: 2, layers: [20, 40], remote: true }),
      partOf(boxes, 0, { stage: 3, layers: [40, 80], output: true }),
    ]
    const spec = specOfPlan(instanceOf(parts, { node: 'node1' }), boxes, base)
    expect(spec.rpcWorkers).toEqual(['node2:50052', 'node3:50052'])
    expect(spec.rpcDevices).toEqual([['CUDA0', 'CUDA1', 'CPU'], undefined])
    expect(spec.split?.devices).toEqual(['RPC2', 'RPC3', 'RPC1', 'CUDA0'])
  })

  it('gives shares of tensors as shares', () => {
    const parts = [0, 1].map((at) => partOf(two, at, { share: 1 / 2, output: true }))
    const spec = specOfPlan(
      instanceOf(parts, { splitMode: 'tensor', tensorSize: 2, pipelineSize: 1 }),
      two,
      base,
    )
    expect(spec).toMatchObject({
      gpuLayers: 81,
      split: { mode: 'tensor', devices: ['CUDA0', 'CUDA1'], weights: [0.5, 0.5] },
    })
  })

  it('puts the draft model where the plan has it', () => {
    const instance = instanceOf([partOf(two, 0, { output: true })], { draftDeviceId: 'gpu1' })
    expect(specOfPlan(instance, two, base, { draftPath: '/models/1b.gguf' }).draft).toEqual({
      modelPath: '/models/1b.gguf',
      device: 'CUDA1',
    })
    expect(specOfPlan(instance, two, base).draft).toBeUndefined()
  })

  it('tells engines that split by themselves how to, and which devices they see', () => {
    const parts = [
      partOf(two, 0, { layers: [0, 45] }),
      partOf(two, 1, { stage: 1, layers: [45, 80], output: true }),
    ]
    const spec = specOfPlan(instanceOf(parts, { engine: 'vllm' }), two, base)
    expect(spec.parallel).toEqual({ tensor: 1, pipeline: 2, data: 1, stageLayers: [45, 35] })
    expect(spec.env).toEqual({ CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: '0,1' })
    expect(specOfPlan(instanceOf(parts, { engine: 'exllama' }), two, base).parallel?.deviceGb).toEqual([
      12.5, 12.5,
    ])
    const across = instanceOf(
      [partOf(boxes, 0), partOf(boxes, 1, { stage: 1 }), partOf(boxes, 2, { stage: 1 })],
      { engine: 'vllm', tensorSize: 2, pipelineSize: 2 },
    )
    expect(specOfPlan(across, boxes, base).parallel?.nodes).toEqual([
      { node: 'node1', address: 'node1' },
      { node: 'node2', address: 'node2' },
    ])
  })
})
