import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { description, testApi } from '../testing/double.ts'

const user = (content: unknown) => ({ role: 'user', content })
const ask = { model: 'tiny', max_tokens: 16, messages: [user('hi')] }

const pixels = Buffer.from('not really a picture')
const image = {
  type: 'image',
  source: { type: 'base64', media_type: 'image/png', data: pixels.toString('base64') },
}

/** What the router was asked, for a request that is not refused. */
async function decoded(body: Record<string, unknown>) {
  const { post, asked } = testApi()
  const reply = await post('/v1/messages', { ...ask, ...body })
  expect([reply.statusCode, reply.body]).toEqual([200, expect.any(String)])
  const [request] = asked
  if (request?.kind !== 'chat') throw new Error('the router was not asked to chat')
  return request
}

describe('the conversation', () => {
  it('takes texts and blocks, the system as either', async () => {
    const messages = [
      user([{ type: 'text', text: 'What is' }, { type: 'text', text: ' this?' }, image]),
      { role: 'Assistant', content: 'A picture.' },
      { role: 'user', content: '' },
    ]
    const system = [
      { type: 'text', text: 'Be ', cache_control: { type: 'ephemeral' } },
      { type: 'text', text: 'brief.' },
    ]
    expect(await decoded({ system, messages })).toEqual({
      kind: 'chat',
      model: 'tiny',
      options: { num_predict: 16 },
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What is this?', images: [pixels] },
        { role: 'assistant', content: 'A picture.' },
      ],
    })
    const { messages: plain } = await decoded({ system: 'Be kind.' })
    expect(plain[0]).toEqual({ role: 'system', content: 'Be kind.' })
  })

  it('puts results of tools before the words that came with them, and names their tools', async () => {
    const { messages } = await decoded({
      messages: [
        user('weather?'),
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'I will ', signature: 'x' },
            { type: 'redacted_thinking', data: 'xx' },
            { type: 'thinking', thinking: 'look.' },
            { type: 'text', text: 'Looking.' },
            { type: 'tool_use', id: 'a', name: 'weather', input: { z: 1, city: 'Rome' } },
            { type: 'tool_use', id: 'b', name: 'photo', input: {} },
          ],
        },
        user([
          { type: 'text', text: 'Well?' },
          { type: 'tool_result', tool_use_id: 'a', content: 'no network', is_error: true },
          { type: 'tool_result', tool_use_id: 'b', content: [{ type: 'text', text: 'seen' }, image] },
          { type: 'tool_result', tool_use_id: 'c', is_error: true },
          { type: 'tool_result', tool_use_id: 'd', content: 'Error: ENOENT', is_error: true },
        ]),
      ],
    })
    expect(messages).toEqual([
      { role: 'user', content: 'weather?' },
      {
        role: 'assistant',
        content: 'Looking.',
        thinking: 'I will look.',
        tool_calls: [
          { id: 'a', function: { index: 0, name: 'weather', arguments: { z: 1, city: 'Rome' } } },
          { id: 'b', function: { index: 1, name: 'photo', arguments: {} } },
        ],
      },
      { role: 'tool', content: 'Error: no network', tool_name: 'weather', tool_call_id: 'a' },
      {
        role: 'tool',
        content: 'seen',
        images: [pixels],
        tool_name: 'photo',
        tool_call_id: 'b',
      },
      { role: 'tool', content: 'Error', tool_call_id: 'c' },
      { role: 'tool', content: 'Error: ENOENT', tool_call_id: 'd' },
      { role: 'user', content: 'Well?' },
    ])
  })

  it('reads documents and search results that are text', async () => {
    const { messages } = await decoded({
      messages: [
        user([
          {
            type: 'document',
            title: 'Rules',
            source: { type: 'text', media_type: 'text/plain', data: 'No.' },
          },
          { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'Yes.' }] } },
          { type: 'search_result', title: 'T', source: 'u', content: [{ type: 'text', text: 'found' }] },
          { type: 'text', text: 'Which?' },
        ]),
      ],
    })
    expect(messages).toEqual([{ role: 'user', content: 'Rules\nNo.\n\nYes.\n\nT\nfound\n\nWhich?' }])
  })

  it('reads earlier web searches', async () => {
    const found = { type: 'web_search_result', title: 'Drover', url: 'https://drover.example' }
    const { messages } = await decoded({
      messages: [
        user('search'),
        {
          role: 'assistant',
          content: [
            { type: 'server_tool_use', id: 's', name: 'web_search', input: { query: 'drover' } },
            { type: 'web_search_tool_result', tool_use_id: 's', content: [found] },
            {
              type: 'web_search_tool_result',
              tool_use_id: 's',
              content: { type: 'web_search_tool_result_error', error_code: 'unavailable' },
            },
          ],
        },
        user('and?'),
      ],
    })
    expect(messages.slice(1, 4)).toMatchObject([
      {
        role: 'assistant',
        tool_calls: [{ function: { name: 'web_search', arguments: { query: 'drover' } } }],
      },
      { role: 'tool', content: '- Drover: https://drover.example\n', tool_name: 'web_search' },
      { role: 'tool', content: 'web_search_tool_result_error: unavailable' },
    ])
  })
})

