import { describe, expect, it } from 'vitest'
import { createFunctionGemmaParser, renderFunctionGemma } from './functiongemma.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('get_weather', {
  city: { type: 'string', description: 'The city' },
  Days: { type: 'integer' },
})
const declaration =
  '<start_function_declaration>declaration:get_weather{description:<escape>Runs get_weather<escape>,parameters:' +
  '{properties:{city:{description:<escape>The city<escape>,type:<escape>STRING<escape>},' +
  'Days:{description:<escape><escape>,type:<escape>INTEGER<escape>}},' +
  'required:[<escape>city<escape>,<escape>Days<escape>],type:<escape>OBJECT<escape>}}<end_function_declaration>'

describe('renderFunctionGemma', () => {
  it('offers tools in the turn of the developer', () => {
    const rest = `${declaration}<end_of_turn>\n<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n`
    const instructions = 'You can do function calling with the following functions:'
    expect(renderFunctionGemma({ messages: [user(' Hi')], tools: [weather] })).toBe(
      `<start_of_turn>developer\n${instructions}${rest}`,
    )
    expect(renderFunctionGemma({ messages: [system('Be brief. '), user('Hi')], tools: [weather] })).toBe(
      `<start_of_turn>developer\nBe brief.\n${instructions}${rest}`,
    )
    expect(renderFunctionGemma({ messages: [system(instructions), user('Hi')], tools: [weather] })).toBe(
      `<start_of_turn>developer\n${instructions}\n${rest}`,
    )
    expect(renderFunctionGemma({ messages: [user('Hi'), assistant('Hello.'), user('Bye')], tools: [] })).toBe(
      '<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n' +
        '<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n',
    )
  })

  it('keeps the turn open behind calls and their replies', () => {
    const messages = [
      user('Q'),
      assistant('', calls(['get_weather', { days: 2, city: 'Köln' }], ['f', { a: [true, { b: 'c' }] }])),
      reply('sunny'),
      reply('{"x":1}'),
    ]
    const prompt =
      '<start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\n' +
      '<start_function_call>call:get_weather{city:<escape>Köln<escape>,days:2}<end_function_call>' +
      '<start_function_call>call:f{a:[true,{b:<escape>c<escape>}]}<end_function_call>' +
      '<start_function_response>response:get_weather{<escape>sunny<escape>}<end_function_response>' +
      '<start_function_response>response:f{<escape>{"x":1}<escape>}<end_function_response>'
    expect(renderFunctionGemma({ messages, tools: [] })).toBe(prompt)
    expect(renderFunctionGemma({ messages: [...messages, assistant('Sun.')], tools: [] })).toBe(
      `${prompt}Sun.<end_of_turn>\n<start_of_turn>model\n`,
    )
  })
})

describe('createFunctionGemmaParser', () => {
  const parse = (output: string) => parseEveryWay(createFunctionGemmaParser, output)

  it('reads calls between text', () => {
    expect(
      parse(
        'I <ask>. <start_function_call>call:get_weather{city:<escape>Pa}"{ris<escape>,days:2}<end_function_call>' +
          '<start_function_call>call:f{a:[{b:<escape>⛅<escape>},true]}<end_function_call> Done',
      ),
    ).toEqual([
      { text: 'I <ask>. ' },
      { call: 'get_weather', args: { city: 'Pa}"{ris', days: 2 } },
      { call: 'f', args: { a: [{ b: '⛅' }, true] } },
      { text: ' Done' },
    ])
  })

  it('reads strings that are not marked, and calls that are not closed', () => {
    expect(parse('<start_function_call>call:f{a:Paris, France,b:x y}')).toEqual([
      { call: 'f', args: { a: 'Paris, France', b: 'x y' } },
    ])
  })

  it.each(['<start_function_call>f{}<end_function_call> ', '<start_function_call>call:f', 'a <start_func'])(
    'shows what is no call: %s',
    (output) => {
      expect(parse(output)).toEqual([{ text: output }])
    },
  )
})
