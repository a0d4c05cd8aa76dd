import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../../test/support/cases.ts'
import type { Tool } from '../inference/index.ts'
import { compileTemplate, createOutputParser, type OutputPiece } from './index.ts'

function tool(name: string): Tool {
  return { type: 'function', function: { name, parameters: { type: 'object', properties: {} } } }
}
const tools = ['get', 'get_weather', 'add', ''].map(tool)

/** A template that shows a tool tag (none is the bare `{`) and think tags and nothing more. */
function template(tag: string) {
  return compileTemplate({
    goTemplate: `{{ .Tools }}{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ if .ToolCalls }}${tag}{{ end }}{{ end }}`,
  })
}

interface Setup {
  tag?: string
  prompt?: string
  parseThinking?: boolean
  tools?: Tool[]
}

function parse(chunks: string[], setup: Setup = {}) {
  const parser = createOutputParser({
    template: template(setup.tag ?? '<tool_call>'),
    prompt: setup.prompt ?? '',
    parseThinking: setup.parseThinking ?? true,
    tools: setup.tools ?? tools,
  })
  return summarize([...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()])
}

/** Neighbouring texts joined; calls as name and JSON. */
function summarize(pieces: OutputPiece[]): string[] {
  const summary: string[] = []
  let last: string | undefined
  for (const piece of pieces) {
    if (piece.type === 'toolCall') {
      expect(piece.call.id).toMatch(/^call_[a-z0-9]{8}$/)
      const { index, name, arguments: args } = piece.call.function
      summary.push(`${index} ${name} ${JSON.stringify(args)}`)
    } else {
      expect(piece.text).not.toBe('')
      if (last === piece.type) summary[summary.length - 1] += piece.text
      else summary.push(`${piece.type}: ${piece.text}`)
    }
    last = piece.type
  }
  return summary
}

const call = '{"name": "get_weather", "arguments": {"z": 1, "a": {"b": "}"}}}'
const parsed = 'get_weather {"z":1,"a":{"b":"}"}}'

describe('thinking', () => {
  it.each<[string, string, Setup, string[]]>([
    ['between its tags', '<think>a b</think>c', {}, ['thinking: a b', 'token: c']],
    [
      'white space around the tags is dropped',
      ' \n<think>\n a \n</think>\n\nc ',
      {},
      ['thinking: a \n', 'token: c '],
    ],
    ['other text first', ' x<think>a</think>', {}, ['token:  x<think>a</think>']],
    ['only white space', ' \n\t', {}, ['token:  \n\t']],
    ['half a tag', ' <thi', {}, ['token:  <thi']],
    ['never closed', '<think>a</thi', {}, ['thinking: a</thi']],
    ['empty', '<think></think>x', {}, ['token: x']],
    ['not asked for', '<think>a</think>c', { parseThinking: false }, ['token: <think>a</think>c']],
    ['opened by the prompt', '\na</think>c', { prompt: 'x<think>\n' }, ['thinking: a', 'token: c']],
    [
      'opened and closed by the prompt',
      'c</think>',
      { prompt: '<think>\n\n</think>\n\n' },
      ['token: c</think>'],
    ],
    [
      'a second block is text',
      '<think>a</think>b<think>c</think>',
      {},
      ['thinking: a', 'token: b<think>c</think>'],
    ],
    ['a call behind it', `<think>a</think>\n<tool_call>${call}`, {}, ['thinking: a', `0 ${parsed}`]],
    [
      'a call within it is thought',
      '<think><tool_call>{}</think>b',
      {},
      ['thinking: <tool_call>{}', 'token: b'],
    ],
  ])('%s', (_, output, setup, expected) => {
    expect(parse([output], setup)).toEqual(expected)
    expect(parse([...output], setup)).toEqual(expected)
  })
})

