import { describe, expect, it } from 'vitest'
import { createLagunaParser, renderLaguna, renderPoolside } from './laguna.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('get_weather', { city: { type: 'string' }, days: { type: 'integer' } })
const weatherJson =
  '{"type": "function", "function": {"name": "get_weather", "description": "Runs get_weather", "parameters": ' +
  '{"type": "object", "required": ["city", "days"], "properties": {"city": {"type": "string"}, ' +
  '"days": {"type": "integer"}}}}}'
const own =
  'You are a helpful, conversationally-fluent assistant made by Poolside. You are here to be helpful to users ' +
  'through natural language conversations.'
const offer =
  '### Tools\n\nYou may call functions to assist with the user query.\n' +
  `All available function signatures are listed below:\n<available_tools>\n${weatherJson}\n</available_tools>`
const conversation = [
  system('S\n'),
  user('Q'),
  assistant('I ask.', { thinking: 'Hm', ...calls(['get_weather', { city: 'Köln', days: 2 }]) }),
  reply('sunny'),
]

describe('renderLaguna', () => {
  it('closes thinking unless asked for it', () => {
    const turn = { messages: [user('Hi')], tools: [] }
    const prompt = `〈|EOS|〉<system>\n\n${own}\n</system>\n<user>\nHi\n</user>\n<assistant>\n`
    expect(renderLaguna(turn)).toBe(`${prompt}</think>`)
    expect(renderLaguna({ ...turn, think: true })).toBe(`${prompt}<think>`)
    expect(renderLaguna({ messages: [system(' '), user('Hi')], tools: [] })).toBe(
      '〈|EOS|〉<user>\nHi\n</user>\n<assistant>\n</think>',
    )
  })

  it('renders tools, calls and replies', () => {
    const call = '<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n'
    expect(renderLaguna({ messages: conversation, tools: [weather], think: true })).toBe(
      `〈|EOS|〉<system>\n\nS\n\n${offer}\n\nWrap your thinking in '<think>', '</think>' tags, followed by a function ` +
        'call. For each function call, return an unescaped XML-like object with function name and arguments within ' +
        "'<tool_call>' and '</tool_call>' tags, like here:\n<think> your thoughts here </think>\n" +
        '<tool_call>function-name\n<arg_key>argument-key</arg_key>\n<arg_value>value-of-argument-key</arg_value>\n' +
        '</tool_call>\n</system>\n<user>\nQ\n</user>\n<assistant>\n<think>\nHm\n</think>\nI ask.\n' +
        `${call}<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>\n</assistant>\n` +
        '<tool_response>\nsunny\n</tool_response>\n<assistant>\n<think>',
    )
  })

  it('takes thoughts out of an earlier text, and leaves a last answer open', () => {
    const messages = [system(''), user('1'), assistant('<think>a</think>\nA'), user('2'), assistant('B')]
    expect(renderLaguna({ messages, tools: [] })).toBe(
      '〈|EOS|〉<user>\n1\n</user>\n<assistant>\n<think>\na\n</think>\nA\n</assistant>\n' +
        '<user>\n2\n</user>\n<assistant>\n</think>\nB\n',
    )
  })
})

describe('renderPoolside', () => {
  it('renders without line ends', () => {
    expect(renderPoolside({ messages: [user('Hi')], tools: [] })).toBe(
      `〈|EOS|〉<system>${own}</system>\n<user>Hi</user>\n<assistant></think>`,
    )
    expect(renderPoolside({ messages: conversation, tools: [weather], think: true })).toBe(
      `〈|EOS|〉<system>S\n\n${offer}</system>\n<user>Q</user>\n<assistant><think>Hm</think>I ask.` +
        '<tool_call>get_weather<arg_key>city</arg_key><arg_value>Köln</arg_value><arg_key>days</arg_key>' +
        '<arg_value>2</arg_value></tool_call></assistant>\n<tool_response>sunny</tool_response>\n<assistant><think>',
    )
    expect(renderPoolside({ messages: [system(''), user('Hi')], tools: [], think: true })).toBe(
      '〈|EOS|〉<system></system>\n<user>Hi</user>\n<assistant><think>',
    )
  })
})

describe('createLagunaParser', () => {
  const parse = (output: string, thinks = true, tools = [weather]) =>
    parseEveryWay(() => createLagunaParser(thinks ? '<think>' : '</think>', tools, thinks), output)
  const koeln = { call: 'get_weather', args: { city: 'Köln', days: 2 } }
  const body =
    'get_weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n'

  it('tells thinking from the answer', () => {
    expect(parse('\nHm </th\n</think>\n\nYes.')).toEqual([{ thought: 'Hm </th' }, { text: 'Yes.' }])
    expect(parse('<think>Hm</think></think>Yes.')).toEqual([{ thought: 'Hm' }, { text: 'Yes.' }])
    expect(parse('\nYes.\n', false)).toEqual([{ text: 'Yes.\n' }])
    expect(parse('<think>Hm</think>Yes.', false)).toEqual([{ text: 'Yes.' }])
  })

  it('reads calls in a row, wherever they stand', () => {
    const call = `<tool_call>${body}</tool_call>`
    expect(parse(`Ask.\n${call}\n${call}\nDone`)).toEqual([
      { thought: 'Ask.' },
      koeln,
      koeln,
      { text: 'Done' },
    ])
    expect(parse(`I ask. <user>${body}</user>`, false)).toEqual([{ text: 'I ask.' }, koeln])
    expect(parse('{"name": "get_weather", "arguments": {"city": "Köln", "days": 2}} Done', false)).toEqual([
      koeln,
      { text: 'Done' },
    ])
    expect(parse(`<tool_call><tool_call>${body}`, false)).toEqual([koeln])
  })

  it("knows other agents' names for a tool", () => {
    const tools = [tool('read', { path: { type: 'string' } })]
    expect(parse('<tool_call>read_file{"path": "a"}</tool_call>', false, tools)).toEqual([
      { call: 'read', args: { path: 'a' } },
    ])
  })

  it.each([
    '{"name": "x", "arguments": {}}',
    '{"a": 1}',
    'A <user>hi</user> b',
    '<tool_call>a b</tool_call>',
    '{"name',
  ])('shows what is no call: %s', (output) => {
    expect(parse(output, false)).toEqual([{ text: output }])
  })
})
