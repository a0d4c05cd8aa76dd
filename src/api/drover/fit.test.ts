import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import type { Registry, RemoteModelFile } from '../../models/index.ts'
import { findFamous, parseGpuList } from '../../placement/index.ts'
import { testApi } from '../testing/double.ts'
import type { FittingVersion } from './fit.ts'
import type { PlanSources } from './plan-sources.ts'

/** A registry's file with the shape of a well-known model. */
function remote(name: string): RemoteModelFile {
  const model = findFamous(name)
  if (!model) throw new Error(`${name} is not well-known`)
  const { shape, fileType } = model
  const file = { metadata: {}, tensors: [], shape, fileType, addsBos: false, pooling: false }
  return { file, sizeBytes: shape.weightBytes }
}

/** An API over a registry with these tags of `llama3.1`, on these machines, and the names that it was asked for. */
function apiOver(tags: Record<string, string>, gpus: string, listed: string[] = Object.keys(tags)) {
  const asked: string[] = []
  const registry: Partial<Registry> = {
    tags: async () => listed,
    inspect: async (name) => {
      asked.push(name)
      const famous = tags[name.replace('llama3.1:', '')]
      return famous === undefined ? undefined : remote(famous)
    },
  }
  const plans: PlanSources = {
    find: async () => {
      throw new DroverError('model_not_found', 'none')
    },
    machines: async () => parseGpuList(gpus),
    commandsOf: async () => () => undefined,
  }
  const { post } = testApi({ registry, plans })
  return { asked, post }
}

const eightB = {
  '8b': 'llama3.1:8b',
  '8b-q8_0': 'llama3.1:8b-q8_0',
  '8b-q6_K': 'llama3.1:8b-q6_k',
  '8b-q2_K': 'llama3.1:8b-q2_k',
  '8b-fp16': 'llama3.1:8b-f16',
}

describe('POST /api/fit', () => {
  it('chooses the finest version that fits the machine', async () => {
    const large = await apiOver(eightB, '3090').post('/api/fit', { model: 'llama3.1:8b' })
    expect(large.statusCode).toBe(200)
    const chosen = JSON.parse(large.body) as FittingVersion
    expect(chosen).toMatchObject({ model: 'llama3.1:8b-q8_0', fileType: 'Q8_0' })
    expect(chosen.reasons[0]).toMatch(/^Of 4 files Q8_0 is taken/)
    expect(chosen.rejected.some(({ what }) => what.startsWith('llama3.1:8b as Q4_K_M'))).toBe(true)
    const small = await apiOver(eightB, '2060:6').post('/api/fit', { model: 'llama3.1:8b' })
    expect(JSON.parse(small.body)).toMatchObject({ model: 'llama3.1:8b' })
  })

  it('tries the usual tags where the registry keeps no list', async () => {
    const { asked, post } = apiOver(eightB, '3090', [])
    expect(JSON.parse((await post('/api/fit', { model: 'llama3.1:8b' })).body)).toMatchObject({
      model: 'llama3.1:8b-q8_0',
    })
    expect(asked[0]).toBe('llama3.1:8b')
    expect(asked).toContain('llama3.1:8b-instruct-q4_K_M')
  })

  it('says so where there is none, or none fits', async () => {
    const none = await apiOver({}, '3090').post('/api/fit', { model: 'llama3.1:8b' })
    expect([none.statusCode, JSON.parse(none.body).error]).toEqual([
      404,
      'the registry has no "llama3.1:8b", nor another version of it that Drover can run',
    ])
    const tooLarge = await apiOver({ '405b': 'llama3.1:405b' }, '3060,cpu:16').post('/api/fit', {
      model: 'llama3.1:405b',
    })
    expect(tooLarge.statusCode).toBe(500)
    expect(JSON.parse(tooLarge.body).error).toMatch(/^model "llama3\.1:405b" needs [\d.]+ GiB/)
    expect((await apiOver({}, '3090').post('/api/fit', {})).statusCode).toBe(400)
  })
})
