import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../../../test/support/cases.ts'
import type { OutputParser } from '../contract.ts'
import { coherePreservedTokens, createCohereParser } from './cohere.ts'
import { createDeepseek3Parser, deepseek3PreservedTokens } from './deepseek3.ts'
import { createFunctionGemmaParser, functionGemmaPreservedTokens } from './functiongemma.ts'
import { createGemma4Parser, gemma4PreservedTokens } from './gemma4.ts'
import { createGlimmerParser, glimmerPreservedTokens } from './glimmer.ts'
import { createGlmOcrParser, glmOcrPreservedTokens } from './glm-ocr.ts'
import { createGlm4Parser, glm4PreservedTokens } from './glm4.ts'
import { createHarmonyParser, harmonyPreservedTokens } from './harmony.ts'
import { createLagunaParser, lagunaPreservedTokens } from './laguna.ts'
import { createLfm2Parser, lfm2PreservedTokens } from './lfm2.ts'
import { createLlama3Parser, llama3PreservedTokens } from './llama3.ts'
import { createMinistralParser, ministralPreservedTokens } from './ministral.ts'
import { createNemotronParser, nemotronPreservedTokens } from './nemotron.ts'
import { createOlmo3Parser, createOlmo3ThinkParser } from './olmo3.ts'
import { createQwen3Parser, qwen3PreservedTokens } from './qwen3.ts'
import { createQwen3CoderParser } from './qwen3-coder.ts'
import { createSectionParser, untilJsonEnd, untilMarker } from './sections.ts'
import { parseParts, tool } from './split.fixture.ts'

const tools = [tool('f', { a: { type: 'integer' }, b: { type: 'string' } })]
const jsonCall = '{"name": "f", "parameters": {"a": 1, "b": "x\\""}}'

/** Each parser, the markers it knows, and pieces of calls in its notation. */
const parsers: [name: string, create: () => OutputParser, pieces: readonly string[]][] = [
  [
    'gemma4',
    () => createGemma4Parser('', true),
    [...gemma4PreservedTokens, 'thought\n', 'call:f{', 'a:1,', '}'],
  ],
  ['functiongemma', createFunctionGemmaParser, [...functionGemmaPreservedTokens, 'call:f{', 'a:1,', '}']],
  [
    'ministral',
    () => createMinistralParser(''),
    [...ministralPreservedTokens, 'f', '{"a": "', '"}', '[{', '}]'],
  ],
  ['cohere', () => createCohereParser('<|START_THINKING|>'), [...coherePreservedTokens, jsonCall, '[', '{']],
  ['olmo3', createOlmo3Parser, ['<function_calls>', '</function_calls>', 'f(a=1)', 'f(', '"', ')', '\n']],
  ['olmo3-think', () => createOlmo3ThinkParser('<think>'), ['<think>', '</think>']],
  [
    'lfm2',
    () => createLfm2Parser(tools, true),
    [...lfm2PreservedTokens, '<think>', '</think>', '[f(', 'a=1', ')]'],
  ],
  [
    'nemotron',
    () => createNemotronParser('<think>\n', tools),
    [...nemotronPreservedTokens, '<function=f>', '<parameter=a>', '1', '</parameter>', '</function>'],
  ],
  [
    'glm-ocr',
    () => createGlmOcrParser(tools),
    [...glmOcrPreservedTokens, 'f', '<arg_key>a</arg_key>', '<arg_value>'],
  ],
  [
    'laguna',
    () => createLagunaParser('</think>', tools, true),
    [...lagunaPreservedTokens, 'f', 'a', jsonCall],
  ],
  [
    'glimmer',
    () => createGlimmerParser(tools, true),
    [
      ...glimmerPreservedTokens,
      'assistant',
      ' to=self',
      ' to=f',
      '<atem:function_calls>',
      '<atem:invoke name="f">',
      '</atem:function_calls>',
    ],
  ],
  [
    'qwen3',
    () => createQwen3Parser('', true),
    [...qwen3PreservedTokens, '{"name": "f", ', '"arguments": {"a": 1}}'],
  ],
  [
    'qwen3-coder',
    () => createQwen3CoderParser(tools),
    [...qwen3PreservedTokens, '<function=f>', '<parameter=a>', '1', '</parameter>', '</function>'],
  ],
  [
    'deepseek3',
    () => createDeepseek3Parser('<think>', true),
    [...deepseek3PreservedTokens, 'f', '{"a": 1}', '```json\n', '\n```'],
  ],
  [
    'glm-4.7',
    () => createGlm4Parser('<think>', tools),
    [...glm4PreservedTokens, 'f', '<arg_key>a</arg_key>', '<arg_value>'],
  ],
  [
    'llama3',
    () => createLlama3Parser(tools),
    [...llama3PreservedTokens, jsonCall, '{', '[f(a=1)]', '<function=f>', ';'],
  ],
]

const common = [
  ' ',
  '\n',
  'a',
  'é',
  '⛅',
  '"',
  "'",
  '{',
  '}',
  '[',
  ']',
  '<',
  '<|',
  '|>',
  ':',
  '(',
  ')',
  '\\',
  ',',
  '=',
]

