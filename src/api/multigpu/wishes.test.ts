import { describe, expect, it } from 'vitest'
import { testApi } from '../testing/double.ts'

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hello' }], stream: false }
const generate = { model: 'tiny', prompt: 'hello', stream: false }

describe('multi_gpu of a request', () => {
  const wish = {
    strategy: 'tensor_parallel',
    gpu_selection: [0],
    performance_profile: 'power',
    tensor_size: 2,
  }

  it('reaches the router with the devices found and the policy of its profile, whatever the dialect', async () => {
    const { post, wishes } = testApi()
    const replies = [
      await post('/api/chat', { ...chat, multi_gpu: wish }),
      await post('/api/generate', { ...generate, multi_gpu: wish }),
      await post('/v1/chat/completions', { ...chat, multi_gpu: wish }),
      await post('/v1/completions', { ...generate, multi_gpu: wish }),
    ]
    expect(replies.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
    const wanted = {
      tenant: 'default',
      strategy: 'tensor',
      pins: ['cpu'],
      profile: 'power',
      policy: 'power_aware',
      tensorSize: 2,
    }
    expect(wishes).toEqual([wanted, wanted, wanted, wanted])
    expect(new Set(replies.map(({ headers }) => headers['x-drover-multi-gpu']))).toEqual(
      new Set(['strategy=tensor; tensor_size=2; gpus=cpu; profile=power']),
    )
  })

  it('can be said in headers, which give way to a body but for the policy', async () => {
    const { post, wishes } = testApi()
    const headers = { 'x-drover-strategy': 'pipeline', 'x-drover-profile': 'throughput' }
    await post('/api/chat', chat, headers)
    await post(
      '/api/chat',
      { ...chat, multi_gpu: { strategy: 'data', performance_profile: 'latency' } },
      headers,
    )
    await post('/api/chat', { ...chat, multi_gpu: wish }, { 'x-drover-policy': 'round_robin' })
    expect(wishes).toMatchObject([
      { strategy: 'pipeline', profile: 'throughput', policy: 'least_effective_load' },
      { strategy: 'data', profile: 'latency', policy: 'least_effective_load' },
      { strategy: 'tensor', profile: 'power', policy: 'round_robin' },
    ])
  })

  it('counts where a route is only explained', async () => {
    const { post } = testApi()
    expect((await post('/api/route/explain', { ...generate, multi_gpu: wish })).statusCode).toBe(200)
    const refused = await post('/api/route/explain', { ...generate, multi_gpu: { gpu_selection: [3] } })
    expect([refused.statusCode, refused.body]).toEqual([400, expect.stringContaining('there is no device')])
  })

  it('changes nothing where it is absent, empty or balanced', async () => {
    const { post, wishes } = testApi()
    await post('/api/chat', chat)
    await post('/api/chat', { ...chat, multi_gpu: {} })
    await post('/api/chat', { ...chat, multi_gpu: { gpu_selection: [], performance_profile: 'balanced' } })
    expect(wishes).toEqual([
      { tenant: 'default' },
      { tenant: 'default' },
      { tenant: 'default', profile: 'balanced' },
    ])
  })

  it.each([
    [{ strategy: 'magic' }, 'invalid multi_gpu.strategy: \\"magic\\" (must be \\"single\\", \\"data\\"'],
    [
      { strategy: 3 },
      'json: cannot unmarshal number into Go struct field MultiGPU.multi_gpu.strategy of type string',
    ],
    [
      { performance_profile: 'fast' },
      'invalid multi_gpu.performance_profile: \\"fast\\" (must be \\"latency\\"',
    ],
    [{ gpu_selection: 'all' }, 'json: cannot unmarshal string into Go struct field'],
    [{ gpu_selection: [-1] }, 'invalid multi_gpu.gpu_selection: -1 (must be device numbers from 0'],
    [
      { gpu_selection: ['GPU-7'] },
      'multi_gpu.gpu_selection: there is no device \\"GPU-7\\"; there are: CPU0 (cpu)',
    ],
    [{ tensor_size: 0 }, 'multi_gpu.tensor_size must be a whole number from 1, not 0'],
    [7, 'json: cannot unmarshal number into Go struct field ChatRequest.multi_gpu of type api.MultiGPU'],
  ])('%j is refused with what would be allowed', async (multi_gpu, words) => {
    const { post, asked } = testApi()
    const reply = await post('/api/chat', { ...chat, multi_gpu })
    expect(reply.statusCode).toBe(400)
    expect(reply.body).toContain(words)
    expect(asked).toEqual([])
  })
})
