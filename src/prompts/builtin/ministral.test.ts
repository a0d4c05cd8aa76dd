import { describe, expect, it } from 'vitest'
import { createMinistralParser, renderMinistral } from './ministral.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('get_weather', { city: { type: 'string' } })
const weatherJson =
  '{"type": "function", "function": {"name": "get_weather", "description": "Runs get_weather", "parameters": ' +
  '{"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}'

describe('renderMinistral', () => {
  it('renders system, question and answer', () => {
    const messages = [
      system('Be brief.'),
      user('Hi'),
      assistant('Hello.', { thinking: 'Greet.' }),
      user('Bye'),
    ]
    expect(renderMinistral({ messages, tools: [] })).toBe(
      '[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hi[/INST][THINK]Greet.[/THINK]Hello.</s>[INST]Bye[/INST]',
    )
  })

  it('puts the tools before the first question', () => {
    const messages = [system('S'), user('Weather?'), assistant('One moment.'), user('And?')]
    expect(renderMinistral({ messages, tools: [weather] })).toBe(
      `[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][AVAILABLE_TOOLS][${weatherJson}][/AVAILABLE_TOOLS]` +
        '[INST]Weather?[/INST]One moment.</s>[INST]And?[/INST]',
    )
  })

  it('renders calls and what the tools replied', () => {
    const messages = [
      user('Weather?'),
      assistant('', calls(['get_weather', { city: 'Köln' }], ['get_weather', { city: 'Rom', days: [1, 2] }])),
      reply('sunny'),
      reply('rain'),
    ]
    expect(renderMinistral({ messages, tools: [] })).toBe(
      '[INST]Weather?[/INST][TOOL_CALLS]get_weather[ARGS]{"city": "Köln"}' +
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Rom", "days": [1, 2]}</s>' +
        '[TOOL_RESULTS]sunny[/TOOL_RESULTS][TOOL_RESULTS]rain[/TOOL_RESULTS]',
    )
  })

  it('joins neighbours of one role, and leaves a last answer open', () => {
    const messages = [user('[img-0]Look'), user('[img-1]Here'), assistant('I'), assistant('see')]
    expect(renderMinistral({ messages, tools: [] })).toBe('[INST][img-0]Look\n\n[img-1]Here[/INST]I\n\nsee')
  })
})

describe('createMinistralParser', () => {
  const parse = (output: string, prompt = '[INST]Hi[/INST]') =>
    parseEveryWay(() => createMinistralParser(prompt), output)

  it('gives text as it is', () => {
    expect(parse(' [a] [TOOL] \n')).toEqual([{ text: ' [a] [TOOL] \n' }])
  })

  it('tells thinking from the answer', () => {
    expect(parse('[THINK]Hm,\nso [/THI.[/THINK]\n\nYes.')).toEqual([
      { thought: 'Hm,\nso [/THI.' },
      { text: 'Yes.' },
    ])
    expect(parse('Hm[/THINK]Yes', '[/INST][THINK]')).toEqual([{ thought: 'Hm' }, { text: 'Yes' }])
    expect(parse('[THINK]Hm')).toEqual([{ thought: 'Hm' }])
  })

  it('reads calls in a row behind text', () => {
    expect(
      parse(
        'I ask. [TOOL_CALLS]get_weather[ARGS]{"city": "Paris"} \n[TOOL_CALLS]f[ARGS]{"a": {"b": ["}"]}}Done',
      ),
    ).toEqual([
      { text: 'I ask.' },
      { call: 'get_weather', args: { city: 'Paris' } },
      { call: 'f', args: { a: { b: ['}'] } } },
      { text: 'Done' },
    ])
  })

  it('reads quotes, escapes and unicode', () => {
    expect(parse('[TOOL_CALLS]f[ARGS]{"a": "say \\"{⛅\\\\\\"", "b": "\\u00e9[/THINK]"}')).toEqual([
      { call: 'f', args: { a: 'say "{⛅\\"', b: 'é[/THINK]' } },
    ])
  })

  it('reads what older models write', () => {
    expect(parse('[TOOL_CALLS]f{"a": 1}')).toEqual([{ call: 'f', args: { a: 1 } }])
    expect(parse('[TOOL_CALLS]f[CALL_ID]abc123def[ARGS]{"a": 1}')).toEqual([{ call: 'f', args: { a: 1 } }])
    expect(
      parse('[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]'),
    ).toEqual([
      { call: 'f', args: { a: 1 } },
      { call: 'g', args: {} },
    ])
  })

  it.each([
    '[TOOL_CALLS]f[ARGS]{"a": 1',
    '[TOOL_CALLS]f[ARGS]{a: 1} and more',
    '[TOOL_CALLS]f[ARGS]',
    'So \n[TOOL_CALLS][ARGS]{}  ',
    '[TOOL_CALLS][{"name": "f"}] \n x',
    `[TOOL_CALLS]${'no call '.repeat(40)}`,
  ])('shows a call that cannot be read: %s', (output) => {
    expect(parse(output)).toEqual([{ text: output }])
  })
})
