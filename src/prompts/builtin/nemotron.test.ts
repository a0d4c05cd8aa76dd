import { describe, expect, it } from 'vitest'
import { createNemotronParser, renderNemotron } from './nemotron.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const noSystem = '<|im_start|>system\n<|im_end|>\n'
const opening = '<|im_start|>assistant\n<think>\n'

describe('renderNemotron', () => {
  it('opens thinking unless told otherwise', () => {
    const turn = { messages: [system('S'), user(' Hi ')], tools: [] }
    const prompt = '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n'
    expect(renderNemotron(turn)).toBe(prompt + opening)
    expect(renderNemotron({ ...turn, think: false })).toBe(`${prompt}<|im_start|>assistant\n<think></think>`)
  })

  it('obeys what a person writes, and takes it out', () => {
    const messages = [system('/no_think S </think>'), user('Hi')]
    expect(renderNemotron({ messages, tools: [], think: true })).toBe(
      '<|im_start|>system\n S </think><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think></think>',
    )
    expect(renderNemotron({ messages: [...messages, user('Now /think')], tools: [], think: false })).toBe(
      '<|im_start|>system\n S </think><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n' +
        `<|im_start|>user\nNow<|im_end|>\n${opening}`,
    )
  })

  it('describes the tools in tags', () => {
    const tools = [
      tool(
        'f',
        {
          a: { type: 'string', description: ' First ', enum: ['x', 'é"'] },
          b: { type: ['integer', 'null'] },
          c: { type: 'array', items: { type: 'object', properties: {} } },
        },
        ['a'],
      ),
    ]
    const prompt = renderNemotron({ messages: [system('S'), user('Q')], tools })
    expect(prompt).toContain(
      '<|im_start|>system\nS\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>\n<function>\n' +
        '<name>f</name>\n<description>Runs f</description>\n<parameters>\n' +
        '<parameter>\n<name>a</name>\n<type>string</type>\n<description>First</description>\n' +
        '<enum>["x", "é\\""]</enum>\n</parameter>\n' +
        "<parameter>\n<name>b</name>\n<type>['integer', 'null']</type>\n</parameter>\n" +
        '<parameter>\n<name>c</name>\n<type>array</type>\n<items>{"type": "object", "properties": {}}</items>\n' +
        '</parameter>\n<required>["a"]</required>\n</parameters>\n</function>\n</tools>\n\n' +
        'If you choose to call a function ONLY reply in the following format with NO suffix:\n\n<tool_call>\n',
    )
    expect(prompt).toMatch(
      /about function calls\n<\/IMPORTANT><\|im_end\|>\n<\|im_start\|>user\nQ<\|im_end\|>\n/,
    )
  })

  it('renders calls and replies, and drops thoughts before the last question', () => {
    const messages = [
      user('1'),
      assistant('A', { thinking: 'Old.' }),
      user('2'),
      assistant('', {
        thinking: 'New.',
        ...calls(['f', { a: 'x', b: true, c: null, d: [1, 'y'] }], ['g', {}]),
      }),
      reply('one'),
      reply('two'),
      assistant('B'),
    ]
    const callTags =
      '<tool_call>\n<function=f>\n<parameter=a>\nx\n</parameter>\n<parameter=b>\nTrue\n</parameter>\n' +
      '<parameter=c>\nNone\n</parameter>\n<parameter=d>\n[1, "y"]\n</parameter>\n</function>\n</tool_call>\n' +
      '<tool_call>\n<function=g>\n</function>\n</tool_call>\n<|im_end|>\n' +
      '<|im_start|>user\n<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>\n<|im_end|>\n' +
      '<|im_start|>assistant\n<think></think>B<|im_end|>\n'
    const past = '<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n<think></think>'
    expect(renderNemotron({ messages, tools: [] })).toBe(
      `${noSystem}${past}\nA<|im_end|>\n<|im_start|>user\n2<|im_end|>\n` +
        `<|im_start|>assistant\n<think>\nNew.\n</think>\n${callTags}${opening}`.replace(
          '</think>\n<tool',
          '</think>\n<tool',
        ),
    )
    expect(renderNemotron({ messages, tools: [] }, 'nemotron-3.5-nano')).toBe(
      `${noSystem}${past}A<|im_end|>\n<|im_start|>user\n2<|im_end|>\n` +
        `<|im_start|>assistant\n<think>\nNew.</think>\n${callTags}${opening}`,
    )
    expect(renderNemotron({ messages: [...messages, user('3')], tools: [] })).toContain(
      '2<|im_end|>\n<|im_start|>assistant\n<think></think>\n<tool_call>',
    )
  })

  it('asks the newer model to think less, and leaves its text alone', () => {
    const turn = { messages: [user('Hi /no_think ')], tools: [], think: 'medium' as const }
    expect(renderNemotron(turn, 'nemotron-3.5-nano')).toBe(
      `${noSystem}<|im_start|>user\nHi /no_think \n\n{reasoning effort: efficient}<|im_end|>\n${opening}`,
    )
  })
})

describe('createNemotronParser', () => {
  const tools = [tool('f', { a: { type: 'integer' }, b: { type: 'string' } })]
  const parse = (output: string, prompt = opening) =>
    parseEveryWay(() => createNemotronParser(prompt, tools), output)

  it('tells thinking from the answer', () => {
    expect(parse('\nHm </thin, so\n</think>\n\nYes.\n')).toEqual([
      { thought: 'Hm </thin, so' },
      { text: 'Yes.\n' },
    ])
    expect(parse('<think>\nHm</think>Yes')).toEqual([{ thought: 'Hm' }, { text: 'Yes' }])
    expect(parse('Yes <think>', '<think></think>')).toEqual([{ text: 'Yes <think>' }])
    expect(parse('Hm \n')).toEqual([{ thought: 'Hm \n' }])
  })

  it('reads calls in a row, behind thinking that it does not close', () => {
    const call =
      '<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n"{⛅}"\n</parameter>\n</function>\n</tool_call>'
    const seen = { call: 'f', args: { a: 1, b: '"{⛅}"' } }
    expect(parse(`Ask.\n${call}\n${call}\nDone`)).toEqual([{ thought: 'Ask.' }, seen, seen, { text: 'Done' }])
    expect(parse(`Ask.</think>I ask.\n\n${call}`)).toEqual([{ thought: 'Ask.' }, { text: 'I ask.' }, seen])
    expect(parse('Ask.</think><tool_call><function=f><parameter=a>1')).toEqual([
      { thought: 'Ask.' },
      { call: 'f', args: { a: 1 } },
    ])
  })

  it('reads calls without their outer tag', () => {
    expect(parse('</think><function=f><parameter=a>1</parameter></function>\n</tool_call>\nDone')).toEqual([
      { call: 'f', args: { a: 1 } },
      { text: 'Done' },
    ])
  })

  it.each(['<tool_call>f(1)</tool_call> ', 'a \n<tool_call>', '<function= </function>'])(
    'shows what is no call: %s',
    (output) => {
      expect(parse(output, '<think></think>')).toEqual([{ text: output }])
    },
  )
})
