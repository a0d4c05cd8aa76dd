import { describe, expect, it } from 'vitest'
import { remoteModel } from './remote-name.ts'

const where = (text: string, insecure = false) => {
  const { origin, repository, name } = remoteModel(text, { insecure })
  return `${origin}/v2/${repository} ${name.tag}`
}

describe('a name at a registry', () => {
  it("leads to its host, by default Ollama's", () => {
    expect(where('llama3')).toBe('https://registry.ollama.ai/v2/library/llama3 latest')
    expect(where('me/m:q4')).toBe('https://registry.ollama.ai/v2/me/m q4')
    expect(where('hf.co/user/Repo-GGUF:Q4_K_M')).toBe('https://hf.co/v2/user/Repo-GGUF Q4_K_M')
    expect(where('huggingface.co/user/repo')).toBe('https://huggingface.co/v2/user/repo latest')
    expect(where('localhost:5000/a/b:c')).toBe('https://localhost:5000/v2/a/b c')
    expect(where('gpt-oss:120b:cloud')).toBe('https://registry.ollama.ai/v2/library/gpt-oss 120b-cloud')
  })

  it('is reached by plain HTTP only where that is allowed', () => {
    expect(where('http://host:1/a/b', true)).toBe('http://host:1/v2/a/b latest')
    expect(where('host:1/a/b', true)).toBe('http://host:1/v2/a/b latest')
    expect(where('https://host:1/a/b', true)).toBe('https://host:1/v2/a/b latest')
    expect(() => where('http://host:1/a/b')).toThrow('insecure protocol http')
    expect(() => where('HTTP://host:1/a/b')).toThrow('insecure protocol http')
    expect(() => where('ftp://host:1/a/b', true)).toThrow('invalid model name')
    expect(() => where('a b')).toThrow('invalid model name')
  })
})
