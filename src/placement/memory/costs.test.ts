import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PartRole, PlanModel } from '../contract.ts'
import { llama8b, shapes, wishes } from '../testing.ts'
import { costsOf } from './costs.ts'
import { estimateMemory, runShapeOf } from './estimate.ts'

const gib = 2 ** 30
const modelOf = (shape: PlanModel['shape']): PlanModel => ({
  name: 'm',
  shape,
  format: 'gguf',
  fileType: 'Q4_K_M',
})
const run = runShapeOf({ contextLength: 8192, slots: 2 })
const llama = costsOf(modelOf(llama8b), run)
const part = (first: number, end: number, more: Partial<PartRole> = {}): PartRole => ({
  backend: 'cuda',
  layers: [first, end],
  output: end === 32,
  tensorSize: 1,
  devices: 1,
  ...more,
})

describe('the costs of a model', () => {
  it('are those of its layers and its head together', () => {
    const sum = (key: 'weightsBytes' | 'kvCacheBytes' | 'flopsPerToken') =>
      llama.layers.reduce((total, layer) => total + layer[key], 0)
    expect(sum('kvCacheBytes')).toBe(2 * gib)
    expect(sum('weightsBytes')).toBe(32 * 136_000_000)
    expect(llama.layers[0]?.kvReadBytes).toBe(gib / 32)
    expect(llama.output.weightsBytes).toBe(llama8b.outputBytes)
    expect(llama.host.weightsBytes).toBe(llama8b.inputBytes)
    // Two operations for each parameter that a token meets: all but those of the input embedding.
    const flops = sum('flopsPerToken') + llama.output.flopsPerToken
    expect(flops / (2 * llama8b.parameterCount)).toBeGreaterThan(0.9)
    expect(flops / (2 * llama8b.parameterCount)).toBeLessThan(1.02)
  })

  it('count of the experts those that a token uses, and copy a tied embedding to the head', () => {
    const layer = {
      bytes: 1000,
      expertBytes: 800,
      parameters: 2000,
      expertParameters: 1600,
      feedForwardLength: 64,
      expertCount: 8,
    }
    const shape = {
      ...llama8b,
      expertCount: 8,
      expertUsedCount: 2,
      tiedEmbeddings: true,
      layers: llama8b.layerBytes.map(() => layer),
    }
    const costs = costsOf(modelOf(shape), run)
    expect(costs.layers[0]).toMatchObject({
      weightsBytes: 1000,
      expertBytes: 800,
      activeWeightsBytes: 400,
      flopsPerToken: 1600,
    })
    expect(costs.output.weightsBytes).toBe(shape.outputBytes + shape.inputBytes)
  })

  it('are more for the first of several devices, which overlap batches, than for one device', () => {
    const alone = llama.computeBytes(part(0, 32))
    const first = llama.computeBytes(part(0, 16, { devices: 2 }))
    const second = llama.computeBytes(part(16, 32, { devices: 2 }))
    expect(first).toBeGreaterThan(alone)
    expect(first).toBeGreaterThan(second)
    expect(llama.computeBytes(part(0, 32, { devices: 2, tensorSize: 2 }))).toBe(alone)
    expect(llama.computeBytes(part(5, 5))).toBe(0)
    expect(llama.computeBytes(part(0, 32, { onHost: 'layers', borrows: true }))).toBeGreaterThan(alone)
    expect(llama.hostOf({ devices: 2, tensorSize: 1 }).computeBytes).toBeGreaterThan(llama.host.computeBytes)
    expect(llama.hostOf({ devices: 1, tensorSize: 1 })).toEqual(llama.host)
  })

  it("have a backend's own share on a device, more where tensors are shared", () => {
    const alone = llama.overheadBytes(part(0, 32))
    expect(alone).toBeGreaterThan(100 * 2 ** 20)
    expect(llama.overheadBytes(part(0, 32, { tensorSize: 2, devices: 2 }))).toBeGreaterThan(alone)
    expect(llama.overheadBytes(part(0, 32, { backend: 'cpu' }))).toBe(0)
  })

  it('hold the draft model with its own cache, and the projector', () => {
    const model = { ...modelOf(llama8b), draft: { name: 'd', shape: llama8b }, projectorBytes: 5 }
    const costs = costsOf(model, run)
    expect(costs.projectorBytes).toBe(5)
    expect(costs.draftBytes).toBeGreaterThan(llama8b.weightBytes + 2 * gib)
    expect(llama.draftBytes).toBe(0)
  })

  it('are corrected by kind', () => {
    const corrected = costsOf(modelOf(llama8b), run, { weights: 1.5, kvCache: 2, compute: 3 })
    expect(corrected.layers[3]?.weightsBytes).toBe(1.5 * 136_000_000)
    expect(corrected.layers[3]?.kvCacheBytes).toBe((2 * 2 * gib) / 32)
    expect(corrected.computeBytes(part(0, 32)) / llama.computeBytes(part(0, 32))).toBeCloseTo(3, 5)
  })

  it('grow with context, slots and layers, and agree with the whole of the estimate', () => {
    fc.assert(
      fc.property(shapes, wishes, fc.nat(5000), fc.nat(3), (shape, asked, context, slots) => {
        const { embedding: _, ...how } = asked
        const smaller = costsOf(modelOf(shape), runShapeOf(how))
        const total = (costs: typeof smaller) =>
          costs.layers.reduce((sum, layer) => sum + layer.kvCacheBytes, 0)
        const whole = part(0, shape.layerCount, { backend: 'cpu', output: true })
        const estimate = estimateMemory(shape, how)
        expect(Math.abs(total(smaller) - estimate.kvCacheBytes)).toBeLessThanOrEqual(shape.layerCount)
        expect(smaller.computeBytes(whole)).toBeLessThanOrEqual(estimate.computeBytes)
        for (const more of [
          { ...how, contextLength: how.contextLength + context },
          { ...how, slots: how.slots + slots },
        ]) {
          const larger = costsOf(modelOf(shape), runShapeOf(more))
          expect(total(larger)).toBeGreaterThanOrEqual(total(smaller))
        }
        const half = part(0, Math.ceil(shape.layerCount / 2), { output: false })
        const all = part(0, shape.layerCount, { output: false })
        expect(smaller.computeBytes(half)).toBeLessThanOrEqual(smaller.computeBytes(all))
      }),
      { numRuns: 60 },
    )
  })
})
