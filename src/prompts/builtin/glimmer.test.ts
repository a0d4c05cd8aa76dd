import { describe, expect, it } from 'vitest'
import { createGlimmerParser, renderGlimmer } from './glimmer.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const read = tool('read', { path: { type: 'string' }, lines: { type: 'array' } })
const block = (name: string) =>
  `<atem:function_calls>\n<atem:invoke name="${name}">\n<atem:parameter name="path"> a"<b>\n</atem:parameter>\n` +
  '<atem:parameter name="lines">[1, 2]</atem:parameter>\n</atem:invoke>\n</atem:function_calls>'

describe('renderGlimmer', () => {
  it('says what it is, and what day it is', () => {
    const prompt = (strength: string) =>
      '<|begin_of_text|><|start|>system<|message|>You are a helpful AI assistant.\nKnowledge cutoff: 2026-01-04.\n' +
      `Current date: 2026-05-01.\n\nReasoning strength: ${strength}.\n\n# Valid recipients: "self", "user".<|eot|>` +
      '<|start|>user<|message|>Hi<|eot|><|start|>assistant'
    const turn = { messages: [user('Hi')], tools: [] }
    expect(renderGlimmer(turn, { today: '2026-05-01' })).toBe(prompt('high'))
    expect(renderGlimmer({ ...turn, think: 'low' }, { today: '2026-05-01' })).toBe(prompt('low'))
    expect(renderGlimmer({ ...turn, think: false }, { today: '2026-05-01' })).toBe(prompt('none'))
    expect(renderGlimmer(turn)).toMatch(/Current date: \d{4}-\d\d-\d\d\./)
  })

  it('offers tools by namespace', () => {
    const tools = [tool('fs.read', {}, []), tool('fs.write', {}, []), tool('run', {}, [])]
    const prompt = renderGlimmer({ messages: [system('S'), user('Q')], tools })
    expect(prompt).toMatch(
      /^<\|begin_of_text\|><\|start\|>system<\|message\|>S\n\nReasoning strength: high\.\n\nIn this environment/,
    )
    expect(prompt).toContain(
      '// Tool metadata\n{"name": "fs", "description": ""}\n{"name": "run", "description": ""}\n// Function schemas\n' +
        '{"name": "fs.read", "description": "Runs fs.read", "parameters": {"type": "object", "properties": {}}}\n',
    )
    expect(prompt).toContain(
      '</atem:invoke>\n</atem:function_calls>\n\n# Valid recipients: "self", "fs.*", "run.*", "user".<|eot|>' +
        '<|start|>user<|message|>Q<|eot|><|start|>assistant',
    )
  })

  it('addresses thoughts, calls and answers', () => {
    const messages = [
      system('S'),
      user('[img-0]Q'),
      assistant('', {
        thinking: 'Hm',
        ...calls(['read', { path: ' a', deep: true }], ['run', { x: { y: [1, null] } }]),
      }),
      reply('one', { tool_call_id: 'call_1' }),
      reply('two', { tool_name: 'read' }),
      assistant('A', { thinking: 'So' }),
    ]
    const start = (header: string) => `<|start|>${header}<|message|>`
    expect(renderGlimmer({ messages, tools: [] })).toContain(
      `${start('user')}[img-0]Q<|eot|>${start('assistant to=self')}Hm<|eom|>${start('assistant to=read')}` +
        '<atem:function_calls>\n<atem:invoke name="read">\n<atem:parameter name="path"> a</atem:parameter>\n' +
        '<atem:parameter name="deep">true</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|>' +
        `${start('assistant to=run')}<atem:function_calls>\n<atem:invoke name="run">\n` +
        '<atem:parameter name="x">{"y": [1, null]}</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eot|>' +
        `${start('tool run')}<tool_output name="run">\none\n</tool_output><|eot|>` +
        `${start('tool read')}<tool_output name="read">\ntwo\n</tool_output><|eot|>` +
        `${start('assistant to=self')}So<|eom|>${start('assistant to=user')}A<|eot|><|start|>assistant`,
    )
  })
})

describe('createGlimmerParser', () => {
  const parse = (output: string, thinks = true, tools = [read]) =>
    parseEveryWay(() => createGlimmerParser(tools, thinks), output)
  const call = { call: 'read', args: { path: ' a"<b>\n', lines: [1, 2] } }

  it('tells thinking from the answer by the recipient', () => {
    const output = ' to=self<|message|>Hm <|e\n<|eom|><|start|>assistant to=user<|message|> Yes.\n<|eot|>'
    expect(parse(output)).toEqual([{ thought: 'Hm <|e\n' }, { text: ' Yes.\n' }])
    expect(parse(output, false)).toEqual([{ text: ' Yes.\n' }])
    expect(parse('<|message|>Yes')).toEqual([{ text: 'Yes' }])
    expect(parse(' to=self<|message|>Hm<|start|>assistant<|message|>Yes')).toEqual([
      { thought: 'Hm' },
      { text: 'Yes' },
    ])
  })

  it('shows text without a header', () => {
    expect(parse('token')).toEqual([{ text: 'token' }])
    expect(parse('to')).toEqual([{ text: 'to' }])
    expect(parse('to=me and you')).toEqual([{ text: 'to=me and you' }])
  })

  it('reads calls in a row, whatever the header says', () => {
    expect(
      parse(
        ` to=read<|message|>${block('read')}<|eom|><|start|>assistant to=user<|message|>\n${block('read.read')}<|eot|>`,
      ),
    ).toEqual([call, call])
    expect(parse(` to=read<|message|>${block('read<|message|>')}`)).toEqual([call])
  })

  it('shows calls of tools it does not know', () => {
    expect(parse(` to=user<|message|>${block('write')} so<|eot|>`)).toEqual([
      { text: `${block('write')} so` },
    ])
    expect(parse(` to=read<|message|>${block('read')}<|eot|>`, true, [])).toEqual([{ text: block('read') }])
    expect(parse(' to=read<|message|><atem:function_calls>\n<atem')).toEqual([
      { text: '<atem:function_calls>\n<atem' },
    ])
  })
})
