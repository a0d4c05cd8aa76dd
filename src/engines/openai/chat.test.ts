import { describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never, request } from '../../../test/support/llama-bench.ts'
import { openAiEngine } from '../../../test/support/openai-servers.ts'
import { startReplay } from '../../../test/support/replay-server.ts'
import type { Message, Tool } from '../../inference/index.ts'
import type { ChatPrompt, CompletionRequest, EngineEvent } from '../contract.ts'
import { chatBody, createCallCollector } from './chat.ts'
import { dialects } from './dialects.ts'

const model = { name: 'served', contextLength: 4096 }
const weather: Tool = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}
const chat = (messages: Message[], more: Partial<ChatPrompt> = {}): ChatPrompt => ({
  prompt: 'rendered',
  messages,
  tools: [],
  ...more,
})
const bodyOf = (more: Partial<CompletionRequest>, dialect = dialects.plain, said = '') =>
  chatBody(request({ prompt: 'rendered', ...more }), model, dialect, said)
const hi: Message[] = [{ role: 'user', content: 'hi' }]

describe('a conversation as it is sent', () => {
  it('has no prompt, and what OpenAI names of the request', () => {
    const body = bodyOf({ chat: chat(hi), stop: ['x'], topLogprobs: 3, format: 'json', maxTokens: 9 })
    expect(body).toEqual({
      model: 'served',
      messages: hi,
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 9,
      temperature: 0,
      top_p: 0.9,
      presence_penalty: 0,
      frequency_penalty: 0,
      seed: 1,
      stop: ['x'],
      response_format: { type: 'json_object' },
      logprobs: true,
      top_logprobs: 3,
    })
  })

  it('names calls and answers by ids where they have none', () => {
    const call = (city: string) => ({ function: { index: 0, name: 'weather', arguments: { city } } })
    const messages: Message[] = [
      ...hi,
      { role: 'assistant', content: '', thinking: 'Two cities.', tool_calls: [call('Rome'), call('Oslo')] },
      { role: 'tool', content: 'sunny', tool_name: 'weather' },
      { role: 'tool', content: 'snow', tool_name: 'weather' },
    ]
    const body = bodyOf({ chat: chat(messages, { tools: [weather] }) })
    const [, assistant, ...answers] = body['messages'] as Record<string, unknown>[]
    expect(assistant).toEqual({
      role: 'assistant',
      content: '',
      reasoning_content: 'Two cities.',
      tool_calls: [
        { id: 'call_0', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
        { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
      ],
    })
    expect(answers).toEqual([
      { role: 'tool', content: 'sunny', tool_call_id: 'call_0' },
      { role: 'tool', content: 'snow', tool_call_id: 'call_1' },
    ])
    expect(body['tools']).toEqual([{ type: 'function', function: weather.function }])
  })

  it('has pictures as parts of their message', () => {
    const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47])
    const body = bodyOf({ chat: chat([{ role: 'user', content: 'what?', images: [png] }]) })
    expect(body['messages']).toEqual([
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw==' } },
          { type: 'text', text: 'what?' },
        ],
      },
    ])
  })

  it.each([
    ['plain', true, {}],
    ['plain', false, { reasoning_effort: 'none' }],
    ['ollama', 'max', { reasoning_effort: 'high' }],
    ['vllm', true, { chat_template_kwargs: { enable_thinking: true } }],
    ['vllm', 'low', { chat_template_kwargs: { enable_thinking: true }, reasoning_effort: 'low' }],
    ['sglang', false, { chat_template_kwargs: { enable_thinking: false } }],
  ] as const)('says to %s of thinking %s: %j', (kind, think, expected) => {
    const { chat_template_kwargs, reasoning_effort } = bodyOf({ chat: chat(hi, { think }) }, dialects[kind])
    expect({
      ...(chat_template_kwargs !== undefined && { chat_template_kwargs }),
      ...(reasoning_effort !== undefined && { reasoning_effort }),
    }).toEqual(expected)
  })

  it('goes on with an answer where the server can, and says so where it cannot', () => {
    const body = bodyOf({ chat: chat(hi) }, dialects.vllm, 'Par')
    expect(body).toMatchObject({
      messages: [...hi, { role: 'assistant', content: 'Par' }],
      continue_final_message: true,
      add_generation_prompt: false,
    })
    expect(() => bodyOf({ chat: chat(hi) }, dialects.plain, 'Par')).toThrow('cannot go on with an answer')
    expect(() => bodyOf({})).toThrow('takes conversations only')
  })
})

describe('the answer to a conversation', () => {
  const delta = (delta: object, finish_reason: string | null = null) => ({
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
  })

  async function answered(events: readonly unknown[]): Promise<EngineEvent[]> {
    const server = await startReplay({
      'GET /v1/models': { json: { data: [{ id: 'contract', owned_by: 'somebody' }] } },
      'POST /v1/completions': { status: 404, json: { error: { message: 'no such route' } } },
      'POST /v1/chat/completions': { events: [...events, 'DONE'] },
    })
    const instance = await openAiEngine([{ url: server.url }]).launch(specOf('/nowhere'), never)
    try {
      expect(instance.chatOnly).toBe(true)
      return (await answerOf(instance, { prompt: 'rendered', chat: chat(hi) })).events
    } finally {
      await instance.close()
      await server.close()
    }
  }

  it('is text, thoughts under either name, and whole calls', async () => {
    const part = (index: number, more: object) => ({ tool_calls: [{ index, ...more }] })
    const events = await answered([
      delta({ role: 'assistant', content: '' }),
      delta({ reasoning_content: 'Hm' }),
      delta({ reasoning: '.' }),
      delta({ content: 'I ask.' }),
      delta(part(0, { id: 'a', function: { name: 'weather', arguments: '' } })),
      delta(part(0, { function: { arguments: '{"city":' } })),
      delta(part(0, { function: { arguments: '"Rome"}' } })),
      delta(part(1, { id: 'b', function: { name: 'now' } })),
      delta({}, 'tool_calls'),
      { choices: [], usage: { prompt_tokens: 4, completion_tokens: 7 } },
    ])
    expect(events).toEqual([
      { type: 'thinking', text: 'Hm' },
      { type: 'thinking', text: '.' },
      { type: 'token', text: 'I ask.', tokens: [] },
      {
        type: 'toolCall',
        call: { id: 'a', function: { index: 0, name: 'weather', arguments: { city: 'Rome' } } },
      },
      { type: 'toolCall', call: { id: 'b', function: { index: 1, name: 'now', arguments: {} } } },
      {
        type: 'done',
        reason: 'stop',
        usage: expect.objectContaining({ promptTokens: 4, cachedTokens: 0, outputTokens: 7 }),
      },
    ])
  })

  it('that calls with no JSON object fails with what was written', () => {
    const collect = createCallCollector()
    collect.push([{ index: 0, name: 'weather', arguments: '["Rome"' }])
    expect(collect.finish).toThrow('the model called weather with arguments that are no JSON object: ["Rome"')
  })
})
