import { describe, expect, it } from 'vitest'
import { createOlmo3Parser, createOlmo3ThinkParser, renderOlmo3, renderOlmo3Think } from './olmo3.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

describe('renderOlmo3', () => {
  it('says what it is where nobody else does', () => {
    const turn = { messages: [user('Hi')], tools: [] }
    const rest =
      'You do not currently have access to any functions. <functions></functions><|im_end|>\n' +
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
    expect(renderOlmo3(turn)).toBe(
      `<|im_start|>system\nYou are a helpful function-calling AI assistant. ${rest}`,
    )
    expect(renderOlmo3(turn, 'olmo3.1')).toBe(
      '<|im_start|>system\nYou are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, ' +
        `and your model weights are available at https://huggingface.co/allenai. ${rest}`,
    )
  })

  it('renders functions, calls and replies', () => {
    const messages = [
      system('Be brief.'),
      user('Q'),
      assistant('I ask.', calls(['f', { b: [1, 'x'], a: 'é"' }], ['g', {}])),
      reply('one'),
    ]
    const json =
      '[{"type": "function", "function": {"name": "f", "description": "Runs f", "parameters": ' +
      '{"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}}}]'
    expect(renderOlmo3({ messages, tools: [tool('f', { a: { type: 'string' } })] })).toBe(
      `<|im_start|>system\nBe brief.<functions>${json}</functions><|im_end|>\n<|im_start|>user\nQ<|im_end|>\n` +
        '<|im_start|>assistant\nI ask.<function_calls>f(a="é\\"", b=[1,"x"])\ng()</function_calls><|im_end|>\n' +
        '<|im_start|>environment\none<|im_end|>\n<|im_start|>assistant\n',
    )
    expect(renderOlmo3({ messages: [user('Q')], tools: [tool('f', { a: { type: 'string' } })] })).toContain(
      `about what values to plug into functions.<functions>${json}</functions><|im_end|>`,
    )
  })

  it('leaves a last answer open', () => {
    expect(renderOlmo3({ messages: [system('S'), user('Q'), assistant('It')], tools: [] })).toBe(
      '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nIt',
    )
  })
})

describe('renderOlmo3Think', () => {
  it('opens thinking', () => {
    const turn = { messages: [user('Hi')], tools: [] }
    const rest = '<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>'
    expect(renderOlmo3Think(turn, 'olmo3-32b-think')).toBe(
      `<|im_start|>system\nYou are a helpful AI assistant.${rest}`,
    )
    expect(renderOlmo3Think({ messages: [system('S'), ...turn.messages], tools: [] })).toBe(
      `<|im_start|>system\nS You do not currently have access to any functions. <functions></functions>${rest}`,
    )
  })
})

describe('createOlmo3Parser', () => {
  const parse = (output: string) => parseEveryWay(createOlmo3Parser, output)

  it('reads calls between text', () => {
    expect(
      parse(
        'I ask.\n<function_calls>f(a="x, (y)\\"", b=[1, {"c": None}])\ng()</function_calls> < Done <func',
      ),
    ).toEqual([
      { text: 'I ask.\n' },
      { call: 'f', args: { a: 'x, (y)"', b: [1, { c: null }] } },
      { call: 'g', args: {} },
      { text: ' < Done <func' },
    ])
  })

  it('reads calls whose marker is missing', () => {
    expect(parse('<function_calls>f(a=1)')).toEqual([{ call: 'f', args: { a: 1 } }])
  })

  it.each([
    '<function_calls>f(1)</function_calls> ',
    '<function_calls></function_calls>',
    '<function_calls>f(a=',
  ])('shows what is no call: %s', (output) => {
    expect(parse(output)).toEqual([{ text: output }])
  })
})

describe('createOlmo3ThinkParser', () => {
  it('tells thinking from the answer', () => {
    const parse = (output: string) =>
      parseEveryWay(() => createOlmo3ThinkParser('assistant\n<think>'), output)
    expect(parse('Hm </thin, so \n</think>\n\nYes.')).toEqual([
      { thought: 'Hm </thin, so' },
      { text: 'Yes.' },
    ])
    expect(parse('<think>Hm\n')).toEqual([{ thought: 'Hm\n' }])
  })

  it('shows the rest of an answer that has begun', () => {
    expect(parseEveryWay(() => createOlmo3ThinkParser('It is'), ' 42</think>.')).toEqual([
      { text: ' 42</think>.' },
    ])
  })
})
