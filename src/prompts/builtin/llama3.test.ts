import { describe, expect, it } from 'vitest'
import { createLlama3Parser, renderLlama3 } from './llama3.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('get_weather', { city: { type: 'string' } })
const preamble = 'Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n'
const open = (role: string) => `<|start_header_id|>${role}<|end_header_id|>\n\n`

describe('renderLlama3', () => {
  it('begins with the dates, and opens the answer', () => {
    expect(renderLlama3({ messages: [user(' Hi ')], tools: [] })).toBe(
      `${open('system')}${preamble}<|eot_id|>${open('user')}Hi<|eot_id|>${open('assistant')}`,
    )
    expect(
      renderLlama3({ messages: [system('Be brief.\n'), user('Hi')], tools: [] }, { today: '01 May 2025' }),
    ).toBe(
      `${open('system')}Cutting Knowledge Date: December 2023\nToday Date: 01 May 2025\n\nBe brief.<|eot_id|>` +
        `${open('user')}Hi<|eot_id|>${open('assistant')}`,
    )
  })

  it('offers the tools in the first question', () => {
    const json = JSON.stringify(
      {
        type: 'function',
        function: {
          name: 'get_weather',
          description: 'Runs get_weather',
          parameters: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } },
        },
      },
      null,
      4,
    )
    expect(
      renderLlama3({ messages: [user('Weather?'), assistant('Where?'), user('Rom')], tools: [weather] }),
    ).toBe(
      `${open('system')}Environment: ipython\n${preamble}<|eot_id|>${open('user')}` +
        'Given the following functions, please respond with a JSON for a function call with its proper arguments ' +
        'that best answers the given prompt.\n\n' +
        'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' +
        `Do not use variables.\n\n${json}\n\nWeather?<|eot_id|>${open('assistant')}Where?<|eot_id|>` +
        `${open('user')}Rom<|eot_id|>${open('assistant')}`,
    )
  })

  it('renders a call and what the tool replied', () => {
    const messages = [
      user('W?'),
      assistant('', calls(['get_weather', { city: 'Köln', days: 2 }])),
      reply('{"sun":1}'),
    ]
    expect(renderLlama3({ messages, tools: [] })).toBe(
      `${open('system')}${preamble}<|eot_id|>${open('user')}W?<|eot_id|>` +
        `${open('assistant')}{"name": "get_weather", "parameters": {"city": "Köln", "days": 2}}<|eot_id|>` +
        `${open('ipython')}"{\\"sun\\":1}"<|eot_id|>${open('assistant')}`,
    )
  })

  it('leaves a last answer open', () => {
    expect(renderLlama3({ messages: [user('Hi'), assistant('Hello, ')], tools: [] })).toMatch(
      /<\|eot_id\|><\|start_header_id\|>assistant<\|end_header_id\|>\n\nHello, $/,
    )
  })
})

describe('createLlama3Parser', () => {
  const parse = (output: string, tools = [weather]) => parseEveryWay(() => createLlama3Parser(tools), output)
  const paris = { call: 'get_weather', args: { city: 'Paris' } }

  it('gives text as it is', () => {
    expect(parse(' [1] {} <|python\n')).toEqual([{ text: ' [1] {} <|python\n' }])
    expect(parse(' \n')).toEqual([{ text: ' \n' }])
  })

  it('reads bare JSON at the beginning', () => {
    expect(parse('{"name": "get_weather", "parameters": {"city": "Paris"}}')).toEqual([paris])
    expect(
      parse('\n{"type": "function", "name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}'),
    ).toEqual([paris])
    expect(
      parse('{"type": "function", "function": {"name": "get_weather", "parameters": {"city": "Paris"}}}'),
    ).toEqual([paris])
  })

  it('reads several calls, whatever divides them', () => {
    const one = '{"name": "get_weather", "parameters": {"city": "Paris"}}'
    expect(parse(`${one}; ${one}\n${one}`)).toEqual([paris, paris, paris])
    expect(parse(`[${one}, ${one}]`)).toEqual([paris, paris])
    expect(parse(`<|python_tag|>${one}<|eom_id|>`)).toEqual([paris])
  })

  it('reads calls written as Python', () => {
    expect(parse('[get_weather(city="Paris"), get_weather(city=\'Paris\')]')).toEqual([paris, paris])
    expect(parse('I look. <|python_tag|>brave_search.call(query="a (b) \\"c\\"")')).toEqual([
      { text: 'I look.' },
      { call: 'brave_search', args: { query: 'a (b) "c"' } },
    ])
  })

  it('reads the function tag', () => {
    expect(parse('<function=get_weather>{"city": "Paris"}</function> Done')).toEqual([
      paris,
      { text: 'Done' },
    ])
  })

  it.each([
    '{"name": "unknown", "parameters": {}}\n\nThat is it.',
    '{"name": "get_weather", "parameters": {"city": "Par',
    '{"city": "Paris"}',
    '[1, 2]',
    '[get_weathers]',
    '[get_weather(1)] ',
    '<|python_tag|>import os\nprint(os.name)\n',
    '<|python_tag|>{"a": 1}',
    'So <function=f>{</function> ',
    '{{"name"',
  ])('shows what is no call: %s', (output) => {
    expect(parse(output)).toEqual([{ text: output }])
  })

  it('shows JSON as it comes where there are no tools, or its keys are no call', () => {
    expect(parse('{"name": "get_weather", "parameters": {}}', [])).toEqual([
      { text: '{"name": "get_weather", "parameters": {}}' },
    ])
    expect(createLlama3Parser([weather]).push('{"city": ')).toHaveLength(1)
  })
})
