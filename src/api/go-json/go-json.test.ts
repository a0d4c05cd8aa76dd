import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { chatRequest, embedRequest, generateRequest, showRequest } from '../ollama/requests.ts'
import { chatCompletionRequest, completionRequest } from '../openai/requests.ts'
import { toModelOptions } from '../options.ts'
import { decodeBase64 } from './base64.ts'
import { decodeJson } from './decode.ts'
import { parseGoDuration } from './duration.ts'
import { jsonFloat32Array, jsonString, rfc3339NanoLocal, rfc3339NanoNow } from './encode.ts'
import { DecodeError } from './errors.ts'
import { goQuote } from './quote.ts'
import { nestsTooDeep, scanJson } from './scan.ts'
import type { Schema } from './schema.ts'

const parses = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** JSON texts with a few bytes changed, cut or put in. */
const nearlyJson = fc
  .tuple(
    fc.json(),
    fc.nat(),
    fc.constantFrom(
      '',
      '"',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '\\',
      '\\u',
      '1',
      '-',
      '.',
      'e',
      'n',
      ' ',
      '\n',
      '\t',
    ),
    fc.boolean(),
  )
  .map(([text, at, piece, cut]) => {
    const place = at % (text.length + 1)
    return text.slice(0, place) + piece + (cut ? '' : text.slice(place + (piece === '' ? 1 : 0)))
  })

describe('the scanner', () => {
  it('agrees with JSON.parse on what is one JSON value', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), nearlyJson, fc.string()), (text) => {
        const bytes = Buffer.from(text)
        const scanned = scanJson(bytes)
        const rest = 'end' in scanned ? bytes.toString('utf8', scanned.end).trim() : ''
        expect('end' in scanned && rest === '').toBe(parses(text))
        if ('end' in scanned) expect(parses(bytes.toString('utf8', 0, scanned.end))).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('finds the end of a value before other bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue())),
        fc.string(),
        (value, tail) => {
          const text = JSON.stringify(value)
          expect(scanJson(Buffer.from(text + tail))).toEqual({ end: Buffer.byteLength(text) })
        },
      ),
    )
  })

  it('calls every proper beginning of an object an unexpected end', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(), (value, at) => {
        const bytes = Buffer.from(JSON.stringify(value))
        const start = bytes.subarray(0, 1 + (at % (bytes.length - 1)))
        expect(scanJson(start)).toEqual({ error: 'unexpected EOF' })
      }),
    )
  })

  it('sees depth outside of strings only', () => {
    const deep = (depth: number) => Buffer.from(`${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`)
    expect(nestsTooDeep(deep(1000))).toBe(false)
    expect(nestsTooDeep(deep(1002))).toBe(true)
    expect(nestsTooDeep(Buffer.from(JSON.stringify({ a: '[\\"'.repeat(5000) })))).toBe(false)
  })
})

describe('requests', () => {
  const schemas: Schema<unknown>[] = [
    chatRequest,
    generateRequest,
    embedRequest,
    showRequest,
    chatCompletionRequest,
    completionRequest,
  ]
  const names = [...new Set(schemas.flatMap((schema) => Object.keys(schema.jsonSchema.properties as object)))]
  const anyRequest = fc.dictionary(
    fc.oneof(
      fc.constantFrom(...names),
      fc.constantFrom(...names).map((name) => name.toUpperCase()),
      fc.string(),
    ),
    fc.oneof(
      fc.jsonValue(),
      fc.array(fc.dictionary(fc.constantFrom('role', 'content', 'images', 'function'), fc.jsonValue())),
    ),
  )

  it('any JSON value gives a request or a DecodeError', () => {
    fc.assert(
      fc.property(fc.oneof(anyRequest, fc.jsonValue()), fc.constantFrom(...schemas), (value, schema) => {
        try {
          decodeJson(Buffer.from(JSON.stringify(value)), schema)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('any bytes give a request or a DecodeError', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeJson(Buffer.from(bytes), chatRequest)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(DecodeError)
        }
      }),
    )
  })

  it('any options give options or invalid_option', () => {
    const optionNames = fc.constantFrom(
      'num_ctx',
      'temperature',
      'stop',
      'use_mmap',
      'seed',
      'mirostat',
      '__proto__',
    )
    fc.assert(
      fc.property(fc.dictionary(optionNames, fc.jsonValue()), (options) => {
        try {
          toModelOptions(options)
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(DroverError)
          expect(thrown).toMatchObject({ code: 'invalid_option' })
        }
      }),
    )
  })

  it('keys match whatever their case and the last of them wins', () => {
    const body = Buffer.from('{"model":"a","MODEL":"b","Model":null,"K\u212aeep":1}')
    expect(decodeJson(body, chatRequest)).toEqual({ model: 'b' })
  })

  it('cannot be made to change prototypes', () => {
    const decoded = decodeJson(Buffer.from('{"__proto__":{"model":"x"},"constructor":1}'), chatRequest)
    expect(decoded?.model).toBeUndefined()
  })

  it('lone surrogates become the replacement character', () => {
    expect(decodeJson(Buffer.from('{"model":"a\\ud800"}'), chatRequest)).toEqual({ model: 'a\ufffd' })
  })
})

describe('base64', () => {
  it('gives the bytes back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...decodeBase64(Buffer.from(bytes).toString('base64'))]).toEqual([...bytes])
      }),
    )
  })

  // From Go's own encoding/base64 tests (corrupt inputs and their offsets).
  it.each([
    ['!!!!', 0],
    ['====', 0],
    ['x===', 1],
    ['=AAA', 0],
    ['A=AA', 1],
    ['AA=A', 2],
    ['AA==A', 4],
    ['AAA=AAAA', 4],
    ['AAAAA', 4],
    ['AAAAAA', 4],
    ['A=', 1],
    ['AA=', 3],
    ['AAAAAA=', 7],
    ['YWJjZA=====', 8],
    ['A!\n', 1],
    ['data:image/png;base64,AAAA', 4],
    ['_-AA', 0],
  ])('%j is corrupt at byte %i', (text, at) => {
    expect(() => decodeBase64(text)).toThrow(new DecodeError(`illegal base64 data at input byte ${at}`))
  })

  it('skips line breaks', () => {
    expect(Buffer.from(decodeBase64('YW\nJj\r\nZA=\n=\n')).toString()).toBe('abcd')
  })
})

