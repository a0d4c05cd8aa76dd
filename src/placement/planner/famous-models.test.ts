import { describe, expect, it } from 'vitest'
import { type FamousName, famousModel } from './famous-models.ts'

/** Bytes of published files, and parameters as their model cards have them. */
const published: readonly [name: FamousName, fileType: string, gigabytes: number, billions: number][] = [
  ['llama3.1:8b', 'Q4_K_M', 4.92, 8.03],
  ['llama3.1:8b', 'Q8_0', 8.54, 8.03],
  ['llama3.1:8b', 'F16', 16.07, 8.03],
  ['llama3.1:70b', 'Q4_K_M', 42.52, 70.6],
  ['llama3.1:405b', 'Q4_K_M', 243.1, 405.9],
  ['qwen3:32b', 'Q4_K_M', 19.76, 32.8],
  ['qwen3:30b-a3b', 'Q4_K_M', 18.56, 30.5],
  ['qwen3:235b-a22b', 'Q4_K_M', 142.2, 235.1],
  ['gpt-oss:20b', 'MXFP4', 12.1, 20.9],
  ['gpt-oss:120b', 'MXFP4', 63.4, 116.8],
  ['deepseek-r1:671b', 'Q4_K_M', 404.4, 671],
  ['gemma3:27b', 'Q4_K_M', 16.55, 27],
]

describe('well-known models', () => {
  for (const [name, fileType, gigabytes, billions] of published) {
    it(`${name} in ${fileType} is as large as its file, within 2 %`, () => {
      const { shape } = famousModel(name, fileType)
      expect(Math.abs(shape.weightBytes / 1e9 / gigabytes - 1)).toBeLessThan(0.02)
      expect(Math.abs(shape.parameterCount / 1e9 / billions - 1)).toBeLessThan(0.01)
      expect(shape.layerBytes.length).toBe(shape.layerCount)
    })
  }

  it('in a file type that is not known are refused', () => {
    expect(() => famousModel('llama3.1:8b', 'Q9')).toThrow(/unknown file type "Q9": take F16/)
  })
})
