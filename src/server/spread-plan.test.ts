import { describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.ts'
import type { EngineName, InstanceSpec } from '../engines/index.ts'
import { findFamous, type WorkerDevice } from '../placement/index.ts'
import type { ResolvedModel } from '../routing/index.ts'
import { specOfLayout, spreadOver } from './spread-plan.ts'

const gib = 2 ** 30

/** Cards that nobody here has, as the probes would tell of them. */
const card = (index: number, memoryGib = 24): WorkerDevice => ({
  id: `GPU-${index}`,
  kind: 'gpu',
  engineName: `CUDA${index}`,
  device: {
    id: `GPU-${index}`,
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'NVIDIA GeForce RTX 3090',
    state: 'ok',
    sources: ['test'],
    uuid: `GPU-${index}`,
    index,
    memoryTotalBytes: memoryGib * gib,
    unifiedMemory: false,
    facts: { tflops: {}, supports: { fp16: true }, bandwidthGBs: { value: 936, from: 'table' } },
  },
  memoryTotalBytes: memoryGib * gib,
  memoryFreeBytes: memoryGib * gib,
  settings: {},
  fallback: false,
})

const cpu = (id: string, fallback: boolean): WorkerDevice => ({
  ...card(0),
  id,
  kind: 'cpu',
  device: { ...card(0).device, id, vendor: 'cpu', kind: 'cpu', name: 'a CPU', cores: [0, 1] },
  fallback,
})

const lent = (address: string, name: string): WorkerDevice => ({
  ...card(0),
  id: `rpc:${address}/${name}`,
  kind: 'rpc',
  rpc: { address, position: 0 },
  engineName: name,
  device: { ...card(0).device, id: `rpc:${address}/${name}`, vendor: 'other', name: `lent by ${address}` },
  fallback: true,
})

function subject(name: string) {
  const famous = findFamous(name)
  if (!famous) throw new Error(`${name} is not known`)
  const { shape, fileType } = famous
  const description = {
    file: { shape, fileType },
    stored: { displayName: name },
    capabilities: ['completion'],
  }
  const plan = (budgetBytes: number) =>
    shape.weightBytes > budgetBytes
      ? { ok: false as const, message: `it needs ${shape.weightBytes}, and has ${budgetBytes}` }
      : {
          ok: true as const,
          plan: { contextLength: 4096, slots: 1, bytes: shape.weightBytes, options: {} },
        }
  const model = { key: name, description } as unknown as ResolvedModel
  return { model, ownForm: undefined, plan, load: {}, usualContext: 4096, asked: {} }
}

const configOf = (yaml: string) => {
  const sources = { env: {}, flags: { config: 'a' }, homeDir: '/', cwd: '/' }
  return { ...loadConfig({ ...sources, readFile: () => yaml }).config, sessionDir: undefined }
}

interface Given {
  model: string
  devices: WorkerDevice[]
  /** Of each what is offered; absent: all of it. */
  offers?: Record<string, number>
  yaml?: string
  engine?: EngineName
  strategy?: 'tensor' | 'pipeline'
}

function spread({ model, devices, offers, yaml = '', engine = 'llama.cpp', strategy }: Given) {
  const means = { config: configOf(yaml), engine, devices, links: [], corrections: undefined }
  const all = Object.fromEntries(devices.map(({ id, memoryTotalBytes }) => [id, memoryTotalBytes]))
  const offered = Object.entries(offers ?? all).map(([deviceId, bytes]) => ({ deviceId, bytes }))
  const offer = { devices: offered, mostBytes: Number.POSITIVE_INFINITY, ...(strategy && { strategy }) }
  const found = spreadOver(subject(model), means, offer, {})
  const base: InstanceSpec = {
    id: '7',
    modelName: model,
    modelPath: '/m.gguf',
    projectorPaths: [],
    adapterPaths: [],
    contextLength: 4096,
    slots: 1,
    embedding: false,
    gpuLayers: 'auto',
    env: { CUDA_VISIBLE_DEVICES: 'some' },
    flashAttention: 'auto',
    kvCacheType: 'f16',
    contextShift: true,
    stallTimeoutMs: 1,
  }
  if (!found.ok) return { message: found.message }
  const { layout } = found.plan
  return {
    shares: found.shares,
    layout,
    spec: layout && specOfLayout(layout, base, means),
  }
}

const ids = ({ shares }: { shares?: readonly { deviceId: string }[] }) =>
  shares?.map(({ deviceId }) => deviceId)

describe('a model that is too large for one card', () => {
  it('takes as few as hold it, each with a share of the memory that it has', () => {
    const found = spread({ model: 'llama3.1:70b', devices: [card(0), card(1), card(2), cpu('cpu', true)] })
    expect(ids(found)).toHaveLength(2)
    for (const { bytes } of found.shares ?? []) expect(bytes).toBeLessThan(24 * gib)
    const total = found.shares?.reduce((sum, { bytes }) => sum + bytes, 0)
    expect(total).toBeGreaterThan(40 * gib)
    expect(found.spec?.split).toMatchObject({ mode: 'layer', devices: expect.arrayContaining(['CUDA0']) })
    // Named as the engine names them all: none may be hidden.
    expect(found.spec?.env).toEqual({})
    expect(found.spec?.split?.weights).toHaveLength(2)
  })

  it('takes what it is offered and nothing else', () => {
    const devices = [card(0), card(1), card(2)]
    const offers = { 'GPU-1': 24 * gib, 'GPU-2': 24 * gib }
    expect(ids(spread({ model: 'llama3.1:70b', devices, offers }))?.toSorted()).toEqual(['GPU-1', 'GPU-2'])
    const little = spread({ model: 'llama3.1:70b', devices, offers: { 'GPU-1': 9 * gib, 'GPU-2': 9 * gib } })
    expect(little.message).toContain('llama3.1:70b')
  })

  it('lies as its strategy says', () => {
    const devices = [card(0), card(1), card(2), card(3)]
    const tensor = spread({ model: 'llama3.1:70b', devices, strategy: 'tensor' })
    expect(tensor.layout?.tensorSize).toBeGreaterThan(1)
    expect(['row', 'tensor']).toContain(tensor.spec?.split?.mode)
    const pipeline = spread({ model: 'llama3.1:70b', devices, strategy: 'pipeline' })
    expect(pipeline.layout).toMatchObject({ tensorSize: 1, splitMode: 'layer' })
  })

  it('has the rest in host memory where the cards are not enough, and the CPU pays for it', () => {
    const found = spread({
      model: 'llama3.1:70b',
      devices: [card(0), { ...cpu('cpu', true), memoryTotalBytes: 64 * gib }],
    })
    expect(ids(found)).toEqual(['GPU-0', 'cpu'])
    expect(found.shares?.find(({ deviceId }) => deviceId === 'cpu')?.bytes).toBeGreaterThan(15 * gib)
    expect(found.spec?.gpuLayers).toBeLessThan(80)
  })

  it('is refused where memory is not to be pooled', () => {
    const devices = [cpu('cpu:0', false), cpu('cpu:1', false)]
    const pooled = spread({
      model: 'llama3.1:8b-f16',
      devices,
      offers: { 'cpu:0': 9 * gib, 'cpu:1': 9 * gib },
    })
    expect(ids(pooled)).toEqual(['cpu:0', 'cpu:1'])
    const yaml = 'multi_gpu: {memory: {pooling: false}}'
    const apart = spread({
      model: 'llama3.1:8b-f16',
      devices,
      offers: { 'cpu:0': 9 * gib, 'cpu:1': 9 * gib },
      yaml,
    })
    expect(apart.message).toContain('it needs')
  })

  it.each(['vllm', 'sglang'] as const)(
    'is told %s as the size of its group, on cards of its own',
    (engine) => {
      const devices = [0, 1, 2, 3].map((index) => card(index, 80))
      const { spec, layout } = spread({ model: 'llama3.1:70b-q8_0', devices, engine })
      expect(layout?.engine).toBe(engine)
      expect(spec?.parallel).toMatchObject({ tensor: layout?.tensorSize, pipeline: layout?.pipelineSize })
      expect(ids({ shares: layout?.parts ?? [] })).toHaveLength(
        (spec?.parallel?.tensor ?? 0) * (spec?.parallel?.pipeline ?? 0),
      )
      // Which cards it sees was said before.
      expect(spec?.env).toEqual({ CUDA_VISIBLE_DEVICES: 'some' })
    },
  )

  it.each(['ollama', 'embedded'] as const)('is divided by %s itself', (engine) => {
    const found = spread({ model: 'llama3.1:70b', devices: [card(0), card(1)], engine })
    expect(ids(found)).toEqual(['GPU-0', 'GPU-1'])
    expect(found.layout).toBeUndefined()
  })
})

describe('devices that other machines lend', () => {
  it('hold what this machine cannot, each reached where it is', () => {
    const devices = [
      card(0),
      lent('10.0.0.2:50052', 'CUDA0'),
      lent('10.0.0.3:50052', 'CUDA0'),
      cpu('cpu', true),
    ]
    const offers = Object.fromEntries(devices.map(({ id, kind }) => [id, kind === 'cpu' ? gib : 24 * gib]))
    const found = spread({ model: 'llama3.1:70b', devices, offers })
    expect(ids(found)).toContain('GPU-0')
    const { split, rpcWorkers = [] } = found.spec ?? {}
    expect(rpcWorkers.length).toBeGreaterThan(0)
    for (const worker of rpcWorkers) expect(worker).toMatch(/^10\.0\.0\.[23]:50052$/)
    expect(split?.devices).toEqual(expect.arrayContaining(['CUDA0', 'RPC0']))
  })

  it('hold a model that no CPU here has room for', () => {
    const lentCpu = (address: string): WorkerDevice => {
      const one = lent(address, 'CPU')
      return { ...one, device: { ...one.device, vendor: 'cpu', kind: 'cpu' } }
    }
    const devices = [cpu('cpu', false), lentCpu('10.0.0.2:50052'), lentCpu('10.0.0.3:50052')]
    const offers = Object.fromEntries(
      devices.map(({ id, kind }) => [id, kind === 'cpu' ? 2 * gib : 12 * gib]),
    )
    const found = spread({ model: 'llama3.1:8b-f16', devices, offers })
    expect(found.message).toBeUndefined()
    expect(found.spec?.rpcWorkers).toEqual(['10.0.0.2:50052', '10.0.0.3:50052'])
    expect(found.spec?.split?.devices).toEqual(['RPC0', 'RPC1'])
  })
})