describe('durations', () => {
  it.each([
    ['0', 0],
    ['5s', 5000],
    ['1h30m', 5_400_000],
    ['300ms', 300],
    ['1.5s', 1500],
    ['.5s', 500],
    ['-1m', -60_000],
    ['+1m', 60_000],
    ['2us', 0.002],
    ['2µs', 0.002],
    ['1h1m1s1ms', 3_661_001],
  ])('%s is %d ms', (text, ms) => {
    expect(parseGoDuration(text)).toBeCloseTo(ms, 9)
  })

  it.each([
    ['', 'time: invalid duration ""'],
    ['3', 'time: missing unit in duration "3"'],
    ['-', 'time: invalid duration "-"'],
    ['s', 'time: invalid duration "s"'],
    ['.', 'time: invalid duration "."'],
    ['.s', 'time: invalid duration ".s"'],
    ['1d', 'time: unknown unit "d" in duration "1d"'],
    ['1constructor', 'time: unknown unit "constructor" in duration "1constructor"'],
    ['é"', 'time: invalid duration "\\xc3\\xa9\\""'],
    ['3000000h', 'time: invalid duration "3000000h"'],
  ])('%j is refused', (text, words) => {
    expect(() => parseGoDuration(text)).toThrow(new DecodeError(words))
  })
})

describe('encoding', () => {
  it('quotes as Go does', () => {
    expect(goQuote('a"b\\\n\u0001\u00a0\u{e000}é😀')).toBe('"a\\"b\\\\\\n\\x01\\u00a0\\ue000é😀"')
  })

  it('escapes what could end a script, and stays JSON', () => {
    expect(jsonString('<a>&\u2028')).toBe('"\\u003ca\\u003e\\u0026\\u2028"')
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => JSON.parse(jsonString(text)) === text))
  })

  it('writes the fewest digits that give the same float32', () => {
    expect(jsonFloat32Array(new Float32Array([0.1, 1 / 3, 1, 1e-7, 16777216, 3.4e38]))).toBe(
      '[0.1,0.33333334,1,1e-7,16777216,3.4e+38]',
    )
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true }), (vector) => {
        const back = Float32Array.from(JSON.parse(jsonFloat32Array(vector)))
        expect(back).toEqual(vector.map((value) => value + 0))
      }),
    )
  })

  it('writes now in UTC with nanosecond digits', () => {
    const text = rfc3339NanoNow()
    expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z$/)
    expect(Math.abs(Date.parse(text) - Date.now())).toBeLessThan(1000)
  })

  it('writes a local time that is the same moment', () => {
    const at = Date.UTC(2026, 7, 21, 18, 48, 22, 120)
    expect(rfc3339NanoLocal(at)).toMatch(/22\.12(Z|[+-]\d\d:\d\d)$/)
    expect(Date.parse(rfc3339NanoLocal(at))).toBe(at)
  })
})
