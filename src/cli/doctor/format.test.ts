import { describe, expect, it } from 'vitest'
import { diagnose } from './checks.ts'
import type { Finding } from './contract.ts'
import { formatFindings, sumOf, wrap } from './format.ts'
import { machine } from './testing.ts'

const finding = (changes: Partial<Finding> = {}): Finding => ({
  code: 'hot',
  level: 'warning',
  title: 'GPU0 is hot',
  detail: '93 C.',
  advice: 'Check the fans.',
  command: 'nvidia-smi\n# or:\nsensors',
  ...changes,
})
const paper = { columns: 60, colours: false }

describe('what the doctor prints', () => {
  it('has what is wrong, what to do and what to type below each other, and the sum at the end', () => {
    expect(formatFindings([finding()], paper)).toBe(
      [
        'WARNING  GPU0 is hot',
        '         93 C.',
        '         Check the fans.',
        '           nvidia-smi',
        '           # or:',
        '           sensors',
        '',
        '1 warning',
        '',
      ].join('\n'),
    )
  })

  it('has what is well in a line each', () => {
    const lines = formatFindings(diagnose(machine()), paper).split('\n')
    expect(lines.filter((line) => line.startsWith('OK       '))).toHaveLength(6)
    expect(lines.slice(-3)).toEqual(['', 'All well', ''])
  })

  it('keeps to the width, but for commands, which are to be copied whole', () => {
    const detail = 'word '.repeat(60)
    const command = `echo ${'x'.repeat(100)}`
    const lines = formatFindings([finding({ detail, command })], { columns: 50, colours: false }).split('\n')
    expect(lines.filter((line) => line.length > 50)).toEqual([`           ${command}`])
  })

  it('has colours only where they are wanted', () => {
    expect(formatFindings([finding()], paper)).not.toContain('\u001b')
    expect(formatFindings([finding()], { ...paper, colours: true })).toContain('\u001b[33mWARNING')
  })
})

describe('the last line', () => {
  it('counts errors and warnings, and mentions notes', () => {
    const of = (...levels: Finding['level'][]) => sumOf(levels.map((level) => finding({ level })))
    expect(of('ok')).toBe('All well')
    expect(of('note', 'ok')).toBe('All well (1 note)')
    expect(of('error', 'error', 'warning')).toBe('2 errors, 1 warning')
    expect(of('warning', 'note', 'note')).toBe('1 warning (2 notes)')
  })
})

it('wrapping keeps line breaks, words that are too long, and numbers with their units', () => {
  expect(wrap('a card of 24 GiB', 12)).toEqual(['a card of', '24 GiB'])
  expect(wrap('one two three\nfour', 8)).toEqual(['one two', 'three', 'four'])
  expect(wrap('a verylongwordindeed b', 5)).toEqual(['a', 'verylongwordindeed', 'b'])
  expect(wrap('', 5)).toEqual([])
})
