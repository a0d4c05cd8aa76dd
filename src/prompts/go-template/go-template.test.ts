import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../../../test/support/cases.ts'
import {
  execute,
  type GoType,
  type GoValue,
  goType,
  ollamaFunctions,
  parseTemplate,
  TemplateError,
} from './index.ts'
import { quote, unquote } from './literals.ts'

const functions = ollamaFunctions(() => new Date(2026, 2, 1))

function render(source: string, data: GoValue = {}): string {
  return execute(parseTemplate(source, functions), data, functions)
}

interface Expectation {
  template: string
  output: string
  error?: string
}

/** What Go itself said; `testdata/expect.go.txt` writes it. */
function readTestdata(name: string) {
  return JSON.parse(readFileSync(new URL(`testdata/${name}.json`, import.meta.url), 'utf8'))
}

describe("a template gives what Go's text/template gives", () => {
  const { data, templates } = readTestdata('templates')
  const expectations: Expectation[] = readTestdata('expected')

  it('for every template there is an expectation', () => {
    expect(expectations.map(({ template }) => template)).toEqual(templates)
  })

  it.each(expectations)('$template', ({ template, output, error }) => {
    if (error === undefined) expect(render(template, data)).toBe(output)
    else expect(() => render(template, data)).toThrow(new TemplateError(error))
  })
})

describe('values beyond JSON', () => {
  const point: GoType = {
    name: 'main.Point',
    fields: [
      { name: 'X', json: 'x' },
      { name: 'Label', json: 'label', omit: 'zero' },
    ],
  }
  const data = {
    point: { X: 1n, Label: '', [goType]: point },
    words: Object.assign(['a', 'b'], { [goType]: { name: 'main.Words', print: () => 'WORDS' } }),
    nan: Number.NaN,
    infinite: Number.POSITIVE_INFINITY,
    negative: Number.NEGATIVE_INFINITY,
    minusZero: -0,
  }

  it.each([
    ['{{ .point }}', '{1 }'],
    ['{{ json .point }}', '{"x":1}'],
    ['{{ if .point }}struct{{ end }}', 'struct'],
    ['{{ .words }} {{ json .words }} {{ len .words }}', 'WORDS ["a","b"] 2'],
    ['{{ printf "%s %T %T" .words .words .point }}', 'WORDS main.Words main.Point'],
    ['{{ .nan }} {{ .infinite }} {{ .negative }} {{ .minusZero }}', 'NaN +Inf -Inf -0'],
    ['{{ printf "%.1f %e" .nan .infinite }}', 'NaN +Inf'],
    ['{{ toTypeScriptType .words }}', 'any'],
    ['{{ yesterdayDate }}', '2026-02-28'],
  ])('%s', (source, output) => {
    expect(render(source, data)).toBe(output)
  })

  it.each([
    ['{{ .point.Y }}', "can't evaluate field Y in type interface {}"],
    ['{{ .point.X.Z }}', "can't evaluate field Z in type int"],
    ['{{ .point.X 1 }}', 'X has arguments but cannot be invoked as function'],
    ['{{ range .point }}{{ end }}', "range can't iterate over {1 }"],
    ['{{ len .point }}', 'error calling len: len of type main.Point'],
    ['{{ index .point "X" }}', "error calling index: can't index item of type main.Point"],
    ['{{ call .words }}', 'error calling call: non-function of type main.Words'],
    ['{{ 1i }}', 'template: :1: complex numbers are not supported: "1i"'],
  ])('%s is refused', (source, complaint) => {
    expect(() => render(source, data)).toThrow(complaint)
  })

  it('half a surrogate pair is written as the replacement character', () => {
    expect(render('{{ json .s }} {{ printf "%q" .s }}', { s: 'a\ud800' })).toBe('"a\\ufffd" "a\ufffd"')
  })

  it('keys of maps and strings are ordered by their UTF-8 bytes', () => {
    const map = { '\ufffd': 1, '😀': 2, é: 3, z: 4, zz: 5 }
    expect(render('{{ range $k, $v := . }}{{ $k }}{{ $v }} {{ end }}', map)).toBe('z4 zz5 é3 \ufffd1 😀2 ')
  })

  it('properties that every JavaScript object has are not keys', () => {
    expect(render('{{ .constructor }} {{ .toString }} {{ index . "valueOf" }}')).toBe(
      '<no value> <no value> <no value>',
    )
  })
})

