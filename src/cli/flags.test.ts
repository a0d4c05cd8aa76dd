import { expect, it } from 'vitest'
import { normalizeFlags } from './flags.ts'
import { createProgram } from './program.ts'

const normalize = (line: string) => normalizeFlags(line.split(' '), createProgram('drover')).join(' ')

it.each([
  ['run m --think why', 'run m --think=true why'],
  ['run --think=false m', 'run --think=false m'],
  ['run m --verbose=true --nowordwrap=0 hi', 'run m --verbose hi'],
  ['run m --format json', 'run m --format json'],
  ['run m --format=json', 'run m --format=json'],
  ['ls --json=false', 'ls'],
  ['launch claude -- --think --verbose=no', 'launch claude -- --think --verbose=no'],
  ['run m --unknown=1', 'run m --unknown=1'],
])('reads %j as %j', (line, normalized) => {
  expect(normalize(line)).toBe(normalized)
})

it('refuses what is neither true nor false', () => {
  expect(() => normalize('run m --verbose=perhaps')).toThrow(
    'invalid argument "perhaps" for "--verbose" flag: it takes true or false',
  )
})
