import { describe, expect, it } from 'vitest'
import { createQwen3Parser, renderQwen3Vl } from './qwen3.ts'
import { createQwen3CoderParser, renderQwen3Coder, renderQwen35 } from './qwen3-coder.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool(
  'weather',
  { city: { type: 'string' }, days: { type: 'integer' } },
  ['city'],
  'Tells the weather',
)

describe('the prompts of Qwen 3 VL', () => {
  it('are ChatML, with an open thought for the models that think', () => {
    const turn = { messages: [system('S'), user('Q')], tools: [] }
    const prompt = '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n'
    expect(renderQwen3Vl(turn, false)).toBe(prompt)
    expect(renderQwen3Vl(turn, true)).toBe(`${prompt}<think>\n`)
  })

  it('offer tools, and show calls and their replies', () => {
    const messages = [
      user('Q'),
      assistant('Let me see.', { ...calls(['weather', { city: 'Paris' }], ['weather', { city: 'Rome' }]) }),
      reply('sunny'),
      reply('rain'),
    ]
    const prompt = renderQwen3Vl({ messages, tools: [weather] }, false)
    expect(prompt).toContain(
      '<|im_start|>system\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' +
        'You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{"type": "function", ',
    )
    expect(prompt).toContain(
      '<|im_start|>assistant\nLet me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>\n' +
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>\n' +
        '<|im_start|>user\n<tool_response>\nsunny\n</tool_response>\n<tool_response>\nrain\n</tool_response><|im_end|>\n' +
        '<|im_start|>assistant\n',
    )
  })

  it('keep thoughts since the last question, and let a last answer go on', () => {
    const messages = [
      user('1'),
      assistant('A', { thinking: 'old' }),
      user('2'),
      assistant('B', { thinking: 'new' }),
    ]
    const prompt = renderQwen3Vl({ messages, tools: [] }, true)
    expect(prompt).toContain('assistant\nA<|im_end|>')
    expect(prompt.endsWith('<|im_start|>assistant\n<think>\nnew\n</think>\n\nB')).toBe(true)
  })
})

describe('the prompts of Qwen 3 Coder and Qwen 3.5', () => {
  const messages = [user('Q'), assistant('', calls(['weather', { city: 'Paris', days: 2 }])), reply('sunny')]

  it('describe tools in tags for the coder', () => {
    const prompt = renderQwen3Coder({ messages, tools: [weather] })
    expect(prompt).toContain(
      '<|im_start|>system\nYou are Qwen, a helpful AI assistant that can interact with a computer to solve tasks.\n\n' +
        '# Tools\n\nYou have access to the following functions:\n\n<tools>\n<function>\n<name>weather</name>\n',
    )
    expect(prompt).toContain(
      '<|im_start|>assistant\n<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n' +
        '<parameter=days>\n2\n</parameter>\n</function>\n</tool_call><|im_end|>\n' +
        '<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>\n<|im_start|>assistant\n',
    )
    expect(renderQwen3Coder({ messages: [user('Q')], tools: [] })).toBe(
      '<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n',
    )
  })

  it('describe them in JSON for Qwen 3.5, which thinks unless told otherwise', () => {
    const turn = { messages: [system('S'), user('Q')], tools: [weather] }
    expect(renderQwen35(turn)).toMatch(/<tools>\n\{"type": "function".*<\/IMPORTANT>\n\nS<\|im_end\|>/s)
    expect(renderQwen35(turn).endsWith('<|im_start|>assistant\n<think>\n')).toBe(true)
    expect(renderQwen35({ ...turn, think: false }).endsWith('assistant\n<think>\n\n</think>\n\n')).toBe(true)
  })
})

describe('the output of Qwen 3', () => {
  const parse = (output: string, prompt = '<|im_start|>assistant\n', thinks = true) =>
    parseEveryWay(() => createQwen3Parser(prompt, thinks), output)

  it('has a thought that comes first or was opened by the prompt', () => {
    const seen = [{ thought: 'Hm.' }, { text: 'Yes.' }]
    expect(parse('<think>\nHm.\n</think>\n\nYes.')).toEqual(seen)
    expect(parse('Hm.\n</think>\n\nYes.', '<|im_start|>assistant\n<think>\n')).toEqual(seen)
    expect(parse('No <think> here')).toEqual([{ text: 'No <think> here' }])
    expect(parse('<think>a</think>b', '', false)).toEqual([{ text: '<think>a</think>b' }])
  })

  it('has calls, also straight out of a thought', () => {
    const call = '<tool_call>\n{"name": "f", "arguments": {"a": "}"}}\n</tool_call>'
    expect(parse(`Look:\n${call}\n${call}`)).toEqual([
      { text: 'Look:' },
      { call: 'f', args: { a: '}' } },
      { call: 'f', args: { a: '}' } },
    ])
    expect(parse(`<think>Hm.${call}`)).toEqual([{ thought: 'Hm.' }, { call: 'f', args: { a: '}' } }])
  })

  it('shows a call that cannot be read', () => {
    expect(parse('<tool_call>no json</tool_call> after')).toEqual([
      { text: '<tool_call>no json</tool_call> after' },
    ])
    expect(parse('<tool_call>{"name"')).toEqual([{ text: '<tool_call>{"name"' }])
  })
})

describe('the output of Qwen 3 Coder', () => {
  const parse = (output: string) => parseEveryWay(() => createQwen3CoderParser([weather]), output)

  it('has calls whose values have the types of the tool', () => {
    const call =
      '<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>'
    expect(parse(`I look.\n\n${call}`)).toEqual([
      { text: 'I look.' },
      { call: 'weather', args: { city: 'Paris', days: 3 } },
    ])
    expect(parse(call.replace('<tool_call>\n', '').replace('\n</tool_call>', ''))).toEqual([
      { call: 'weather', args: { city: 'Paris', days: 3 } },
    ])
  })

  it('keeps text that only looks like a call', () => {
    expect(parse('a <b> <function= c')).toEqual([{ text: 'a <b> <function= c' }])
  })
})
