import { describe, expect, it } from 'vitest'
import { famousModelNames, findFamous } from './famous.ts'

describe('a well-known model', () => {
  it('is found by its name, in the type that its registry has', () => {
    for (const name of famousModelNames) {
      expect(findFamous(name)).toMatchObject({
        name,
        fileType: name.startsWith('gpt-oss') ? 'MXFP4' : 'Q4_K_M',
      })
    }
  })

  it('may have a type behind its name, as tags have them', () => {
    expect(findFamous('llama3.1:70b-instruct-q8_0')).toMatchObject({
      fileType: 'Q8_0',
      name: 'llama3.1:70b-instruct-q8_0',
    })
    expect(findFamous('DeepSeek-R1:671b-fp8')).toMatchObject({ fileType: 'fp8', format: 'safetensors' })
    expect(findFamous('qwen3:30b-a3b-q6_K')?.shape.expertCount).toBe(128)
    const bytes = (name: string) => findFamous(name)?.shape.weightBytes ?? 0
    expect(bytes('llama3.1:8b-f16') / bytes('llama3.1:8b-q8_0')).toBeCloseTo(16 / 8.5, 2)
  })

  it('without a tag is the one that the registry calls the latest', () => {
    expect(findFamous('llama3.1')?.shape).toEqual(findFamous('llama3.1:8b')?.shape)
    expect(findFamous('GPT-OSS:latest')).toMatchObject({ name: 'GPT-OSS:latest', fileType: 'MXFP4' })
  })

  it('is no other', () => {
    for (const name of ['', 'gemma3', 'llama3.1:8', 'llama3.1:8b-best', 'llama3.1:8b-q4_K_M-q8_0', 'x:70b']) {
      expect(findFamous(name)).toBeUndefined()
    }
  })
})
