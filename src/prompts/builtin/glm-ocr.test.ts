import { describe, expect, it } from 'vitest'
import { createGlmOcrParser, renderGlmOcr } from './glm-ocr.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

describe('renderGlmOcr', () => {
  it('renders images and answers', () => {
    const messages = [
      system('S'),
      user('[img-0]Text Recognition:'),
      assistant(' A ', { thinking: ' Hm ' }),
      user('[img-1]B'),
    ]
    expect(renderGlmOcr({ messages, tools: [] })).toBe(
      '[gMASK]<sop><|system|>\nS\n<|user|>\n[img-0]Text Recognition:<|assistant|>\n<think>Hm</think>\nA\n' +
        '<|user|>\n[img-1]B<|assistant|>\n',
    )
  })

  it('closes thinking where told to', () => {
    expect(renderGlmOcr({ messages: [user('Q')], tools: [], think: false })).toBe(
      '[gMASK]<sop><|user|>\nQ/nothink<|assistant|>\n<think></think>\n',
    )
  })

  it('renders tools, calls and replies', () => {
    const messages = [
      user('Q'),
      assistant('', calls(['f', { a: 'x', b: [1, 2] }])),
      reply('one'),
      reply('two'),
    ]
    const prompt = renderGlmOcr({ messages, tools: [tool('f', {}, [])] })
    expect(prompt).toContain(
      '[gMASK]<sop><|system|>\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' +
        'You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n' +
        '{"type": "function", "function": {"name": "f", "description": "Runs f", "parameters": ' +
        '{"type": "object", "properties": {}}}}\n</tools>\n\nFor each function call,',
    )
    expect(prompt).toContain(
      '...</tool_call><|user|>\nQ<|assistant|>\n<think></think>\n<tool_call>f<arg_key>a</arg_key>' +
        '<arg_value>x</arg_value><arg_key>b</arg_key><arg_value>[1,2]</arg_value></tool_call>\n' +
        '<|observation|>\n<tool_response>\none\n</tool_response>\n\n<tool_response>\ntwo\n</tool_response>\n' +
        '<|assistant|>\n',
    )
  })
})

describe('createGlmOcrParser', () => {
  const parse = (output: string) =>
    parseEveryWay(() => createGlmOcrParser([tool('f', { n: { type: 'integer' } })]), output)

  it('tells a thought at the beginning from the text', () => {
    expect(parse('\n<think>\nHm\n</think>\nText <think>')).toEqual([
      { thought: 'Hm' },
      { text: 'Text <think>' },
    ])
    expect(parse(' Text\n')).toEqual([{ text: ' Text\n' }])
  })

  it('reads calls', () => {
    const call = '<tool_call>f<arg_key>n</arg_key><arg_value>2</arg_value></tool_call>'
    expect(parse(`A ${call}\n${call}`)).toEqual([
      { text: 'A' },
      { call: 'f', args: { n: 2 } },
      { call: 'f', args: { n: 2 } },
    ])
    expect(parse('A <tool_call></tool_call> b')).toEqual([{ text: 'A <tool_call></tool_call> b' }])
  })
})
