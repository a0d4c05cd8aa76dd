import { describe, expect, it } from 'vitest'
import { tool } from './split.fixture.ts'
import { readArgumentTags, readFunctionTags, readInvokeTags, typedValue } from './tagged-calls.ts'

const tools = [tool('f', { text: { type: 'string' }, count: { type: 'integer' }, list: { type: 'array' } })]

describe('typedValue', () => {
  it.each([
    ['42', 'integer', 42],
    ['4.5', 'integer', '4.5'],
    [' -4.5e2 ', 'number', -450],
    ['1.', 'number', 1],
    ['0x10', 'number', '0x10'],
    ['True', 'boolean', true],
    ['yes', 'boolean', 'yes'],
    ['42', 'string', '42'],
    [' a ', 'string', ' a '],
    ['NULL', 'string', null],
    ['[1, "a"]', 'array', [1, 'a']],
    ['[1', 'array', '[1'],
    ['{"a": {}}', 'object', { a: {} }],
    ['{a}', 'object', '{a}'],
    ['7', ['string', 'integer'], 7],
    ['seven', ['string', 'integer'], 'seven'],
  ])('reads %j of type %j', (text, type, value) => {
    expect(typedValue(text, { type })).toEqual(value)
  })

  it('takes the types of a union, and text where there is no schema', () => {
    expect(typedValue('false', { anyOf: [{ type: 'boolean' }, { type: 'null' }] })).toBe(false)
    expect(typedValue('1', undefined)).toBe('1')
    expect(typedValue('1', {})).toBe('1')
  })
})

describe('readFunctionTags', () => {
  it('reads parameters as they stand', () => {
    const body =
      '\n<function=f>\n<parameter=text>\n a <b> "c" }\n\n</parameter>\n<parameter=count>\n3\n</parameter>\n' +
      '<parameter=list>["x", 1]</parameter>\n<parameter=more>3</parameter></function>\n'
    expect(readFunctionTags(body, tools)).toEqual([
      { name: 'f', args: { text: ' a <b> "c" }\n', count: 3, list: ['x', 1], more: '3' } },
    ])
  })

  it('reads what is not closed, several functions, and JSON', () => {
    expect(readFunctionTags('<function=f><parameter=text>a<parameter=count>2</function>', tools)).toEqual([
      { name: 'f', args: { text: 'a', count: 2 } },
    ])
    expect(readFunctionTags('<function=f></function><function=g><parameter=a>1', tools)).toEqual([
      { name: 'f', args: {} },
      { name: 'g', args: { a: '1' } },
    ])
    expect(readFunctionTags(' {"name": "f", "arguments": {"count": 1}} ', tools)).toEqual([
      { name: 'f', args: { count: 1 } },
    ])
    expect(readFunctionTags('f()', tools)).toBeUndefined()
  })
})

describe('readArgumentTags', () => {
  it('reads pairs as they stand', () => {
    expect(
      readArgumentTags(
        'f\n<arg_key>text</arg_key>\n<arg_value>\n<a & b>\n</arg_value>\n<arg_key> count </arg_key><arg_value>2</arg_value>',
        tools,
      ),
    ).toEqual([{ name: 'f', args: { text: '<a & b>', count: 2 } }])
    expect(readArgumentTags('f', tools)).toEqual([{ name: 'f', args: {} }])
    expect(readArgumentTags('f<arg_key>text</arg_key><arg_value>cut', tools)).toEqual([
      { name: 'f', args: { text: 'cut' } },
    ])
  })

  it('reads JSON, with the name before it or in it', () => {
    expect(readArgumentTags('f {"count": 1}', tools)).toEqual([{ name: 'f', args: { count: 1 } }])
    expect(readArgumentTags('{"name": "f", "arguments": {}}', tools)).toEqual([{ name: 'f', args: {} }])
  })

  it.each(['', '<arg_key>a</arg_key>', 'two words', 'f {"count"', '{}', '{"name": 1}'])(
    'knows that %j is no call',
    (body) => {
      expect(readArgumentTags(body, tools)).toBeUndefined()
    },
  )
})

describe('readInvokeTags', () => {
  it('reads parameters with their white space', () => {
    expect(
      readInvokeTags(
        '\n<atem:invoke name="f">\n<atem:parameter name="text"> a\n</atem:parameter>\n' +
          '<atem:parameter name="list">[1]</atem:parameter>\n</atem:invoke>\n<atem:invoke name="g">',
        tools,
      ),
    ).toEqual([
      { name: 'f', args: { text: ' a\n', list: [1] } },
      { name: 'g', args: {} },
    ])
    expect(readInvokeTags('f', tools)).toBeUndefined()
  })
})
