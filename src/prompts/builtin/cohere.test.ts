import { describe, expect, it } from 'vitest'
import { createCohereParser, renderCohere } from './cohere.ts'
import { assistant, calls, parseEveryWay, parseParts, reply, system, tool, user } from './split.fixture.ts'

const noTools =
  '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TEXT|># Available Tools\n```json\n[\n\n\n\n]\n```' +
  '<|END_TEXT|><|END_OF_TURN_TOKEN|>'
const asks = (text: string) =>
  `<|START_OF_TURN_TOKEN|><|USER_TOKEN|><|START_TEXT|>${text}<|END_TEXT|><|END_OF_TURN_TOKEN|>`
const opening = '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|>'

describe('renderCohere', () => {
  it('opens thinking unless told otherwise', () => {
    const turn = { messages: [user('Hi')], tools: [] }
    expect(renderCohere(turn)).toBe(noTools + asks('Hi') + opening)
    expect(renderCohere({ ...turn, think: true })).toBe(noTools + asks('Hi') + opening)
    expect(renderCohere({ ...turn, think: false })).toBe(`${noTools}${asks('Hi')}${opening}<|END_THINKING|>`)
  })

  it('lists the tools behind the system prompt', () => {
    const tools = [tool('a', { x: { type: 'string' } }), tool('b', {}, [])]
    expect(renderCohere({ messages: [system('Be brief.'), user('Hi')], tools })).toBe(
      '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TEXT|>Be brief.\n\n\n\n# Available Tools\n```json\n[\n\n' +
        '    {"name": "a", "description": "Runs a", "parameters": {"type": "object", "required": ["x"], ' +
        '"properties": {"x": {"type": "string"}}}, "responses": null},\n\n\n' +
        '    {"name": "b", "description": "Runs b", "parameters": {"type": "object", "properties": {}}, ' +
        `"responses": null}\n\n\n]\n\`\`\`<|END_TEXT|><|END_OF_TURN_TOKEN|>${asks('Hi')}${opening}`,
    )
  })

  it('numbers calls, and the replies to them, through the conversation', () => {
    const messages = [
      user('Q'),
      assistant('', { thinking: 'Ask.', ...calls(['f', { a: 'é' }], ['g', {}]) }),
      reply('one', { tool_call_id: 'call_1' }),
      reply('"two"', { tool_call_id: 'call_0' }),
      assistant('A', { thinking: 'Done.' }),
      user('R'),
    ]
    const result = (id: number, content: string) =>
      `\n    {\n        "tool_call_id": "${id}",\n        "results": {\n\n            \n            "0": ` +
      `{"content": ${content}}\n\n        },\n        "is_error": null\n    }`
    expect(renderCohere({ messages, tools: [] })).toBe(
      `${noTools}${asks('Q')}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>\n            \n                ` +
        '<|START_THINKING|>Ask.<|END_THINKING|><|START_ACTION|>[\n\n' +
        '    {"tool_call_id": "0", "tool_name": "f", "parameters": {"a": "é"}},\n\n' +
        '    {"tool_call_id": "1", "tool_name": "g", "parameters": {}}\n\n]<|END_ACTION|><|END_OF_TURN_TOKEN|>' +
        `<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TOOL_RESULT|>[${result(1, '"one"')},` +
        `${result(0, '"\\"two\\""')}\n\n]<|END_TOOL_RESULT|><|END_OF_TURN_TOKEN|>` +
        '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|>Done.<|END_THINKING|>' +
        `<|START_TEXT|>A<|END_TEXT|><|END_OF_TURN_TOKEN|>${asks('R')}${opening}`,
    )
  })

  it('leaves a last answer open', () => {
    expect(renderCohere({ messages: [user('Q'), assistant('It is')], tools: [] })).toBe(
      `${noTools}${asks('Q')}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_TEXT|>It is`,
    )
  })
})

describe('createCohereParser', () => {
  const parse = (output: string, prompt = opening) => parseEveryWay(() => createCohereParser(prompt), output)
  const text = { text: 'It is < 42 <|x.\n' }

  it('tells thinking from the answer', () => {
    const answer = '<|START_TEXT|>It is < 42 <|x.\n<|END_TEXT|><|END_OF_TURN_TOKEN|>'
    expect(parse(`Hm, \nso. \n<|END_THINKING|>\n${answer}`)).toEqual([{ thought: 'Hm, \nso.' }, text])
    expect(parse(answer, `${opening}<|END_THINKING|>`)).toEqual([text])
    expect(parse('Hm<|END_THINKING|><|START_RESPONSE|>Yes<|END_RESPONSE|>')).toEqual([
      { thought: 'Hm' },
      { text: 'Yes' },
    ])
  })

  it('shows text without its markers', () => {
    expect(parse('Hm<|END_THINKING|> Yes.\n')).toEqual([{ thought: 'Hm' }, { text: 'Yes.\n' }])
    expect(parse(' 42.<|END_TEXT|>', '<|START_TEXT|>It is')).toEqual([{ text: ' 42.' }])
    expect(parse('<|START_THINKING|>Hm<|END_THINKING|>Yes', '<|CHATBOT_TOKEN|>')).toEqual([
      { thought: 'Hm' },
      { text: 'Yes' },
    ])
  })

  it('reads a list of calls', () => {
    const list =
      '[\n    {"tool_call_id": "0", "tool_name": "f", "parameters": {"a": "}]\\"é", "b": {"c": [1]}}},\n' +
      '    {"tool_call_id": "1", "tool_name": "g", "parameters": {}}\n]'
    expect(parse(`Ask.<|END_THINKING|><|START_ACTION|>${list}<|END_ACTION|><|END_OF_TURN_TOKEN|>`)).toEqual([
      { thought: 'Ask.' },
      { call: 'f', args: { a: '}]"é', b: { c: [1] } } },
      { call: 'g', args: {} },
    ])
  })

  it('reads what it can of a list with faults', () => {
    const one = '{"tool_name": "f", "parameters": {}}'
    const call = { call: 'f', args: {} }
    const parseList = (list: string) => parseParts(createCohereParser(''), [`<|START_ACTION|>${list}`])
    expect(parseList(`[${one} ${one}]<|END_ACTION|>`)).toEqual([call, call])
    expect(parseList(`[{"tool_name": f}, ${one}]<|END_ACTION|>`)).toEqual([call])
    expect(parseList(`[${one}, {"tool_name": "g", "par`)).toEqual([call])
    expect(parseList(one)).toEqual([call])
  })

  it('shows a list that has no call', () => {
    expect(parse('Hm<|END_THINKING|>So <|START_ACTION|>[1]<|END_ACTION|> it')).toEqual([
      { thought: 'Hm' },
      { text: 'So <|START_ACTION|>[1]<|END_ACTION|> it' },
    ])
  })

  it('shows thinking that does not end', () => {
    expect(parse('Hm <|END_TH')).toEqual([{ thought: 'Hm <|END_TH' }])
  })
})