describe('a template cannot stop the process', () => {
  it.each([
    ['{{ range 1000000000000 }}{{ end }}', 'exceeded 2000000 steps'],
    [
      '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
      'exceeded maximum template depth (200)',
    ],
    ['{{ range 4000000 }}{{ printf "%99999s" "x" }}{{ end }}', 'output exceeds 67108864 characters'],
    ['{{ printf "%9999999d" 1 }}', undefined],
    ['{{ if 1 }}'.repeat(20_000), 'max expression depth exceeded'],
    [`{{ ${'('.repeat(20_000)} }}`, 'max expression depth exceeded'],
    [`{{ if 1 }}${'{{ else if 1 }}'.repeat(20_000)}{{ end }}`, 'max expression depth exceeded'],
  ])('%.60s', (source, complaint) => {
    if (complaint === undefined) expect(render(source)).toBe('%!(BADWIDTH)')
    else expect(() => render(source)).toThrow(complaint)
  })

  it('data nested without end is refused', () => {
    let deep: GoValue = []
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(() => render('{{ .deep }}', { deep })).toThrow(TemplateError)
  })

  it.each([
    ['text', 'x\n'.repeat(500_000)],
    ['actions', '{{ .a }}\n'.repeat(110_000)],
    ['actions on one line', '{{ .a }}'.repeat(125_000)],
    ['spaces before a trim', `${' '.repeat(1_000_000)}{{- .a }}`],
    ['braces', '{ {'.repeat(330_000)],
    ['comments', '{{/* c */}}'.repeat(90_000)],
    ['a long string', `{{ "${'\\n'.repeat(500_000)}" }}`],
    ['a long number', `{{ ${'9'.repeat(10_000)}x }}`],
    ['a long name', `{{ .${'a'.repeat(1_000_000)} }}`],
    ['a long action', `{{ print ${'1 '.repeat(300_000)} }}`],
    ['unclosed actions', '{{ "a" '.repeat(100_000)],
  ])('a megabyte of %s is read in linear time', (_, source) => {
    const startMs = performance.now()
    try {
      render(source)
    } catch (error) {
      expect(error).toBeInstanceOf(TemplateError)
    }
    // Half a second on a quiet machine; quadratic time would be minutes.
    expect(performance.now() - startMs).toBeLessThan(20_000)
  })
})

const data = { a: 'A', list: ['x', 'y'], map: { k: 1 }, t: true }

/** Template texts with their output, grown together. */
const { node } = fc.letrec<{ node: [string, string]; list: [string, string] }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.stringMatching(/^[a-z \n.]*$/).map((text): [string, string] => [text, text]),
    fc.string().map((text): [string, string] => [`{{ ${quote(text)} }}`, text]),
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((value): [string, string] => [`{{ ${value} }}`, `${value}`]),
    fc.constant<[string, string]>(['{{ .a }}', 'A']),
    tie('list').map(([source, output]): [string, string] => [
      `{{ if $.t }}${source}{{ else }}no{{ end }}`,
      output,
    ]),
    tie('list').map(([source, output]): [string, string] => [
      `{{ if not $.t }}no{{ else if eq 1 1 }}${source}{{ end }}`,
      output,
    ]),
    tie('list').map(([source, output]): [string, string] => [
      `{{ range $.list }}{{ with $ }}${source}{{ end }}{{ end }}`,
      output + output,
    ]),
    tie('list').map(([source, output]): [string, string] => [
      `{{ $v := 1 }}{{ range $i, $v := $.list }}{{ with $ }}${source}{{ end }}{{ break }}{{ end }}`,
      output,
    ]),
  ),
  list: fc
    .array(tie('node'), { maxLength: 4 })
    .map((nodes): [string, string] => [nodes.map(([s]) => s).join(''), nodes.map(([, o]) => o).join('')]),
}))

describe('properties', () => {
  it('a composed template gives the composed output', () => {
    fc.assert(
      fc.property(node, ([source, output]) => {
        expect(render(source, data)).toBe(output)
      }),
      { numRuns: cases(500) },
    )
  })

  it('a string survives being quoted and read back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(unquote(quote(text))).toBe(text)
      }),
    )
  })

  it('text without braces is its own output', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes('{{'))
        expect(render(text)).toBe(text)
      }),
    )
  })

  it('trim markers take all white space towards them, and nothing else', () => {
    const padded = fc.stringMatching(/^[ \t\r\n]*[a-z]?[ \t\r\n]*$/)
    fc.assert(
      fc.property(padded, padded, (before, after) => {
        expect(render(`${before}{{- "|" -}}${after}`)).toBe(
          `${before.replace(/[ \t\r\n]+$/, '')}|${after.replace(/^[ \t\r\n]+/, '')}`,
        )
        expect(render(`${before}{{ "|" }}${after}`)).toBe(`${before}|${after}`)
      }),
    )
  })

  const fragments = fc.constantFrom(
    ...'{{ }} {{- -}} if else end range with define template block break continue nil true . $ $x := = | ( ) , .a .list .map'
      .split(' ')
      .concat([
        '"s"',
        "'c'",
        '`r`',
        '1',
        '0x',
        '1.5e',
        ' ',
        '\n',
        'eq',
        'len',
        'index',
        'slice',
        'printf',
        'and',
        '/*',
        '*/',
      ]),
  )
  it('any source is either rendered or refused with a template error', () => {
    const sources = fc.oneof(
      fc.string(),
      fc.string().map((text) => `{{ ${text} }}`),
      fc.array(fragments).map((parts) => parts.join(' ')),
      fc.array(fragments).map((parts) => `{{ ${parts.join(' ')} }}`),
    )
    fc.assert(
      fc.property(sources, (source) => {
        try {
          expect(typeof render(source, data)).toBe('string')
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError)
        }
      }),
      { numRuns: cases(5000) },
    )
  })
})
