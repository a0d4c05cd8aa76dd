import { describe, expect, it } from 'vitest'
import { createLfm2Parser, renderLfm2 } from './lfm2.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('get_weather', { city: { type: 'string' } })

describe('renderLfm2', () => {
  it('renders a conversation', () => {
    const messages = [system('Be brief.'), user('Hi'), assistant('Hello.'), system('More'), user('Bye')]
    expect(renderLfm2({ messages, tools: [] })).toBe(
      '<|startoftext|><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n' +
        '<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>system\nMore<|im_end|>\n' +
        '<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n',
    )
  })

  it('lists the tools, and renders calls and replies', () => {
    const messages = [
      system('S'),
      user('Q'),
      assistant('I ask.', calls(['get_weather', { days: 2, city: 'Köln' }], ['f', { a: { b: [1, 'c'] } }])),
      reply('sunny'),
    ]
    expect(renderLfm2({ messages, tools: [weather] })).toBe(
      '<|startoftext|><|im_start|>system\nS\nList of tools: <|tool_list_start|>[{"name": "get_weather", ' +
        '"description": "Runs get_weather", "parameters": {"type": "object", "required": ["city"], ' +
        '"properties": {"city": {"type": "string"}}}}]<|tool_list_end|><|im_end|>\n<|im_start|>user\nQ<|im_end|>\n' +
        '<|im_start|>assistant\n<|tool_call_start|>[get_weather(city="Köln",days=2),f(a={"b": [1, "c"]})]' +
        '<|tool_call_end|>I ask.<|im_end|>\n<|im_start|>tool\n<|tool_response_start|>sunny<|tool_response_end|>' +
        '<|im_end|>\n<|im_start|>assistant\n',
    )
  })

  it('drops the thoughts of all answers but the last, unless it thinks', () => {
    const messages = [
      user('1'),
      assistant('<think>a</think> A'),
      user('2'),
      assistant('<think>b</think>B'),
      user('3'),
    ]
    expect(renderLfm2({ messages, tools: [] })).toContain('assistant\nA<|im_end|>')
    expect(renderLfm2({ messages, tools: [] })).toContain('assistant\n<think>b</think>B<|im_end|>')
    expect(renderLfm2({ messages, tools: [], think: true })).toContain(
      'assistant\n<think>a</think> A<|im_end|>',
    )
    expect(
      renderLfm2({ messages: [assistant('A', { thinking: 'a' }), user('Q')], tools: [], think: true }),
    ).toContain('assistant\n<think>a</think>A<|im_end|>')
  })

  it('leaves a last answer open', () => {
    expect(renderLfm2({ messages: [user('[img-0]Q'), assistant('It')], tools: [] })).toBe(
      '<|startoftext|><|im_start|>user\n[img-0]Q<|im_end|>\n<|im_start|>assistant\nIt',
    )
  })
})

describe('createLfm2Parser', () => {
  const parse = (output: string, thinks = false) =>
    parseEveryWay(() => createLfm2Parser([weather], thinks), output)
  const paris = { call: 'get_weather', args: { city: 'Paris' } }

  it('tells thinking from the answer where it was asked for', () => {
    expect(parse('\n<think>\nHm </th \n</think>\n\nYes <think>.', true)).toEqual([
      { thought: 'Hm </th' },
      { text: 'Yes <think>.' },
    ])
    expect(parse('Yes <think>no</think>', true)).toEqual([{ text: 'Yes <think>no</think>' }])
    expect(parse('<think>Hm</think> Yes')).toEqual([{ text: '<think>Hm</think> Yes' }])
    expect(parse('<think>Hm', true)).toEqual([{ thought: 'Hm' }])
  })

  it('reads calls in a row', () => {
    expect(
      parse(
        'I ask. <|tool_call_start|>[get_weather(city="Paris"), f(a={\'b\': [True, "}])"]})]<|tool_call_end|>\n' +
          "<|tool_call_start|>get_weather(city='Paris')<|tool_call_end|> Done",
      ),
    ).toEqual([
      { text: 'I ask.' },
      paris,
      { call: 'f', args: { a: { b: [true, '}])'] } } },
      paris,
      { text: 'Done' },
    ])
  })

  it('reads calls without their markers', () => {
    expect(parse('[get_weather(city="Paris")]')).toEqual([paris])
    expect(parse('get_weather(city="Paris")<|tool_call_end|>')).toEqual([paris])
    expect(parse('<think>Hm</think>[get_weather(city="Paris")]', true)).toEqual([{ thought: 'Hm' }, paris])
    expect(parse('<|tool_call_start|>[get_weather(city="Paris")]')).toEqual([paris])
  })

  it.each([
    '[f(a=1)]',
    '[get_weather(1)] it is',
    'get_weather is a function',
    'So <|tool_call_start|>[f(<|tool_call_end|> ',
    '<|tool_call_start|>[f(a="x',
  ])('shows what is no call: %s', (output) => {
    expect(parse(output)).toEqual([{ text: output }])
  })
})
