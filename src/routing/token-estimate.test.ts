import { describe, expect, it } from 'vitest'
import { createTokenEstimate } from './token-estimate.ts'

describe('the estimate of tokens', () => {
  it('is that of English text while nothing is known', () => {
    expect(createTokenEstimate().bytesPerToken('llama')).toBe(4)
  })

  it('takes the first count at its word, and of each after that a tenth', () => {
    const estimate = createTokenEstimate()
    estimate.observe('llama', 300, 100)
    expect(estimate.bytesPerToken('llama')).toBe(3)
    estimate.observe('llama', 500, 100)
    expect(estimate.bytesPerToken('llama')).toBeCloseTo(3.2)
    expect(estimate.bytesPerToken('qwen'), 'of each model by itself').toBe(4)
  })

  it('comes to what engines count', () => {
    const estimate = createTokenEstimate()
    for (let count = 0; count < 100; count++) estimate.observe('llama', 250 + (count % 2) * 100, 100)
    expect(estimate.bytesPerToken('llama')).toBeGreaterThan(2.8)
    expect(estimate.bytesPerToken('llama')).toBeLessThan(3.2)
  })

  it('is not led astray by a short or a strange text', () => {
    const estimate = createTokenEstimate()
    estimate.observe('llama', 15, 15)
    estimate.observe('llama', 0, 100)
    expect(estimate.bytesPerToken('llama')).toBe(4)
    estimate.observe('llama', 1_000_000, 20)
    expect(estimate.bytesPerToken('llama')).toBe(16)
    estimate.observe('qwen', 1, 1_000)
    expect(estimate.bytesPerToken('qwen')).toBe(0.5)
  })

  it('forgets the models whose texts were counted longest ago', () => {
    const estimate = createTokenEstimate()
    estimate.observe('first', 200, 100)
    estimate.observe('second', 200, 100)
    for (let model = 0; model < 254; model++) estimate.observe(`m${model}`, 200, 100)
    estimate.observe('first', 200, 100)
    estimate.observe('one more', 200, 100)
    expect(['first', 'second', 'one more'].map(estimate.bytesPerToken)).toEqual([2, 4, 2])
  })
})
