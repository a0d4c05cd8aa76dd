import fc from 'fast-check'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import { beforeAll, describe, expect, it } from 'vitest'
import { cases } from '../../test/support/cases.ts'
import { schemaToGrammar } from './embedded/schema-grammar.ts'
import { parseGrammar, printGrammar } from './gbnf.ts'
import { jsonObjectGrammar } from './json-grammar.ts'
import { residualGrammar } from './residual-grammar.ts'

/** llama.cpp's own check of a text against a grammar; the library keeps it out of its types. */
interface Checkable {
  _testText(text: string): boolean
}

let compile: (grammar: string) => Promise<Checkable>

beforeAll(async () => {
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: false,
    maxThreads: 1,
    logLevel: LlamaLogLevel.disabled,
  })
  compile = async (grammar) => (await llama.createGrammar({ grammar })) as unknown as Checkable
})

/** Parts of rules; the rule they may call begins with a letter, so that none begins with itself. */
const { part } = fc.letrec<{ part: string; atom: string }>((tie) => ({
  atom: fc.oneof(
    { maxDepth: 2, depthSize: 'xsmall' },
    fc.constantFrom('"a"', '"b"', '"ab"', '[ab]', '[^a]', '.', '"é"', 'late', '[a-]'),
    fc.array(tie('part'), { minLength: 1, maxLength: 2 }).map((parts) => `(${parts.join('|')})`),
  ),
  part: fc
    .array(fc.tuple(tie('atom'), fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,3}', '{2,}')), {
      minLength: 1,
      maxLength: 2,
    })
    .map((atoms) => atoms.map((atom) => atom.join('')).join(' ')),
}))
const smallGrammar = fc
  .tuple(part, part)
  .map(([first, later]) => `root ::= ${first} | "b" root\nlate ::= "b" ( ${later} )? # ends\n`)

/** All texts of so many letters at most. */
const textsUpTo = (length: number): string[] =>
  length === 0
    ? ['']
    : ['', ...['a', 'b', 'é'].flatMap((letter) => textsUpTo(length - 1).map((text) => letter + text))]
const short = textsUpTo(4)

describe('a grammar that is read and printed', () => {
  it('takes the same texts as before', async () => {
    await fc.assert(
      fc.asyncProperty(smallGrammar, async (grammar) => {
        const before = await compile(grammar)
        const after = await compile(printGrammar(parseGrammar(grammar), (name) => name))
        expect(short.filter((text) => after._testText(text))).toEqual(
          short.filter((text) => before._testText(text)),
        )
      }),
      { numRuns: cases(60) },
    )
  })

  it.each([
    ['', 'the rule "root" is missing'],
    ['root ::= other', 'the rule "other" is missing'],
    ['root ::= "a', 'more text is expected'],
    ['root ::= ( "a"', '")" is expected'],
    ['root : "a"', '"::=" is expected'],
    ['root ::= "\\q"', 'an escape is expected'],
    ['root ::= <[3]>', 'elements that name tokens'],
    ['root ::= "a"{2001}', '2001 repetitions'],
  ])('that is %j is refused', (grammar, reason) => {
    expect(() => parseGrammar(grammar)).toThrow(reason)
  })
})

describe('what a grammar leaves after a text', () => {
  it('is what completes that text, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(smallGrammar, async (grammar) => {
        const whole = await compile(grammar)
        for (const begun of ['', 'a', 'b', 'ab', 'bb', 'bab', 'aé']) {
          const wanted = short.filter((text) => whole._testText(begun + text))
          let residual: string
          try {
            residual = residualGrammar(grammar, begun)
          } catch {
            expect(wanted).toEqual([])
            continue
          }
          const left = await compile(residual)
          expect(short.filter((text) => left._testText(text))).toEqual(wanted)
        }
      }),
      { numRuns: cases(60) },
    )
  })

  it('of JSON is the rest of any JSON, cut anywhere, and nothing that breaks it', async () => {
    const json = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 })
    const whole = await compile(jsonObjectGrammar)
    await fc.assert(
      fc.asyncProperty(json, fc.nat(), fc.nat(), async (value, cut, wound) => {
        const characters = [...JSON.stringify(value)]
        fc.pre(whole._testText(characters.join('')))
        const at = cut % (characters.length + 1)
        const rest = characters.slice(at)
        const left = await compile(residualGrammar(jsonObjectGrammar, characters.slice(0, at).join('')))
        expect(left._testText(rest.join(''))).toBe(true)
        const wounded = rest.toSpliced(wound % (rest.length + 1), 1, '}')
        expect(left._testText(wounded.join(''))).toBe(
          whole._testText([...characters.slice(0, at), ...wounded].join('')),
        )
      }),
      { numRuns: cases(60) },
    )
  })

  it('counts on where it had begun to count', async () => {
    const grammar = schemaToGrammar({
      type: 'array',
      items: { type: 'string', minLength: 3, maxLength: 4 },
      maxItems: 2,
    })
    const left = await compile(residualGrammar(grammar, '["日本語","ab'))
    expect(['c"]', 'cd"]'].map((text) => left._testText(text))).toEqual([true, true])
    expect(['"]', 'cde"]', 'c","x'].map((text) => left._testText(text))).toEqual([false, false, false])
  })

  it('can itself be continued', async () => {
    const once = residualGrammar(jsonObjectGrammar, '{"a":')
    const left = await compile(residualGrammar(once, '[1'))
    expect([left._testText(',2]}'), left._testText('}')]).toEqual([true, false])
  })

  it('of a long text is found fast', () => {
    const long = JSON.stringify({
      text: 'x'.repeat(20_000),
      list: Array.from({ length: 2_000 }, (_, n) => n),
    })
    const startedMs = performance.now()
    residualGrammar(jsonObjectGrammar, long.slice(0, -1))
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })

  it('does not exist where no text begins so, or where rules never come to a character', () => {
    expect(() => residualGrammar(jsonObjectGrammar, '["a"')).toThrow('no text of it begins with')
    expect(() => residualGrammar('root ::= root "a" | "b"', 'b')).toThrow('begins with itself')
  })
})
