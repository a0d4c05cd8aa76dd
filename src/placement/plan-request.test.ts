import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DroverError } from '../inference/index.ts'
import { parseGpuList } from './inventory/index.ts'
import {
  planRequestFromQuery,
  planRequestSchema,
  readPlanRequest,
  usualContextLength,
} from './plan-request.ts'

describe('a request for a plan', () => {
  it('has every wish under the name of the API', () => {
    const { wishes, inventory } = readPlanRequest({
      model: 'm',
      gpus: '2x4090',
      strategy: 'tensor',
      context_length: 8192,
      slots: 2,
      kv_cache_type: 'q8_0',
      pin: ['gpu0'],
      reserve: '1GiB',
      cpu_offload: false,
      engines: ['llama.cpp'],
      objective: 'throughput',
    })
    expect(inventory?.devices).toHaveLength(2)
    expect(wishes).toEqual({
      strategy: 'tensor',
      contextLength: 8192,
      slots: 2,
      kvCacheType: 'q8_0',
      pins: ['gpu0'],
      reserveBytes: 2 ** 30,
      cpuOffload: false,
      engines: ['llama.cpp'],
      objective: 'throughput',
    })
  })

  it('has wishes of one model among several beside those of all', () => {
    const request = readPlanRequest({
      models: ['m', { model: 'n', context_length: 4096, pin: ['gpu1'], priority: 2 }],
      slots: 2,
    })
    expect(request).toEqual({
      models: [
        { model: 'm', wishes: {} },
        { model: 'n', wishes: { contextLength: 4096, pins: ['gpu1'] }, priority: 2 },
      ],
      wishes: { slots: 2 },
    })
  })

  it('is the same from a query', () => {
    const query = {
      model: '7',
      gpus: '4090',
      slots: '2',
      pin: 'gpu0, node1',
      max_watts: '250.5',
      cpu_offload: 'false',
      reserve: '1GB',
    }
    expect(planRequestFromQuery(query)).toEqual(
      readPlanRequest({
        model: '7',
        gpus: '4090',
        slots: 2,
        pin: ['gpu0', 'node1'],
        max_watts: 250.5,
        cpu_offload: false,
        reserve: 1e9,
      }),
    )
  })

  it.each([
    [{}, 'model is required'],
    ['text', 'a plan is asked for by an object'],
    [{ model: 'm', slot: 1 }, 'there is no field "slot", but model, models, gpus, inventory'],
    [{ model: 'm', reserve: 'much' }, '"reserve": it is no size such as 1GiB or 500MB, not "much"'],
    [{ model: 'm', slots: 0 }, '"slots": Too small'],
    [{ model: 'm', gpus: '4090', inventory: {} }, 'give one of them'],
    [
      { models: ['m', { model: 'n', slot: 1 }] },
      'models[1]: there is no field "slot", but model, priority, ',
    ],
    [{ models: ['m', { model: 'n', slots: 0 }] }, 'models[1]: "slots": Too small'],
    [{ models: ['m', { slots: 1 }] }, 'models[1]: model is required'],
    [{ models: ['m', 5] }, '"models": Invalid input, not ["m",5]'],
    [{ models: ['m', null] }, 'models[1]: a plan is asked for by an object with "model"'],
    [{ models: ['m', { model: 'm', slots: 2 }] }, '"models" has "m" twice'],
    [{ models: [] }, '"models": Too small'],
  ])('is refused in words: %j', (body, words) => {
    expect(() => readPlanRequest(body)).toThrow(words)
  })

  it('is read or refused in words, whatever it is', () => {
    const field = fc.constantFrom('model', ...Object.keys(planRequestSchema['properties'] as object))
    fc.assert(
      fc.property(fc.dictionary(field, fc.anything()), (body) => {
        try {
          expect(readPlanRequest(body).model).not.toBe('')
        } catch (error) {
          expect(error).toBeInstanceOf(DroverError)
        }
      }),
    )
  })

  it('leaves the context to the memory that there is', () => {
    expect(['3060', '3090', '2x3090'].map((gpus) => usualContextLength(parseGpuList(gpus)))).toEqual([
      4096, 32_768, 262_144,
    ])
  })

  it('names one model, or several that differ', () => {
    const models = ['a', 'b'].map((model) => ({ model, wishes: {} }))
    expect(readPlanRequest({ models: ['a', 'b'], slots: 1 })).toEqual({ models, wishes: { slots: 1 } })
    expect(planRequestFromQuery({ models: 'a, b' })).toEqual({ models, wishes: {} })
    expect(() => readPlanRequest({ model: 'a', models: ['b'] })).toThrow('give one of them')
    expect(() => readPlanRequest({ models: ['a', 'b', 'a'] })).toThrow('"models" has "a" twice')
    expect(() => readPlanRequest({ models: [] })).toThrow('"models": Too small')
    expect(() => readPlanRequest({ model: '' })).toThrow('model is required')
  })
})
