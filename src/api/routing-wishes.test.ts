import { describe, expect, it } from 'vitest'
import { testApi } from './testing/double.ts'

const body = { model: 'tiny', messages: [{ role: 'user', content: 'hello' }], stream: false }

describe('the routing headers of a request', () => {
  it('reach the router, whatever the dialect', async () => {
    const { post, wishes } = testApi()
    const headers = {
      'x-drover-priority': 'Bulk',
      'x-drover-policy': 'prefix',
      'x-drover-deadline': '2s',
      'x-drover-session': 'chat-7',
      'x-drover-pin': 'gpu:0, #3',
      'x-drover-label': 'rack=a,kind=gpu',
      'x-drover-precision': 'bf16',
      'x-drover-max-watts': '250',
      'x-drover-max-cost': '1.5',
    }
    await post('/api/chat', body, headers)
    await post('/v1/chat/completions', body, headers)
    await post('/v1/messages', { ...body, max_tokens: 10 }, headers)
    const wanted = {
      tenant: 'default',
      priority: 'bulk',
      policy: 'prefix',
      deadlineInMs: 2000,
      session: 'chat-7',
      pins: ['gpu:0', '#3'],
      labels: { rack: 'a', kind: 'gpu' },
      precision: 'bf16',
      maxWatts: 250,
      maxCostPerMillionTokens: 1.5,
    }
    expect(wishes).toEqual([wanted, wanted, wanted])
  })

  it.each([
    ['x-drover-priority', 'urgent', 'X-Drover-Priority: \\"urgent\\" is not interactive, default, bulk'],
    ['x-drover-priority', 'system', 'X-Drover-Priority: \\"system\\" is not'],
    ['x-drover-deadline', 'soon', 'X-Drover-Deadline: \\"soon\\" is not a duration'],
    ['x-drover-max-watts', 'many', 'X-Drover-Max-Watts: \\"many\\" is not a number from 0'],
    ['x-drover-label', 'rack', 'X-Drover-Label: \\"rack\\" is not name=value'],
    ['x-drover-session', 'x'.repeat(300), 'is not at most 256 characters'],
  ])('%s: %s is refused with what would be allowed', async (name, value, words) => {
    const { post, asked } = testApi()
    const reply = await post('/api/chat', body, { [name]: value })
    expect(reply.statusCode).toBe(400)
    expect(reply.body).toContain(words)
    expect(asked).toEqual([])
  })

  it('tell tenants apart by their keys, of which nothing is kept', async () => {
    const { post, wishes } = testApi()
    await post('/api/chat', body, { authorization: 'Bearer one' })
    await post('/api/chat', body, { 'x-api-key': 'one' })
    await post('/api/chat', body, { authorization: 'Bearer two', 'x-drover-tenant': 'ada' })
    await post('/api/chat', body, { 'x-drover-tenant': 'ada' })
    const [first, same, other, named] = wishes.map((wish) => wish?.tenant)
    expect(first).toMatch(/^key:[0-9a-f]{16}$/)
    expect(same).toBe(first)
    expect(other).not.toBe(first)
    expect(other).not.toBe('ada')
    expect(named).toBe('ada')
  })
})

describe('the id of a request', () => {
  it("is the client's own where that can be logged as it is", async () => {
    const { post, access } = testApi()
    expect((await post('/api/chat', body, { 'x-request-id': 'abc-1' })).headers['x-request-id']).toBe('abc-1')
    const made = (await post('/api/chat', body, { 'x-request-id': 'a b\tc' })).headers['x-request-id']
    expect(made).toMatch(/^req_\w{20}$/)
    expect(access().map(({ id }) => id)).toEqual(['abc-1', made])
  })
})
