import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Message, Tool } from '../../src/inference/index.ts'
import { compileTemplate } from '../../src/prompts/index.ts'
import { type Conversation, renderConversation, spacedJson } from './corpus/chatml.ts'

const asset = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), 'utf8')
const go = compileTemplate({
  goTemplate: await asset('../../assets/drover-tiny.gotmpl'),
  goTemplateSetting: true,
})
const jinja = compileTemplate({ chatTemplate: (await asset('template.jinja')).trimEnd() })

const weather: Tool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Get the weather for a city',
    parameters: {
      type: 'object',
      required: ['city'],
      properties: { city: { type: 'string', description: 'The city' } },
    },
  },
}

const turns: Record<string, { messages: Message[]; tools?: Tool[] }> = {
  'one question': { messages: [{ role: 'user', content: 'Hello!' }] },
  'a system prompt': {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello!' },
    ],
  },
  'a conversation whose past thinking is dropped': {
    messages: [
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: 'Hello! How can I help you?', thinking: 'The user greets me.' },
      { role: 'user', content: 'Bye' },
    ],
  },
  'an answer that is to be continued': {
    messages: [
      { role: 'user', content: 'Hello!' },
      { role: 'assistant', content: 'Hello! How' },
    ],
  },
}

describe('the two templates of the model', () => {
  for (const [name, { messages, tools = [] }] of Object.entries(turns)) {
    for (const think of [undefined, true, false]) {
      it(`are equal for ${name} with thinking ${think ?? 'unset'}`, () => {
        const turn = { messages, tools, ...(think === undefined ? {} : { think }) }
        expect(go.render(turn)).toBe(jinja.render(turn))
      })
    }
  }

  it('offer tools, thinking and infilling, with the tags that parsers look for', () => {
    expect(go.capabilities).toMatchObject({ tools: true, toolRoundTrip: true, thinking: true, insert: true })
    expect(go.thinkTags).toEqual({ open: '<think>', close: '</think>' })
    expect(go.toolTag).toBe('<tool_call>')
    expect(jinja.capabilities).toMatchObject({ tools: true, thinking: true })
  })

  it('declare tools alike but for the spaces of the JSON', () => {
    const turn = { messages: [{ role: 'user' as const, content: 'Hello!' }], tools: [weather] }
    const unspaced = (text: string): string => text.replaceAll(/([,:]) (?=["{[])/g, '$1')
    expect(unspaced(jinja.render(turn))).toBe(unspaced(go.render(turn)))
  })

  it('put prefix and suffix around the hole', () => {
    expect(go.renderInsert('a', 'b')).toBe('<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>')
  })
})

describe('the corpus', () => {
  const trained: Record<string, Conversation> = {
    'a plain answer': {
      messages: [
        { role: 'user', content: 'Hello!' },
        { role: 'assistant', content: 'Hello!', thinking: 'I greet.' },
      ],
      thinks: true,
    },
    'an answer without thinking, after another': {
      system: 'Be brief.',
      messages: [
        { role: 'user', content: 'Hello!' },
        { role: 'assistant', content: 'Hello!', thinking: 'I greet.' },
        { role: 'user', content: 'Bye' },
        { role: 'assistant', content: 'Goodbye!' },
      ],
      thinks: false,
    },
    'an answer to the reply of a tool': {
      toolTexts: [spacedJson(weather)],
      messages: [
        { role: 'user', content: 'What is the weather in Oslo?' },
        {
          role: 'assistant',
          content: '',
          thinking: 'I call it.',
          call: { name: 'get_weather', arguments: { city: 'Oslo' } },
        },
        { role: 'tool', content: 'sunny' },
        { role: 'assistant', content: 'The result is sunny.', thinking: 'I say it.' },
      ],
      thinks: true,
      keepsThinking: true,
    },
  }
  for (const [name, conversation] of Object.entries(trained)) {
    it(`lays out ${name} as the template does`, () => {
      const messages: Message[] = conversation.messages
        .slice(0, -1)
        .map(({ role, content, thinking, call }) => ({
          role,
          content,
          ...(thinking ? { thinking } : {}),
          ...(call
            ? {
                tool_calls: [
                  { id: 'call_1', function: { name: call.name, arguments: call.arguments, index: 0 } },
                ],
              }
            : {}),
        }))
      const system: Message[] = conversation.system ? [{ role: 'system', content: conversation.system }] : []
      const turn = {
        messages: [...system, ...messages],
        tools: conversation.toolTexts ? [weather] : [],
        think: conversation.thinks,
      }
      const segments = renderConversation(conversation).map(([text]) => text)
      const prompt = segments.slice(0, -2).join('')
      expect(prompt).toBe(jinja.render(turn))
    })
  }
})