/** An output made of a family's markers, whole and in part, and where to cut it. */
function outputs(pieces: readonly string[]) {
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...pieces) },
    { weight: 2, arbitrary: fc.constantFrom(...common) },
    fc.tuple(fc.constantFrom(...pieces), fc.nat(12)).map(([marker, length]) => marker.slice(0, length)),
    fc.string({ unit: 'binary', maxLength: 4 }),
  )
  return fc.tuple(fc.array(piece, { maxLength: 16 }), fc.array(fc.nat(80), { maxLength: 8 }))
}

function cut(output: string, at: readonly number[]): string[] {
  const places = [...new Set([0, ...at.map((place) => Math.min(place, output.length)), output.length])]
  places.sort((a, b) => a - b)
  return places.slice(1).map((place, index) => output.slice(places[index], place))
}

it('the parser of harmony gives the same however its output is cut', () => {
  const pieces = [...harmonyPreservedTokens, 'assistant', 'analysis', 'final', ' to=functions.f', '{"a":1}']
  const create = () => createHarmonyParser('<|start|>assistant', tools)
  fc.assert(
    fc.property(outputs(pieces), ([written, at]) => {
      const output = written.join('')
      expect(parseParts(create(), cut(output, at))).toEqual(parseParts(create(), [output]))
    }),
    { numRuns: cases(2000) },
  )
})

describe.each(parsers)('the parser of %s', (_, create, pieces) => {
  it('gives the same however its output is cut, and loses no text between markers', () => {
    fc.assert(
      fc.property(outputs(pieces), ([written, at]) => {
        const output = written.join('')
        const whole = parseParts(create(), [output])
        expect(parseParts(create(), cut(output, at))).toEqual(whole)
        // What stands between calls within one block is no text.
        if (whole.some((seen) => 'call' in seen)) return
        const shown = JSON.stringify(whole)
        for (const char of output.replace(/\s|[^⛅é]/g, '')) expect(shown).toContain(char)
      }),
      { numRuns: cases(2000) },
    )
  })

  it('shows plain text at once', () => {
    const parser = create()
    const words = 'Plain words, 1 < 2 and more. '
    parser.push('</think>')
    let shown = 0
    for (const char of words.repeat(20)) shown += parser.push(char).length
    expect(shown).toBeGreaterThan(words.length * 10)
  })

  it('reads a long output in a time that grows with it', () => {
    const body = 'x "quoted" text, {braces} and\nlines '.repeat(3000)
    const output = [pieces[0] ?? '', ...(body.match(/.{1,5}/gs) ?? []), pieces[1] ?? '']
    const startedAtMs = performance.now()
    parseParts(create(), output)
    parseParts(create(), [output.join('')])
    expect(performance.now() - startedAtMs).toBeLessThan(5000)
  })
})

describe('createSectionParser', () => {
  const create = () =>
    createSectionParser(
      {
        text: {
          as: 'token',
          trim: 'both',
          leading: ['--'],
          markers: [
            ['<a>', 'none'],
            ['<b>', 'calls'],
          ],
        },
        none: { as: 'none', markers: [['</a>', 'text']] },
        calls: {
          as: 'calls',
          search: untilMarker('</b>'),
          read: (body) => (body === 'f' ? [{ name: 'f', args: {} }] : undefined),
          next: 'text',
          unread: 'text',
        },
      },
      'text',
    )

  it('holds back no more than may be markup', () => {
    const parser = create()
    expect(parser.push(' -')).toEqual([])
    expect(parser.push('- \n-a <')).toEqual([{ type: 'token', text: '-a' }])
    expect(parser.push('c ')).toEqual([{ type: 'token', text: ' <c' }])
    expect(parser.end()).toEqual([{ type: 'token', text: ' ' }])
  })

  it('drops what no section shows', () => {
    expect(parseParts(create(), ['x <a>y</', 'a>z'])).toEqual([{ text: 'xz' }])
  })

  it('shows a block that cannot be read as it was, white space included', () => {
    expect(parseParts(create(), ['x \n<b>', 'g</b>'])).toEqual([{ text: 'x \n<b>g</b>' }])
    expect(parseParts(create(), ['x \n<b>f', '</b>'])).toEqual([{ text: 'x' }, { call: 'f', args: {} }])
  })
})

describe('untilJsonEnd', () => {
  it('finds the end of every object and array, and of nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.object(), fc.array(fc.jsonValue())), fc.string(), (value, rest) => {
        const json = JSON.stringify(value)
        expect(untilJsonEnd()(` ${json}${rest}`)).toEqual({ body: json.length + 1, rest: json.length + 1 })
        expect(untilJsonEnd()(json.slice(0, -1))).toBeUndefined()
      }),
    )
    expect(untilJsonEnd()('x{}')).toEqual({ body: 0, rest: 0 })
    expect(untilJsonEnd()('}')).toEqual({ body: 0, rest: 0 })
  })
})