describe('what else a request asks for', () => {
  const weather = {
    name: 'weather',
    description: 'The weather',
    input_schema: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } },
  }
  const tool = {
    type: 'function',
    function: { name: 'weather', description: 'The weather', parameters: weather.input_schema },
  }

  it('sampling, leaving to the model what is absent', async () => {
    const body = {
      temperature: 0,
      top_p: 0.5,
      top_k: 7,
      stop_sequences: ['a', 'b'],
      metadata: { user_id: 'u' },
    }
    expect((await decoded(body)).options).toEqual({
      num_predict: 16,
      temperature: 0,
      top_p: 0.5,
      top_k: 7,
      stop: ['<end>', 'a', 'b'],
    })
  })

  it.each([
    [undefined, [tool, { function: { name: 'clock' } }]],
    [{ type: 'auto' }, [tool, { function: { name: 'clock' } }]],
    [{ type: 'any' }, [tool, { function: { name: 'clock' } }]],
    [{ type: 'tool', name: 'weather' }, [tool]],
    [{ type: 'none' }, undefined],
  ])('tools, narrowed by the choice %j', async (choice, expected) => {
    const tools = [weather, { type: 'custom', name: 'clock' }]
    const request = await decoded({ tools, ...(choice && { tool_choice: choice }) })
    if (expected) expect(request.tools).toMatchObject(expected)
    expect(request.tools?.length).toBe(expected?.length)
  })

  it.each([
    [{}, undefined],
    [{ thinking: { type: 'enabled', budget_tokens: 2048 } }, true],
    [{ thinking: { type: 'disabled' }, output_config: { effort: 'high' } }, false],
    [{ thinking: { type: 'adaptive' } }, undefined],
    [{ thinking: { type: 'adaptive' }, output_config: { effort: 'max' } }, 'max'],
    [{ thinking: { type: 'enabled' }, output_config: { effort: ' XHigh ' } }, 'high'],
    [{ output_config: { effort: 'low' } }, 'low'],
    [{ output_config: { effort: 'huge' } }, undefined],
  ])('thinking: %j', async (body, think) => {
    const { post, asked } = testApi({
      store: { describe: async () => ({ ...description, capabilities: ['completion', 'thinking'] }) },
    })
    expect((await post('/v1/messages', { ...ask, ...body })).statusCode).toBe(200)
    expect(asked[0]?.think).toBe(think)
  })

  it('thinking of a model that cannot, which then answers without', async () => {
    expect(await decoded({ thinking: { type: 'enabled', budget_tokens: 2048 } })).not.toHaveProperty('think')
  })

  it("the server's web search, in place of a tool of the same name", async () => {
    const own = { name: 'web_search', input_schema: { type: 'object' } }
    const { tools } = await decoded({
      tools: [own, { type: 'web_search_20250305', name: 'web_search', max_uses: 3 }],
    })
    expect(tools).toMatchObject([{ function: { name: 'web_search', parameters: { required: ['query'] } } }])
  })

  it('an answer by a schema', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } }
    expect((await decoded({ output_config: { format: { type: 'json_schema', schema } } })).format).toEqual(
      schema,
    )
  })

  it('a body packed with zstd', async () => {
    const { post, asked } = testApi()
    const reply = await post('/v1/messages', zstdCompressSync(JSON.stringify(ask)), {
      'content-encoding': 'zstd',
    })
    expect([reply.statusCode, asked.length]).toEqual([200, 1])
  })
})

describe('any JSON', () => {
  const { post } = testApi()
  const word = fc.constantFrom(
    'text',
    'image',
    'document',
    'base64',
    'content',
    'tool',
    'json_schema',
    'user',
  )
  const member = fc.constantFrom(
    ...['type', 'text', 'source', 'data', 'content', 'id', 'name', 'input', 'tool_use_id', 'title', 'schema'],
    ...['role', 'input_schema', 'is_error', 'thinking', 'format', 'effort', 'properties', 'toString'],
  )
  const leaf = fc.oneof(word, fc.string(), fc.integer(), fc.constantFrom(null, true, [], {}))
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.dictionary(member, tie('tree'), { maxKeys: 4 }),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }))
  const kind = fc.constantFrom(
    'text',
    'image',
    'tool_use',
    'tool_result',
    'thinking',
    'document',
    'search_result',
  )
  const object = fc.dictionary(member, tree, { maxKeys: 4 })
  const block = fc
    .tuple(
      fc.record({ type: kind, id: word, name: word, source: tree, content: tree, input: object }),
      object,
    )
    .map(([likely, wild]) => ({ ...likely, ...(Object.keys(wild).length > 2 && wild) }))
  const turn = fc.record({ role: word, content: fc.array(block, { maxLength: 3 }) })
  const messages = fc.oneof({ weight: 9, arbitrary: fc.array(turn, { maxLength: 3 }) }, tree)
  const members = ['system', 'tools', 'tool_choice', 'thinking', 'output_config', 'stop_sequences']
  const rest = fc.dictionary(fc.constantFrom(...members), tree, { maxKeys: 2 })
  const body = fc.tuple(rest, messages).map(([more, turns]) => ({ ...more, messages: turns }))

  it('is answered, or refused with a reason', async () => {
    await fc.assert(
      fc.asyncProperty(body, async (random) => {
        const reply = await post('/v1/messages', { ...ask, ...random })
        expect([200, 400]).toContain(reply.statusCode)
        if (reply.statusCode === 400) expect(JSON.parse(reply.body).error.message).not.toBe('')
      }),
      { numRuns: 300 },
    )
  })
})
