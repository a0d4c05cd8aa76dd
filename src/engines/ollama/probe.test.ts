import { describe, expect, it } from 'vitest'
import { probeAttached, versionOf } from './probe.ts'
import { isSameName } from './unload.ts'
import { knowsLogprobs } from './version.ts'

describe('the version that ollama prints', () => {
  it.each([
    ['ollama version is 0.12.3\n', '0.12.3'],
    [
      'Warning: could not connect to a running Ollama instance\nWarning: client version is 0.33.0\n',
      '0.33.0',
    ],
    ['ollama version is 0.9.0\nWarning: client version is 0.33.0\n', '0.33.0'],
    ['Usage: llama [flags]', undefined],
  ])('in %j is %s', (output, version) => {
    expect(versionOf(output)).toBe(version)
  })

  it.each([
    ['0.12.10', false],
    ['0.12.11', true],
    ['0.13.0-rc1', true],
    ['1.0.0', true],
    ['0.9.9', false],
    ['0.0.0', true],
    ['dev', true],
  ])('%s tells probabilities: %s', (version, knows) => {
    expect(knowsLogprobs(version)).toBe(knows)
  })
})

describe('servers of which none answers', () => {
  it('are told one by one, with the reason', async () => {
    const probe = await probeAttached(['http://127.0.0.1:1', 'http://127.0.0.1:2'])
    expect(probe).toMatchObject({
      available: false,
      reason: expect.stringMatching(/127\.0\.0\.1:1: .*ECONNREFUSED.*127\.0\.0\.1:2: /),
    })
  })
})

describe('names of models', () => {
  it.each([
    ['tiny', 'tiny:latest', true],
    ['Tiny', 'tiny', true],
    ['tiny:q4', 'tiny', false],
    ['localhost:5000/me/tiny', 'localhost:5000/me/tiny:latest', true],
  ])('%s and %s are one: %s', (a, b, same) => {
    expect(isSameName(a, b)).toBe(same)
  })
})
