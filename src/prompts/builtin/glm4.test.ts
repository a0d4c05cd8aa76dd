import { describe, expect, it } from 'vitest'
import { createGlm4Parser, renderGlm4 } from './glm4.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('weather', { city: { type: 'string' }, days: { type: 'integer' } })

describe('the prompts of GLM 4.7', () => {
  it('open a thought unless told otherwise', () => {
    const turn = { messages: [system('S'), user('Q')], tools: [] }
    expect(renderGlm4(turn)).toBe('[gMASK]<sop><|system|>S<|user|>Q<|assistant|><think>')
    expect(renderGlm4({ ...turn, think: false })).toBe(
      '[gMASK]<sop><|system|>S<|user|>Q<|assistant|></think>',
    )
  })

  it('offer tools, and show thoughts, calls and replies since the last question', () => {
    const messages = [
      user('1'),
      assistant('A', { thinking: 'old' }),
      user('2'),
      assistant('', { thinking: 'new', ...calls(['weather', { city: 'Paris', days: 2 }]) }),
      reply('sunny'),
      reply('rain'),
    ]
    const prompt = renderGlm4({ messages, tools: [weather] })
    expect(prompt).toMatch(/^\[gMASK\]<sop><\|system\|>\n# Tools\n\n.*<tools>\n\{"type": "function"/s)
    expect(prompt).toContain(
      '<|user|>1<|assistant|></think>A<|user|>2<|assistant|><think>new</think>' +
        '<tool_call>weather<arg_key>city</arg_key><arg_value>Paris</arg_value>' +
        '<arg_key>days</arg_key><arg_value>2</arg_value></tool_call>' +
        '<|observation|><tool_response>sunny</tool_response><tool_response>rain</tool_response><|assistant|><think>',
    )
  })
})

describe('the output of GLM 4.7', () => {
  const parse = (output: string, prompt: string) =>
    parseEveryWay(() => createGlm4Parser(prompt, [weather]), output)
  const call =
    '<tool_call>weather<arg_key>city</arg_key><arg_value>Paris</arg_value><arg_key>days</arg_key><arg_value>3</arg_value></tool_call>'

  it('has a thought that the prompt opened, text and calls', () => {
    expect(parse(`Hm.</think>\nYes.${call}`, '<|assistant|><think>')).toEqual([
      { thought: 'Hm.' },
      { text: 'Yes.' },
      { call: 'weather', args: { city: 'Paris', days: 3 } },
    ])
    expect(parse(`Yes.${call}`, '<|assistant|></think>')).toEqual([
      { text: 'Yes.' },
      { call: 'weather', args: { city: 'Paris', days: 3 } },
    ])
  })
})
