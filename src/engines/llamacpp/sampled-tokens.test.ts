import { describe, expect, it } from 'vitest'
import { indexOf, solutions } from './sampled-tokens.ts'

/** GPT-2's way to write bytes as characters: `ðŁĲĳ` is a sheep. */
const pieces = ['a', 'Ġ', 'ð', 'Ł', 'Ĳ', 'ĳ', 'ðŁ', 'ŁĲ', 'Ĳĳ', 'ĠðŁ', '<|end|>', 'ðŁĲĳ']
const [a, space, b0, b1, b2, b3, b01, b12, b23, spaceB01, end] = pieces.keys()
const index = indexOf({ kind: 'gpt2', pieces, types: pieces.map((piece) => (piece === '<|end|>' ? 3 : 1)) })

describe('the tokens that a server does not tell', () => {
  it('are those that make the text', () => {
    expect(solutions('🐑', [undefined, undefined, undefined, b3], index)).toEqual([[b0, b1, b2, b3]])
    expect(solutions('🐑', [undefined, b23], index)).toEqual([[b01, b23]])
    expect(solutions(' 🐑a', [undefined, b23, a], index)).toEqual([[spaceB01, b23, a]])
    expect(solutions('a 🐑', [a, space, undefined, undefined, b23], index)).toEqual([[a, space, b0, b1, b23]])
  })

  it('stand around those that show nothing', () => {
    expect(solutions('🐑a', [undefined, b23, end, a], index)).toEqual([[b01, b23, end, a]])
  })

  it('may be several rows, or none', () => {
    expect(solutions('🐑', [undefined, undefined, b3], index)).toEqual([
      [b0, b12, b3],
      [b01, b2, b3],
    ])
    expect(solutions('\uFFFDa', [undefined, a], index)).toEqual([])
    expect(solutions('🐑', [undefined, a], index)).toEqual([])
  })
})
