import { describe, expect, it } from 'vitest'
import type { InstanceSpec } from '../../engines/index.ts'
import { DroverError } from '../../inference/index.ts'
import { findFamous, type PlannedModel, type PlansReport, parseGpuList } from '../../placement/index.ts'
import { testApi } from '../testing/double.ts'
import { makePlan, makePlans } from './plan.ts'
import type { PlanSources } from './plan-sources.ts'

/** Sources with this machine's GPUs, and what they were asked. */
function sourcesWith(gpus: string, more: Partial<PlanSources> = {}) {
  const specs: { here: boolean; spec: InstanceSpec }[] = []
  const sources: PlanSources = {
    find: async (name) => {
      const model = findFamous(name)
      if (!model) throw new DroverError('model_not_found', `model '${name}' not found`)
      return { model, files: { modelPath: `/m/${name}.gguf`, projectorPaths: [], adapterPaths: [] } }
    },
    machines: async () => parseGpuList(gpus),
    commandsOf: async (here) => (_engine, spec) => {
      specs.push({ here, spec })
      return [{ env: {}, argv: ['llama-server', '--device', spec.split?.devices.join(',') ?? 'none'] }]
    },
    ...more,
  }
  return { sources, specs }
}

const named = (model: string): PlannedModel => ({ model, wishes: {} })

describe('a plan', () => {
  it('is for this machine, under its configuration, where no other is named', async () => {
    const { sources, specs } = sourcesWith('2x3090', {
      wishesFor: (inventory, strategy) => {
        expect([inventory.devices.length, strategy]).toEqual([2, undefined])
        return { kvCacheType: 'q8_0', flashAttention: 'on', slots: 1 }
      },
      opinionOf: async () => ({ program: 'llama-fit-params', devices: [] }),
    })
    const report = await makePlan({ model: 'llama3.1:70b', wishes: { contextLength: 4096 } }, sources)
    expect(report).toMatchObject({ ok: true, opinion: { program: 'llama-fit-params' } })
    expect(specs).toMatchObject([
      { here: true, spec: { kvCacheType: 'q8_0', flashAttention: 'on', slots: 1, contextLength: 4096 } },
    ])
    expect(specs[0]?.spec.threads).toBeUndefined()
  })

  it('is for others as nobody has set them up, whatever is set here', async () => {
    const { sources, specs } = sourcesWith('2x3090', {
      wishesFor: () => {
        throw new Error('the configuration is of this machine')
      },
      opinionOf: async () => {
        throw new Error('the model is not there')
      },
    })
    const report = await makePlan(
      { model: 'llama3.1:8b', inventory: parseGpuList('8x4090'), wishes: {} },
      sources,
    )
    expect(report.inventory.devices).toHaveLength(8)
    expect(specs.every(({ here, spec }) => !here && spec.threads === 8)).toBe(true)
    // Eight copies are started alike, but for their devices.
    expect(report.commands).toEqual([
      { instance: 0, count: 8, commands: [{ env: {}, argv: ['llama-server', '--device', 'CUDA0'] }] },
    ])
  })

  it('is refused by a server that makes none, and without a model', async () => {
    const { sources } = sourcesWith('3090')
    const none = await testApi().post('/api/plan', { model: 'llama3.1:8b' })
    expect([none.statusCode, JSON.parse(none.body)]).toEqual([400, { error: 'this server makes no plans' }])
    const { app } = testApi({ plans: sources })
    expect((await app.inject({ url: '/api/plan' })).statusCode).toBe(400)
    expect((await app.inject({ url: '/api/plan?model=none' })).json()).toEqual({
      error: "model 'none' not found",
    })
    expect((await app.inject({ url: '/api/plan?model=llama3.1:8b&slots=2' })).json()).toMatchObject({
      ok: true,
    })
  })

  it('of several models has a part for each, with ports of their own', async () => {
    const { sources, specs } = sourcesWith('3090')
    const models = [named('llama3.1:8b'), named('qwen3:4b')] as const
    const report = await makePlans({ models, wishes: { slots: 1 } }, sources)
    expect(report).toMatchObject({
      ok: true,
      models: [
        { ok: true, subject: { name: 'llama3.1:8b' }, sharesWith: ['qwen3:4b'], commands: [{ count: 1 }] },
        { ok: true, subject: { name: 'qwen3:4b' }, sharesWith: ['llama3.1:8b'], commands: [{ count: 1 }] },
      ],
      inventory: { devices: [{ id: 'gpu0' }] },
    })
    expect(specs.map(({ spec }) => spec.port)).toEqual([undefined, 8081])
  })

  it('of several models takes the wishes of one before those of all, and places first what has priority', async () => {
    const { sources } = sourcesWith('2x3090')
    const { post } = testApi({ plans: sources })
    const small = { model: 'qwen3:0.6b', priority: 1, context_length: 2048, pin: ['gpu0'] }
    const body = await post('/api/plan', { models: ['qwen3:4b', small], slots: 1, replicas: 1 })
    const { models, reasons } = JSON.parse(body.body) as PlansReport
    const leads = models.map((one) => (one.ok ? one.plans[0].instances[0] : undefined))
    expect(leads.map((lead) => lead?.slots)).toEqual([1, 1])
    expect(leads.map((lead) => lead?.parts[0]?.deviceId)).toEqual(['gpu1', 'gpu0'])
    expect(leads[1]?.contextLength).toBe(2048)
    expect(leads[0]?.contextLength).toBeGreaterThan(2048)
    expect(reasons[0]).toBe('Placed one after the other: qwen3:0.6b, qwen3:4b.')
  })

  it('of several models is asked for by `models`, or by `model` more than once', async () => {
    const { sources } = sourcesWith('3090')
    const { app, post } = testApi({ plans: sources })
    const query = await app.inject({ url: '/api/plan?model=qwen3:4b&model=qwen3:0.6b&slots=1' })
    const body = await post('/api/plan', { models: ['qwen3:4b', 'qwen3:0.6b'], slots: 1 })
    expect(query.json<PlansReport>().models.map(({ ok }) => ok)).toEqual([true, true])
    expect(JSON.parse(body.body)).toEqual(query.json())
  })

  it('of two names of one model is refused', async () => {
    const { sources } = sourcesWith('3090')
    const [subject] = await Promise.all([sources.find('qwen3:4b')])
    const models = [named('drover'), named('drover:latest')] as const
    await expect(
      makePlans({ models, wishes: {} }, { ...sources, find: async () => subject }),
    ).rejects.toThrow('"drover" and "drover:latest" are one model, qwen3:4b')
  })

  it('starts what has a cache of 8 bits by choice with flash attention', async () => {
    const { sources, specs } = sourcesWith('4080')
    const wishes = { kvCacheType: 'auto', contextLength: 131_072, slots: 1 }
    await makePlan({ model: 'llama3.1:8b', wishes }, sources)
    expect(specs).toMatchObject([{ spec: { kvCacheType: 'q8_0', flashAttention: 'on' } }])
  })
})
