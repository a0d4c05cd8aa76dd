import { describe, expect, it } from 'vitest'
import { createGemma4Parser, renderGemma4 } from './gemma4.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

describe('renderGemma4', () => {
  it('opens the model turn behind a question', () => {
    expect(renderGemma4({ messages: [user(' Hi ')], tools: [] })).toBe(
      '<bos><|turn>user\nHi<turn|>\n<|turn>model\n',
    )
  })

  it('asks for thinking in the system turn, which it opens if need be', () => {
    expect(renderGemma4({ messages: [user('Hi')], tools: [], think: true })).toBe(
      '<bos><|turn>system\n<|think|>\n<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n',
    )
    expect(renderGemma4({ messages: [system('Be brief. '), user('Hi')], tools: [], think: 'high' })).toBe(
      '<bos><|turn>system\n<|think|>\nBe brief.<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n',
    )
  })

  it('gives the larger models an empty thought where thinking is off', () => {
    const turn = { messages: [user('Hi')], tools: [], think: false }
    expect(renderGemma4(turn, { emptyThought: true })).toBe(
      '<bos><|turn>user\nHi<turn|>\n<|turn>model\n<|channel>thought\n<channel|>',
    )
    expect(renderGemma4({ ...turn, think: true }, { emptyThought: true })).toMatch(/<\|turn>model\n$/)
  })

  it('declares tools in the notation of the model, sorted by name', () => {
    const tools = [
      tool('search', {
        query: { type: 'string', description: 'What to find' },
        kind: { type: 'string', enum: ['web', 'news'] },
        Pages: { type: 'array', items: { type: 'integer', minimum: 1 } },
        where: { type: 'object', properties: { lang: { type: 'string' } }, required: ['lang'] },
        limit: { type: ['integer', 'null'] },
        flag: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
      }),
    ]
    expect(renderGemma4({ messages: [user('Hi')], tools })).toBe(
      '<bos><|turn>system\n' +
        '<|tool>declaration:search{description:<|"|>Runs search<|"|>,parameters:{properties:{' +
        `flag:{type:<|"|>['BOOLEAN', 'NULL']<|"|>},` +
        'kind:{enum:[<|"|>web<|"|>,<|"|>news<|"|>],type:<|"|>STRING<|"|>},' +
        `limit:{type:<|"|>['INTEGER', 'NULL']<|"|>},` +
        'Pages:{items:{minimum:1,type:<|"|>INTEGER<|"|>},type:<|"|>ARRAY<|"|>},' +
        'query:{description:<|"|>What to find<|"|>,type:<|"|>STRING<|"|>},' +
        'where:{properties:{lang:{type:<|"|>STRING<|"|>}},required:[<|"|>lang<|"|>],type:<|"|>OBJECT<|"|>}' +
        '},required:[<|"|>query<|"|>,<|"|>kind<|"|>,<|"|>Pages<|"|>,<|"|>where<|"|>,<|"|>limit<|"|>,<|"|>flag<|"|>],' +
        'type:<|"|>OBJECT<|"|>}}<tool|><turn|>\n' +
        '<|turn>user\nHi<turn|>\n<|turn>model\n',
    )
  })

  it('keeps the turn open behind calls and their replies, and opens thinking there', () => {
    const messages = [
      user('Weather?'),
      assistant('', {
        thinking: 'Ask both.',
        ...calls(['get_weather', { city: 'Paris' }], ['get_weather', { days: 2, city: 'Rom' }]),
      }),
      reply('sunny', { tool_call_id: 'call_0' }),
      reply('{"rain":1}', { tool_name: 'get_weather' }),
    ]
    const prompt =
      '<|turn>user\nWeather?<turn|>\n<|turn>model\n<|channel>thought\nAsk both.\n<channel|>' +
      '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>' +
      '<|tool_call>call:get_weather{city:<|"|>Rom<|"|>,days:2}<tool_call|>' +
      '<|tool_response>response:get_weather{value:<|"|>sunny<|"|>}<tool_response|>' +
      '<|tool_response>response:get_weather{value:<|"|>{"rain":1}<|"|>}<tool_response|>'
    expect(renderGemma4({ messages, tools: [] })).toBe(`<bos>${prompt}`)
    expect(renderGemma4({ messages, tools: [], think: true })).toBe(
      `<bos><|turn>system\n<|think|>\n<turn|>\n${prompt}<|channel>thought\n`,
    )
    expect(renderGemma4({ messages: messages.slice(0, 2), tools: [] })).toMatch(
      /days:2}<tool_call\|><\|tool_response>$/,
    )
  })

  it('goes on in the same turn with the answer to a reply, and drops thoughts before the last question', () => {
    const messages = [
      user('Weather?'),
      assistant('', { thinking: 'Old.', ...calls(['get_weather', { city: 'Paris' }]) }),
      reply('sunny'),
      assistant('<|channel>thought\nHm.<channel|> It is sunny. '),
      user('Thanks'),
    ]
    expect(renderGemma4({ messages, tools: [] })).toBe(
      '<bos><|turn>user\nWeather?<turn|>\n<|turn>model\n' +
        '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>' +
        '<|tool_response>response:unknown{value:<|"|>sunny<|"|>}<tool_response|>' +
        'It is sunny.<turn|>\n<|turn>user\nThanks<turn|>\n<|turn>model\n',
    )
  })
})

