import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import { beforeAll, describe, expect, it } from 'vitest'
import { schemaToGrammar } from './schema-grammar.ts'

/** llama.cpp's own check of a text against a grammar; the library keeps it out of its types. */
interface Checkable {
  _testText(text: string): boolean
}

let compile: (schema: Record<string, unknown>) => Promise<Checkable>

beforeAll(async () => {
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: false,
    maxThreads: 1,
    logLevel: LlamaLogLevel.disabled,
  })
  compile = async (schema) =>
    (await llama.createGrammar({ grammar: schemaToGrammar(schema) })) as unknown as Checkable
})

/** Whether the grammar of the schema takes exactly the texts of `right` and none of `wrong`. */
async function takes(schema: Record<string, unknown>, right: unknown[], wrong: unknown[]): Promise<void> {
  const grammar = await compile(schema)
  const text = (value: unknown) => JSON.stringify(value)
  expect(right.filter((value) => !grammar._testText(text(value)))).toEqual([])
  expect(wrong.filter((value) => grammar._testText(text(value)))).toEqual([])
}

const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' }, mail: { type: ['string', 'null'] } },
  required: ['name'],
}

describe('the grammar of a schema', () => {
  it('has required properties always and optional ones in their place or not at all', () =>
    takes(
      person,
      [{ name: 'A' }, { name: 'A', age: 3 }, { name: 'A', mail: null }, { name: '', age: 0, mail: 'x' }],
      [
        {},
        { age: 3 },
        { name: 3 },
        { name: 'A', age: 1.5 },
        { name: 'A', other: 1 },
        { age: 3, name: 'A' },
        [],
      ],
    ))

  it('has any object where none is described, and others beside the named where the schema lets them', async () => {
    await takes({ type: 'object' }, [{}, { a: [1, { b: null }] }], [[], 'x', 1])
    await takes(
      { type: 'object', properties: { a: { type: 'integer' } }, additionalProperties: { type: 'boolean' } },
      [{}, { a: 1 }, { a: 1, x: true, y: false }, { x: true }],
      [{ x: 1 }, { a: true, b: 2 }],
    )
  })

  it('has nothing but blanks in an empty object', () =>
    takes({ type: 'object', properties: {}, additionalProperties: false }, [{}], [{ a: 1 }]))

  it('takes one of several: anyOf, oneOf, enum, const, type lists', async () => {
    await takes({ anyOf: [{ type: 'integer' }, { type: 'null' }] }, [1, null], ['1', true])
    await takes(
      { oneOf: [{ const: { a: [1] } }, { enum: ['x', 2, null] }] },
      [{ a: [1] }, 'x', 2, null],
      [{ a: [2] }, 'y'],
    )
    await takes({ type: ['boolean', 'array'], items: { type: 'null' } }, [true, [], [null, null]], ['x', [1]])
  })

  it('puts together what anyOf and allOf demand beside what stands around them', async () => {
    const base = { type: 'object', properties: { a: { type: 'null' } }, required: ['a'] }
    const more = { properties: { b: { type: 'integer' } }, required: ['b'] }
    await takes({ ...base, anyOf: [more] }, [{ a: null, b: 1 }], [{ a: null }, { b: 1 }])
    await takes({ allOf: [base, more] }, [{ a: null, b: 1 }], [{ a: null }, { b: 1 }])
    await takes({ description: 'x', allOf: [{ $ref: '#/$defs/B' }], $defs: { B: base } }, [{ a: null }], [{}])
  })

  it('follows references wherever they point, into itself too', async () => {
    const tree = {
      $ref: '#/definitions/node',
      definitions: {
        node: {
          type: 'object',
          properties: {
            value: { type: 'integer' },
            children: { type: 'array', items: { $ref: '#/definitions/node' } },
          },
          required: ['value', 'children'],
        },
      },
    }
    const leaf = { value: 1, children: [] }
    await takes(
      tree,
      [leaf, { value: 2, children: [leaf, { value: 3, children: [leaf] }] }],
      [{ value: 1 }, [leaf]],
    )
  })

  it('counts items and characters', async () => {
    const items = { type: 'integer' }
    await takes({ type: 'array', items, minItems: 1, maxItems: 3 }, [[1], [1, 2, 3]], [[], [1, 2, 3, 4]])
    await takes(
      { type: 'array', items, minItems: 2 },
      [
        [1, 2],
        [1, 2, 3, 4, 5],
      ],
      [[], [1]],
    )
    await takes({ type: 'array', maxItems: 0 }, [[]], [[1]])
    await takes({ prefixItems: [items, { type: 'string' }] }, [[1, 'x']], [[1], ['x', 1]])
    await takes({ type: 'string', minLength: 2, maxLength: 3 }, ['ab', 'a"b', '日本語'], ['a', 'abcd'])
  })

  it('keeps integers in narrow bounds, and their sign', async () => {
    await takes({ type: 'integer', minimum: 1, maximum: 5 }, [1, 5], [0, 6, 15])
    await takes({ type: 'integer', exclusiveMinimum: -2, exclusiveMaximum: 1 }, [-1, 0], [-2, 1])
    await takes({ type: 'integer', minimum: 0 }, [0, 123456], [-1])
    await takes({ type: 'number' }, [0, -1.5, 1e9], ['1', true])
  })

  it('knows dates, times, UUIDs and patterns', async () => {
    await takes({ type: 'string', format: 'date' }, ['2026-02-28'], ['2026-13-01', '26-02-28'])
    await takes(
      { type: 'string', format: 'date-time' },
      ['2026-02-28T23:59:00Z', '2026-02-28T23:59:00.125+01:00'],
      ['2026-02-28'],
    )
    await takes({ type: 'string', format: 'uuid' }, ['123e4567-e89b-12d3-a456-426614174000'], ['123e4567'])
    await takes({ type: 'string', pattern: '^[A-Z]{2}-\\d+$' }, ['AB-1', 'ZZ-123'], ['A-1', 'ABC-1', 'AB-'])
    await takes({ type: 'string', pattern: '^(a|bc)*"?$' }, ['', 'abca', 'bc"'], ['b', 'abx'])
    await takes({ type: 'string', pattern: 'ee' }, ['ee', 'a sheep'], ['sheap'])
    await takes({ type: 'string', pattern: '^[^a\\s]\\.\\w$' }, ['b.c', '日.x'], ['a.c', 'b-c', ' .c'])
  })

  it('takes no number that JSON reads as infinite', async () => {
    const grammar = await compile({ type: 'integer' })
    expect(grammar._testText('3E342')).toBe(false)
    expect((await compile({ type: 'number' }))._testText('3E342')).toBe(false)
  })
})

describe('a schema that cannot be kept', () => {
  it.each([
    [{ type: 'nonsense' }, 'unknown type "nonsense" (at #)'],
    [{ type: 'object', properties: { a: { not: {} } } }, '"not" cannot be expressed (at #/properties/a)'],
    [{ $ref: '#/$defs/missing' }, '"#/$defs/missing" does not exist (at #)'],
    [{ $ref: 'https://example.com/schema' }, '"https://example.com/schema" lies outside the schema (at #)'],
    [{ type: 'string', pattern: '^(?=x)y$' }, 'the pattern "^(?=x)y$" cannot be expressed (at #)'],
    [{ type: 'array', items: 3 }, '3 is no schema (at #/items)'],
    [{ type: 'array', minItems: 2, maxItems: 1 }, 'maxItems 1 is less than minItems 2 (at #)'],
  ])('%j is refused by name', (schema, reason) => {
    expect(() => schemaToGrammar(schema)).toThrow(reason)
  })

  it('because it contains nothing but itself is refused', async () => {
    await expect(compile({ $ref: '#' })).rejects.toThrow()
  })
})
