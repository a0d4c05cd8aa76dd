import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { textWidth } from '../terminal/width.ts'
import { type AnswerOutput, type AnswerPart, createAnswerPrinter } from './printer.ts'
import { formatTimings } from './timings.ts'
import { createWordWrap } from './word-wrap.ts'

function print(parts: AnswerPart[], output: Partial<AnswerOutput> = {}, hideThinking = false) {
  let text = ''
  const write = (more: string) => {
    text += more
  }
  const printer = createAnswerPrinter({ hideThinking, wordWrap: true }, { write, ...output })
  for (const part of parts) printer.print(part)
  printer.end()
  return text
}

const thought = [{ thinking: 'hm' }, { thinking: '!' }, { content: 'Par' }, { content: 'is' }]

describe('an answer', () => {
  it('sets thinking apart', () => {
    expect(print(thought)).toBe('Thinking...\nhm!\n...done thinking.\n\nParis')
  })

  it('hides thinking when asked', () => {
    expect(print(thought, {}, true)).toBe('Paris')
  })

  it('has grey thinking on a terminal, and leaves no colour behind when it stops there', () => {
    expect(print(thought, { isTTY: true })).toContain('\u001b[38;5;245mhm!')
    expect(print([{ thinking: 'hm' }], { isTTY: true })).toMatch(/hm.\[0m$/)
  })

  it('tells of a tool that the model wants and nobody has', () => {
    const call = { function: { name: 'weather', arguments: { city: 'Oslo', days: 2 } } }
    expect(print([{ toolCalls: [call] }])).toBe(
      `  Model called a non-existent function 'weather()' with arguments: {"city":"Oslo","days":2}\n`,
    )
  })

  it('ends with its timings when asked', () => {
    const text = formatTimings({
      total_duration: 1_500_000_000,
      load_duration: 342_546_000,
      prompt_eval_count: 10,
      prompt_eval_duration: 100_000_000,
      eval_count: 0,
    })
    expect(text.split('\n')).toEqual([
      'total duration:       1.5s',
      'load duration:        342.546ms',
      'prompt eval count:    10 token(s)',
      'prompt eval duration: 100ms',
      'prompt eval rate:     100.00 tokens/s',
      '',
    ])
  })
})

/** What a terminal shows after the cursor went back over text and erased it. */
function onScreen(written: string): string[] {
  const lines: string[] = ['']
  for (const [index, piece] of written.split('\u001b[').entries()) {
    const [code = '', digits = ''] = index > 0 ? (/^(\d*)[DK]/.exec(piece) ?? []) : []
    const last = [...(lines.pop() ?? '')]
    const kept = code.endsWith('D') ? last.slice(0, -Number(digits)) : last
    lines.push(...(kept.join('') + piece.slice(code.length)).split('\n'))
  }
  return lines
}

describe('the word wrap', () => {
  it('breaks lines between words', () => {
    const wrap = createWordWrap(20)
    expect(onScreen(wrap('the quick brown fox jumps over'))).toEqual(['the quick brown', 'fox jumps over'])
  })

  it('takes back a word that was begun on the line before', () => {
    const wrap = createWordWrap(20)
    const text = ['the qui', 'ck bro', 'wnish', ' fox'].map(wrap).join('')
    expect(onScreen(text)).toEqual(['the quick ', 'brownish fox'])
  })

  it('breaks what has no spaces where the line ends', () => {
    expect(onScreen(createWordWrap(15)('abcdefghijklmno'))).toEqual(['abcdefghij', 'klmno'])
    expect(onScreen(createWordWrap(15)('東京都渋谷区'))).toEqual(['東京都渋谷', '区'])
  })

  it('leaves text alone where there is no terminal', () => {
    expect(createWordWrap(0)('a '.repeat(200))).toBe('a '.repeat(200))
  })

  it('loses no character, and no line is too long, however the text comes', () => {
    const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n', '東', 'é') }))
    fc.assert(
      fc.property(pieces, fc.integer({ min: 10, max: 40 }), (parts, columns) => {
        const wrap = createWordWrap(columns)
        const lines = onScreen(parts.map(wrap).join(''))
        for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(columns - 5)
        expect(lines.join('').replaceAll(' ', '')).toBe(parts.join('').replaceAll(/[ \n]/g, ''))
      }),
    )
  })
})