describe('createGemma4Parser', () => {
  const parse = (output: string, thinks = true, prompt = '<|turn>model\n') =>
    parseEveryWay(() => createGemma4Parser(prompt, thinks), output)

  it('gives text as it is', () => {
    expect(parse('2 < 3, a <|b| > c\n')).toEqual([{ text: '2 < 3, a <|b| > c\n' }])
  })

  it('tells thinking from the answer', () => {
    expect(parse('<|channel>thought\nLet me\nsee. <channel|>\n\nIt is 42.')).toEqual([
      { thought: 'Let me\nsee.' },
      { text: 'It is 42.' },
    ])
    expect(parse('<|channel>first<channel|><|channel>thought\nsecond<channel|>Done')).toEqual([
      { thought: 'firstsecond' },
      { text: 'Done' },
    ])
  })

  it('goes on thinking where the prompt has opened it', () => {
    expect(parse('They want it.<channel|>Here.', true, '<tool_response|><|channel>thought\n')).toEqual([
      { thought: 'They want it.' },
      { text: 'Here.' },
    ])
  })

  it('drops thoughts nobody asked for', () => {
    expect(parse('<|channel>thought\nHm<channel|>Yes', false)).toEqual([{ text: 'Yes' }])
  })

  it('shows a thought that does not end', () => {
    expect(parse('<|channel>thought\nHm <chan')).toEqual([{ thought: 'Hm <chan' }])
    expect(parse('<|channel>thou')).toEqual([{ thought: 'thou' }])
  })

  it.each([
    ['a string', 'city:<|"|>Paris<|"|>', { city: 'Paris' }],
    ['nothing', '', {}],
    ['numbers', 'a:42,b:-1.5e3', { a: 42, b: -1500 }],
    ['words', 'a:true,b:false,c:null', { a: true, b: false, c: null }],
    [
      'nested values',
      'a:{b:{c:[1,[2],{d:<|"|>e<|"|>}]}}, f : []',
      { a: { b: { c: [1, [2], { d: 'e' }] } }, f: [] },
    ],
    ['quotes, braces and unicode', 'a:<|"|>}{"x\\": \'⛅\'\n]<|"|>', { a: '}{"x\\": \'⛅\'\n]' }],
    ['JSON strings', 'a:"say \\"hi\\" {",b:<|"|>c "d"<|"|>', { a: 'say "hi" {', b: 'c "d"' }],
    ['markers within strings', 'a:<|"|><tool_call|> <|channel><|"|>', { a: '<tool_call|> <|channel>' }],
    ['quoted keys', '<|"|>a<|"|>:1,"b":2', { a: 1, b: 2 }],
    [
      'keys that are no names',
      'a-b:1,__proto__:2',
      Object.fromEntries([
        ['a-b', 1],
        ['__proto__', 2],
      ]),
    ],
    ['single quotes', "a:'it is',b:'x'<|\"|>", { a: 'it is', b: 'x' }],
    ['text without quotes', 'cmd:ls -la, really,n:1', { cmd: 'ls -la, really', n: 1 }],
    ['lists of text without quotes', 'a:[x y, z],b:[{c:d}]', { a: ['x y', 'z'], b: [{ c: 'd' }] }],
  ])('reads %s', (_, body, args) => {
    const call = `<|tool_call>call:f{${body}}<tool_call|>`
    expect(parse(call)).toEqual([{ call: 'f', args }])
  })

  it('reads calls in a row, behind thinking and text', () => {
    const paris = 'call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>'
    expect(
      parse(`<|channel>thought\nAsk<channel|>I ask. \n<|tool_call>${paris}<|tool_call>${paris}`),
    ).toEqual([
      { thought: 'Ask' },
      { text: 'I ask.' },
      { call: 'get_weather', args: { city: 'Paris' } },
      { call: 'get_weather', args: { city: 'Paris' } },
    ])
  })

  it('gives a call as soon as its brace closes', () => {
    const parser = createGemma4Parser('', true)
    expect(parser.push('<|tool_call>call:get_weather{city:<|"|>Paris<|"|>')).toEqual([])
    expect(parser.push('}')).toHaveLength(1)
  })

  it('needs no closing marker, and drops those that come twice', () => {
    expect(
      parse('<|tool_call>call:f{a:1}<|tool_call>call:g{}<tool_call|> <tool_call|><|tool_response>'),
    ).toEqual([
      { call: 'f', args: { a: 1 } },
      { call: 'g', args: {} },
    ])
    expect(parse('<|tool_call>call:f{a:1}<tool_call|><tool_call|>\nDone')).toEqual([
      { call: 'f', args: { a: 1 } },
      { text: 'Done' },
    ])
  })

  it('closes what the model left open', () => {
    expect(parse('<|tool_call>call:f{a:<|"|>x}<tool_call|>')).toEqual([{ call: 'f', args: { a: 'x' } }])
    expect(parse('<|tool_call>call:f{a:<|"|>x} y')).toEqual([{ call: 'f', args: { a: 'x} y' } }])
    expect(parse('<|tool_call>call:f{a:{b:1}<tool_call|>And')).toEqual([
      { call: 'f', args: { a: { b: 1 } } },
      { text: 'And' },
    ])
  })

  it('shows a call that cannot be read', () => {
    expect(parse('So <|tool_call>call f(1)<tool_call|> it is')).toEqual([
      { text: 'So <|tool_call>call f(1)<tool_call|> it is' },
    ])
    expect(parse('<|tool_call>call:f{:}')).toEqual([{ text: '<|tool_call>call:f{:}' }])
    expect(parse('<|tool_call>')).toEqual([{ text: '<|tool_call>' }])
  })
})
