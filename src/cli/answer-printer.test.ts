import { describe, expect, it } from 'vitest'
import { type AnswerPrinterOptions, createAnswerPrinter, type GeneratePart } from './answer-printer.ts'

function print(parts: GeneratePart[], options: AnswerPrinterOptions = {}) {
  const written = { out: '', err: '' }
  const into = (name: 'out' | 'err') => ({
    write: (text: string) => {
      written[name] += text
    },
  })
  const printer = createAnswerPrinter(options, into('out'), into('err'))
  for (const part of parts) printer.print(part)
  printer.end()
  return written
}

const thought = [
  { thinking: 'hm' },
  { thinking: '!' },
  { response: 'Par' },
  { response: 'is' },
  { response: '', done: true },
]

describe('an answer', () => {
  it('sets thinking apart', () => {
    expect(print(thought).out).toBe('Thinking...\nhm!\n...done thinking.\n\nParis\n')
  })

  it('hides thinking when asked', () => {
    expect(print(thought, { hidethinking: true }).out).toBe('Paris\n')
  })

  it('ends thinking that no answer follows', () => {
    expect(print([{ thinking: 'hm' }]).out).toBe('Thinking...\nhm\n...done thinking.\n\n\n')
  })

  it('prints timings to stderr when asked', () => {
    const done = {
      done: true,
      total_duration: 1.5e9,
      load_duration: 5e8,
      prompt_eval_count: 10,
      prompt_eval_duration: 1e8,
      eval_count: 0,
      eval_duration: 0,
    }
    const { out, err } = print([{ response: 'x' }, done], { verbose: true })
    expect(out).toBe('x\n')
    expect(err.split('\n')).toEqual([
      'total duration:       1.500s',
      'load duration:        0.500s',
      'prompt eval count:    10 token(s)',
      'prompt eval duration: 0.100s',
      'prompt eval rate:     100.00 tokens/s',
      '',
    ])
  })
})
