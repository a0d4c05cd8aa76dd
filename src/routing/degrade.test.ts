import { describe, expect, it } from 'vitest'
import { degradations, mayDegrade } from './degrade.ts'

const request = { kind: 'generate' as const, model: 'big', prompt: 'x', options: { temperature: 0 } }
const wordsOf = (steps: ('model' | 'context' | 'cpu')[], options = {}) =>
  [...degradations({ ...request, options }, { steps, fallbackModels: { big: ['big:q4', 'small'] } })].map(
    ({ words }) => words,
  )

describe('what is served in place of what cannot be', () => {
  it('is nothing unless it is allowed', () => {
    expect(wordsOf([])).toEqual([])
  })

  it('comes in the order in which the steps are named', () => {
    expect(wordsOf(['cpu', 'model'])).toEqual([
      'on the CPU',
      'model big:q4 in place of big',
      'model small in place of big',
    ])
  })

  it('halves the context, down to what is of any use', () => {
    expect(wordsOf(['context'], { num_ctx: 10_000 })).toEqual([
      'a context of 5000 tokens',
      'a context of 2500 tokens',
    ])
    expect(wordsOf(['context'])).toEqual([
      'a context of 8192 tokens',
      'a context of 4096 tokens',
      'a context of 2048 tokens',
    ])
  })

  it('keeps everything else of the request', () => {
    const [cpu] = degradations(request, { steps: ['cpu'], fallbackModels: {} })
    expect(cpu?.request).toEqual({ ...request, options: { temperature: 0, num_gpu: 0 } })
  })

  it('helps where there is no room, not where the request is wrong', () => {
    expect(mayDegrade('insufficient_memory')).toBe(true)
    expect(mayDegrade('busy')).toBe(true)
    expect(mayDegrade('invalid_format')).toBe(false)
    expect(mayDegrade('cancelled')).toBe(false)
  })
})