describe('tool calls', () => {
  it.each<[string, string, Setup, string[]]>([
    ['within its tags', `<tool_call>\n${call}\n</tool_call>`, {}, [`0 ${parsed}`]],
    ['behind some text', `Well. <tool_call>${call}`, {}, ['token: Well. ', `0 ${parsed}`]],
    [
      'two',
      `<tool_call>${call}</tool_call>\n<tool_call>{"name":"add","arguments":{}}`,
      {},
      [`0 ${parsed}`, '1 add {}'],
    ],
    ['what follows a call is its markup', `<tool_call>${call}</tool_call> done`, {}, [`0 ${parsed}`]],
    ['parameters', '<tool_call>{"name":"add","parameters":{"x":[]}}', {}, ['0 add {"x":[]}']],
    ['arguments as text', '<tool_call>{"name":"add","arguments":"{\\"x\\":1}"}', {}, ['0 add {"x":1}']],
    ['the name before the object', '<tool_call>get_weather[ARGS]{"x":1}', {}, ['0 get_weather {"x":1}']],
    ['a name that begins another', '<tool_call>get {"x":1}', {}, ['0 get {"x":1}']],
    ['the name behind the object', '<tool_call>{"x":1} get_weather', {}, ['0 get_weather {"x":1}']],
    ['a short name behind the object, at the end', '<tool_call>{"x":1} get', {}, ['0 get {"x":1}']],
    ['a short name behind the object', '<tool_call>{"x":1} get it', {}, ['0 get {"x":1}']],
    ['the name as key', '<tool_call>{"add":{"x":1}}', {}, ['0 add {"x":1}']],
    [
      'deep within',
      '<tool_call>{"calls":[1,{"function":{"name":"add","arguments":{"x":1}}}]}',
      {},
      ['0 add {"x":1}'],
    ],
    [
      'the own name wins over one in the arguments',
      '<tool_call>{"arguments":{"q":"get"},"name":"add"}',
      {},
      ['0 add {"q":"get"}'],
    ],
    ['no JSON before the object', '<tool_call>{x} {"name":"add","arguments":{"x":1}}', {}, ['0 add {"x":1}']],
    ['escaped quotes', '<tool_call>{"name":"add","arguments":{"x":"\\"}{"}}', {}, ['0 add {"x":"\\"}{"}']],
    ['without arguments', '<tool_call>{"name":"add"}', {}, ['token: <tool_call>{"name":"add"}']],
    [
      'of an unknown tool',
      '<tool_call>{"name":"nope","arguments":{}}',
      {},
      ['token: <tool_call>{"name":"nope","arguments":{}}'],
    ],
    ['never finished', '<tool_call>{"name":"add","argu', {}, ['token: <tool_call>{"name":"add","argu']],
    ['half a tag', 'a <tool_', {}, ['token: a <tool_']],
    ['a stray brace', 'a } <tool_call>}}{"name":"add","arguments":{}}', {}, ['token: a } ', '0 add {}']],
    ['not offered', `<tool_call>${call}`, { tools: [] }, [`token: <tool_call>${call}`]],
    ['bare', ` ${call}`, { tag: '' }, ['token:  ', `0 ${parsed}`]],
    ['bare, two', `${call}; {"name":"add","arguments":{}}`, { tag: '' }, [`0 ${parsed}`, '1 add {}']],
    ['bare, behind text', `a ${call}`, { tag: '' }, [`token: a ${call}`]],
    ['bare, but no call', '{"x":{"y":1}} more {', { tag: '' }, ['token: {"x":{"y":1}} more {']],
    ['bare, unfinished', '{"x":', { tag: '' }, ['token: {"x":']],
    ['only white space', ' \n', { tag: '' }, ['token:  \n']],
    [
      'in a list',
      `[${call}, {"name":"add","arguments":{"l":[1]}}]`,
      { tag: '[{{"{"}}' },
      [`0 ${parsed}`, '1 add {"l":[1]}'],
    ],
    ['a list that is no call', '[{"x":"]"}, 2] and', { tag: '[{{"{"}}' }, ['token: [{"x":"]"}, 2] and']],
    ["Llama's tag", `<|python_tag|>${call}`, { tag: '<|python_tag|>' }, [`0 ${parsed}`]],
    ["Llama's call without its tag", call, { tag: '<|python_tag|>' }, [`0 ${parsed}`]],
    [
      "text behind which Llama's tag comes",
      `a {} <|python_tag|>${call}`,
      { tag: '<|python_tag|>' },
      ['token: a {} ', `0 ${parsed}`],
    ],
  ])('%s', (_, output, setup, expected) => {
    expect(parse([output], setup)).toEqual(expected)
    expect(parse([...output], setup)).toEqual(expected)
  })

  it('arguments nested past any use are taken as they are', () => {
    const deep = `${'{"a":'.repeat(100)}{"name":"x"}${'}'.repeat(100)}`
    expect(parse([`<tool_call>add ${deep}`])).toEqual([`0 add ${deep}`])
  })
})

