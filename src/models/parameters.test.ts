import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { humanCount } from './human.ts'
import { parseParameters } from './parameters.ts'

describe('a params layer', () => {
  it('gives its options in their types', () => {
    const json = { temperature: 0.6, num_ctx: 8192, use_mmap: false, stop: ['<|im_end|>', 'User:'] }
    expect(parseParameters(json)).toEqual({ options: json, dropped: [] })
  })

  it('may write numbers, switches and a single stop as text', () => {
    const json = { temperature: '0.6', num_ctx: '8192', use_mmap: 'true', stop: '</s>', top_k: 40.9 }
    expect(parseParameters(json).options).toEqual({
      temperature: 0.6,
      num_ctx: 8192,
      use_mmap: true,
      stop: ['</s>'],
      top_k: 40,
    })
  })

  it('names what is unknown or of a wrong type, and keeps the rest', () => {
    const json = {
      mirostat: 1,
      temperature: 'hot',
      stop: [1],
      use_mmap: 'maybe',
      num_ctx: '',
      seed: 7,
      toString: 1,
    }
    const { options, dropped } = parseParameters(json)
    expect(options).toEqual({ seed: 7 })
    expect(dropped.sort()).toEqual(['mirostat', 'num_ctx', 'stop', 'temperature', 'toString', 'use_mmap'])
  })

  it('is empty where it is no object', () => {
    for (const json of [null, 3, 'x', [1], undefined]) expect(parseParameters(json).options).toEqual({})
  })

  it('never yields an option that is not a number, a switch or texts, whatever the JSON', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('num_ctx', 'stop', 'use_mmap', 'top_p', 'x'), fc.jsonValue()),
        (json) => {
          for (const value of Object.values(parseParameters(json).options)) {
            const valid = Number.isFinite(value) || typeof value === 'boolean' || Array.isArray(value)
            expect(valid).toBe(true)
          }
        },
      ),
    )
  })
})

describe('a parameter count', () => {
  it.each([
    [1_235_814_432, '1.2B'],
    [8_000_000_000, '8B'],
    [137_000_000, '137M'],
    [22_567_040, '22.57M'],
    [96_400, '96K'],
    [999, '999'],
  ])('of %d reads %s', (count, text) => {
    expect(humanCount(count)).toBe(text)
  })
})
