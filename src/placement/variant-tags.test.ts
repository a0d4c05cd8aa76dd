import { describe, expect, it } from 'vitest'
import { variantTags } from './variant-tags.ts'

describe('tags of the same model in other types of weights', () => {
  it('are those of the list that begin as the wanted one, whatever type that names', () => {
    const listed = [
      'latest',
      '8b',
      '70b',
      '70b-q8_0',
      '70b-instruct-q4_K_M',
      '70b-fp16',
      '8b-q8_0',
      '70b-text-v2-q4_0',
    ]
    expect(variantTags('70b', listed)).toEqual(['70b', '70b-q8_0', '70b-instruct-q4_K_M'])
    expect(variantTags('70b-q4_0', listed)).toEqual(['70b-q4_0', '70b-q8_0', '70b-instruct-q4_K_M'])
  })

  it('are types alone, where no size is named', () => {
    const listed = ['latest', 'Q8_0', 'IQ4_XS', 'UD-Q4_K_XL', 'BF16', '7b-q8_0']
    expect(variantTags('latest', listed)).toEqual(['latest', 'Q8_0', 'IQ4_XS', 'UD-Q4_K_XL'])
    expect(variantTags('Q8_0', listed)).toEqual(['Q8_0', 'IQ4_XS', 'UD-Q4_K_XL'])
  })

  it('are the usual ones, where the registry keeps no list', () => {
    expect(variantTags('8b', [])).toEqual(
      expect.arrayContaining(['8b', '8b-q8_0', '8b-q4_K_M', '8b-instruct-q8_0', '8b-instruct-q2_K']),
    )
    expect(variantTags('latest', [])).toEqual(expect.arrayContaining(['latest', 'q4_K_M', 'Q4_K_M']))
  })

  it('have 16 bits only where these are asked for, and are not without end', () => {
    expect(variantTags('8b-fp16', ['8b-fp16', '8b-bf16', '8b-q8_0'])).toEqual(['8b-fp16', '8b-q8_0'])
    const many = Array.from({ length: 100 }, (_, index) => `8b-q${index}_0`)
    expect(variantTags('8b', many)).toHaveLength(32)
  })
})