const fragments = fc.constantFrom(
  ...[
    '<think>',
    '</think>',
    '<tool_call>',
    '</tool_call>',
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ' ',
    '\n',
    'get',
    '_weather',
    'add',
  ],
  ...['{"name":"add","arguments":{}}', '{"x":1}', call, 'text', '<', '{}'],
)
const outputs = fc.oneof(
  fc.string(),
  fc.array(fragments).map((parts) => parts.join('')),
)
const tags = fc.constantFrom('<tool_call>', '', '[{{"{"}}', '<|python_tag|>')

describe('properties', () => {
  it('however the output is cut, its pieces are the same', () => {
    fc.assert(
      fc.property(outputs, fc.array(fc.nat(200)), tags, fc.boolean(), (output, places, tag, inside) => {
        const setup = { tag, prompt: inside ? '<think>' : '' }
        const cuts = [...new Set(places.map((place) => place % (output.length + 1)))].sort((a, b) => a - b)
        const chunks = [0, ...cuts].map((start, i) => output.slice(start, cuts[i] ?? output.length))
        expect(parse(chunks, setup)).toEqual(parse([output], setup))
        expect(parse(output.split(''), setup)).toEqual(parse([output], setup))
      }),
      { numRuns: cases(3000) },
    )
  })

  it('without a call, no text is lost but the tags and the space around them', () => {
    fc.assert(
      fc.property(outputs, tags, (output, tag) => {
        const pieces = parse([output], { tag, parseThinking: false })
        fc.pre(pieces.every((piece) => piece.startsWith('token: ')))
        expect(pieces.map((piece) => piece.slice('token: '.length)).join('')).toBe(output)
      }),
      { numRuns: cases(2000) },
    )
  })

  it.each([
    ['text', 'word '.repeat(200_000)],
    ['white space', ' '.repeat(1_000_000)],
    ['thinking', `<think>${'a<'.repeat(500_000)}`],
    ['half tags', '<tool_cal'.repeat(110_000)],
    ['an argument', `<tool_call>{"name":"add","arguments":{"x":"${'a'.repeat(1_000_000)}"}}`],
    ['objects that are no calls', `<tool_call>${'{}'.repeat(500_000)}`],
    ['open braces', `<tool_call>add ${'{'.repeat(1_000_000)}`],
    ['names', `<tool_call>${'get_weathe '.repeat(90_000)}`],
  ])('a megabyte of %s is parsed in linear time', (_, output) => {
    const chunks = output.match(/[\s\S]{1,4}/g) ?? []
    const parser = createOutputParser({
      template: template('<tool_call>'),
      prompt: '',
      parseThinking: true,
      tools,
    })
    const startMs = performance.now()
    for (const chunk of chunks) parser.push(chunk)
    parser.end()
    expect(performance.now() - startMs).toBeLessThan(20_000)
  })
})
