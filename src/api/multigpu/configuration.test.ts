import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import type { Configuration, ConfigurationReport } from '../index.ts'
import { testApi } from '../testing/double.ts'

/** A configuration by hand that takes anything but a strategy `magic`. */
function handConfiguration(values: Record<string, unknown> = {}) {
  const settings = new Map<string, unknown>([
    ['policy', 'predicted_finish'],
    ['multi_gpu.enabled', 'true'],
    ['multi_gpu.strategy', 'auto'],
    ['multi_gpu.tensor_parallel.size', undefined],
    ['multi_gpu.monitoring.enabled', 'true'],
    ['multi_gpu.monitoring.metrics_collection', 'true'],
    ['multi_gpu.monitoring.performance_profiling', 'true'],
    ...Object.entries(values),
  ])
  const report = (): ConfigurationReport => ({
    file: '/etc/drover.yaml',
    readAt: 'T',
    settings: [...settings].map(([key, value]) => ({ key, value, from: 'default', live: true })),
    restart: [],
  })
  const configuration: Configuration = {
    report,
    change: (changes) => {
      for (const { key, value } of changes) {
        if (!settings.has(key) || value === 'magic') {
          throw new DroverError('invalid_request', `${key}: "${value}" is not known`)
        }
        settings.set(key, value ?? undefined)
      }
      return report()
    },
  }
  return configuration
}

const put = (api: ReturnType<typeof testApi>, body: unknown) =>
  api.app.inject({ method: 'PUT', url: '/api/multigpu/config', payload: JSON.stringify(body) })

const getJson = async (api: ReturnType<typeof testApi>, name: string) =>
  JSON.parse((await api.app.inject({ url: `/api/multigpu/${name}` })).body)

describe('/api/multigpu/config', () => {
  it('is the section as the file writes it, with whence each value is', async () => {
    const body = await getJson(testApi({ configuration: handConfiguration() }), 'config')
    expect(body).toMatchObject({
      multi_gpu: {
        enabled: true,
        strategy: 'auto',
        tensor_parallel: { size: null },
        monitoring: { enabled: true },
      },
      file: '/etc/drover.yaml',
    })
    expect(body.multi_gpu.policy).toBeUndefined()
    expect(body.from['tensor_parallel.size']).toBe('default')
  })

  it('takes what is named, leaves the rest, and tells what changed', async () => {
    const api = testApi({ configuration: handConfiguration() })
    const reply = await put(api, {
      multi_gpu: { strategy: 'tensor', tensor_parallel: { size: 2 }, enabled: 'true' },
    })
    expect(reply.statusCode).toBe(200)
    expect(JSON.parse(reply.body)).toMatchObject({
      changed: [
        { key: 'multi_gpu.strategy', from: 'auto', to: 'tensor' },
        { key: 'multi_gpu.tensor_parallel.size', to: 2 },
      ],
      multi_gpu: { strategy: 'tensor', tensor_parallel: { size: 2 } },
    })
    const back = await put(api, { multi_gpu: { tensor_parallel: { size: null } } })
    expect(JSON.parse(back.body)).toMatchObject({
      changed: [{ key: 'multi_gpu.tensor_parallel.size', from: 2 }],
      multi_gpu: { strategy: 'tensor' },
    })
  })

  it.each([
    [{ multi_gpu: { strategy: 'magic' } }, 'multi_gpu.strategy: \\"magic\\" is not known'],
    [{ multi_gpu: { colour: 'red' } }, 'multi_gpu.colour'],
    [{ multi_gpu: 'tensor' }, 'json: cannot unmarshal string into Go struct field'],
    [{ multi_gpu: {} }, 'multi_gpu is required'],
    [{ strategy: 'tensor' }, 'multi_gpu is required'],
  ])('refuses %j', async (body, words) => {
    const reply = await put(testApi({ configuration: handConfiguration() }), body)
    expect([reply.statusCode, reply.body]).toEqual([400, expect.stringContaining(words)])
  })

  it('says so where the server has no configuration that can be asked', async () => {
    const reply = await testApi().app.inject({ url: '/api/multigpu/config' })
    expect([reply.statusCode, reply.body]).toEqual([
      400,
      expect.stringContaining('not started from a configuration'),
    ])
  })
})

describe('switches of multi_gpu.monitoring', () => {
  it.each([
    [{}, ['devices', 'failures', 'latency', 'throughput', 'windowSeconds']],
    [
      { 'multi_gpu.monitoring.metrics_collection': false },
      ['failures', 'latency', 'throughput', 'windowSeconds'],
    ],
    [{ 'multi_gpu.monitoring.performance_profiling': 'false' }, ['devices']],
    [{ 'multi_gpu.monitoring.enabled': 'false' }, []],
  ])('%j leaves %j of the performance', async (values, names) => {
    const api = testApi({ configuration: handConfiguration(values) })
    expect(Object.keys(await getJson(api, 'performance')).sort()).toEqual(names)
  })

  it('the section shows in the status', async () => {
    const api = testApi({ configuration: handConfiguration({ 'multi_gpu.enabled': 'false' }) })
    expect(await getJson(api, 'status')).toMatchObject({ enabled: false, strategy: 'auto' })
  })
})
