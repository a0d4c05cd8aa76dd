import { posix } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DroverError } from '../inference/index.ts'
import {
  displayShortest,
  fullModelName,
  isValidName,
  manifestSegments,
  parseModelName,
  parseModelReference,
} from './names.ts'

describe('a model name', () => {
  it.each([
    ['llama3', 'registry.ollama.ai/library/llama3:latest', 'llama3:latest'],
    ['llama3:8b', 'registry.ollama.ai/library/llama3:8b', 'llama3:8b'],
    ['me/m', 'registry.ollama.ai/me/m:latest', 'me/m:latest'],
    ['hf.co/user/repo.GGUF:Q4_K_M', 'hf.co/user/repo.GGUF:Q4_K_M', 'hf.co/user/repo.GGUF:Q4_K_M'],
    ['https://hf.co/user/repo', 'hf.co/user/repo:latest', 'hf.co/user/repo:latest'],
    ['localhost:5000/a/b', 'localhost:5000/a/b:latest', 'localhost:5000/a/b:latest'],
    ['Registry.Ollama.AI/Library/X', 'Registry.Ollama.AI/Library/X:latest', 'X:latest'],
    ['_m-1.5:v_1.0-x', 'registry.ollama.ai/library/_m-1.5:v_1.0-x', '_m-1.5:v_1.0-x'],
  ])('%s is taken apart and put together again', (text, full, short) => {
    const name = parseModelName(text)
    expect(fullModelName(name)).toBe(full)
    expect(displayShortest(name)).toBe(short)
  })

  it.each([
    '',
    ' ',
    ':',
    'x:',
    ':x',
    '/x',
    'x/',
    'a//b',
    '.x',
    'x:.y',
    '-x',
    'x y',
    'x:a b',
    'x@sha256',
    'n.s/m',
    '../x',
    '../../etc/passwd',
    'a/../b',
    'a/b/../c',
    'x\\y',
    'x\0',
    'x\n',
    'ü',
    'a/b/c/d:t/e',
    'x:1:2',
    'm'.repeat(81),
    `x:${'t'.repeat(81)}`,
    `${'h'.repeat(351)}/a/b`,
  ])('%j is not one', (text) => {
    expect(parseModelReference(text)).toBeUndefined()
    expect(() => parseModelName(text)).toThrow(new DroverError('invalid_request', 'invalid model name'))
  })

  it('may say where the model is to run', () => {
    const read = (text: string) => {
      const reference = parseModelReference(text)
      return reference && [displayShortest(reference.name), reference.source]
    }
    expect(read('x')).toEqual(['x:latest', undefined])
    expect(read('x:local')).toEqual(['x:latest', 'local'])
    expect(read('x:20b:LOCAL')).toEqual(['x:20b', 'local'])
    expect(read('x:cloud')).toEqual(['x:cloud', 'cloud'])
    expect(read('x:20b-cloud')).toEqual(['x:20b-cloud', 'cloud'])
    expect(read('x:20b:cloud')).toEqual(['x:20b-cloud', 'cloud'])
    expect(read('x:cloudy')).toEqual(['x:cloudy', undefined])
    expect(read('x:thundercloud')).toEqual(['x:thundercloud', undefined])
  })

  it('never leads out of the folder of manifests, whatever the text', () => {
    const hostile = fc.array(
      fc.constantFrom('..', '.', '/', '\\', ':', '%2e', '~', '\0', 'a', 'B-1', ' ', '://'),
      {
        maxLength: 12,
      },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          hostile.map((parts) => parts.join('')),
        ),
        (text) => {
          const reference = parseModelReference(text)
          if (reference === undefined) return
          const segments = manifestSegments(reference.name)
          for (const segment of segments) expect(segment).toMatch(/^[A-Za-z0-9_][^/\\\0]*$/)
          expect(posix.normalize(posix.join('/store', ...segments))).toBe(`/store/${segments.join('/')}`)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('reads its own display and full form back', () => {
    const part = (rule: RegExp) => fc.stringMatching(rule)
    const names = fc.record({
      host: part(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
      namespace: part(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,20}$/),
      model: part(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
      tag: part(/^[A-Za-z0-9_][A-Za-z0-9_.]{0,20}$/),
    })
    fc.assert(
      fc.property(names, (name) => {
        fc.pre(isValidName(name) && !/^(local|cloud)$/i.test(name.tag))
        expect(parseModelName(fullModelName(name))).toEqual(name)
        expect(displayShortest(parseModelName(displayShortest(name)))).toBe(displayShortest(name))
      }),
    )
  })
})
