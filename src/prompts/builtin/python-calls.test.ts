import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../../../test/support/cases.ts'
import { beginsPythonCall, readPythonCalls, untilPythonEnd } from './python-calls.ts'

describe('readPythonCalls', () => {
  it.each([
    ['f()', [{ name: 'f', args: {} }]],
    [
      '[f(a=1), g.h(b="x")]',
      [
        { name: 'f', args: { a: 1 } },
        { name: 'g.h', args: { b: 'x' } },
      ],
    ],
    [
      'f(a=1)\nf(a=2)',
      [
        { name: 'f', args: { a: 1 } },
        { name: 'f', args: { a: 2 } },
      ],
    ],
    [
      '[ f ( a = True , b=false, c=None, d=null ) , ]',
      [{ name: 'f', args: { a: true, b: false, c: null, d: null } }],
    ],
    ['f(a=-1.5e3, b=.5, c=+2, d=1.)', [{ name: 'f', args: { a: -1500, b: 0.5, c: 2, d: 1 } }]],
    [
      String.raw`f(a='it\'s', b="say \"{⛅}\" ,)", c="\n\t\u00e9\x41\\d\d")`,
      [{ name: 'f', args: { a: "it's", b: 'say "{⛅}" ,)', c: '\n\té' + 'A\\d\\d' } }],
    ],
    ['f(a="""x "y" z""")', [{ name: 'f', args: { a: 'x "y" z' } }]],
    [
      `f(a=[1, ['b', {}], ("c", 2)], d={'k': {"l": [None,]}, m: 3})`,
      [{ name: 'f', args: { a: [1, ['b', {}], ['c', 2]], d: { k: { l: [null] }, m: 3 } } }],
    ],
    ['f(a=plain text, b=Paris)', [{ name: 'f', args: { a: 'plain text', b: 'Paris' } }]],
    ['', undefined],
    ['[]', undefined],
    ['f', undefined],
    ['f(1)', undefined],
    ['f(a=)', undefined],
    ['f(a="x)', undefined],
    ['f(a=1', undefined],
    ['f(a=1) and so on', undefined],
    [`f(a=${'['.repeat(100_000)})`, undefined],
  ])('reads %s', (text, calls) => {
    expect(readPythonCalls(text)).toEqual(calls)
  })

  it('knows how a call of a known function begins', () => {
    const names = new Set(['get', 'get_all'])
    for (const text of ['', ' [', '[ge', 'get', 'get_al'])
      expect(beginsPythonCall(text, names)).toBeUndefined()
    for (const text of ['get(', '[ get_all(a=1)']) expect(beginsPythonCall(text, names)).toBe(true)
    for (const text of ['gets', '[1', 'get (', '(get(']) expect(beginsPythonCall(text, names)).toBe(false)
    expect(beginsPythonCall('', new Set())).toBe(false)
  })

  it('reads every value that JSON can write', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z_]\w{0,5}$/), fc.jsonValue({ maxDepth: 4 })),
        (args) => {
          const text = `f(${Object.entries(args)
            .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
            .join(', ')})`
          expect(JSON.stringify(readPythonCalls(text))).toBe(JSON.stringify([{ name: 'f', args }]))
          expect(untilPythonEnd()(`${text} rest`)).toEqual({ body: text.length, rest: text.length })
        },
      ),
      { numRuns: cases(500) },
    )
  })
})
