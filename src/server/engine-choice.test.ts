import { describe, expect, it } from 'vitest'
import { quietLog } from '../../test/support/quiet-log.ts'
import { type Config, loadConfig } from '../config/index.ts'
import { attachedServers, enginesOf } from './engine-choice.ts'

const configOf = (env: Record<string, string>): Config =>
  loadConfig({ flags: {}, env, cwd: '/', homeDir: '/nowhere', readFile: () => undefined }).config
const namesOf = (env: Record<string, string>) =>
  enginesOf(configOf(env), '/nowhere', quietLog).map(({ name }) => name)

const servers = 'http://a engine=vllm,http://b,http://c engine=sglang'

describe('the engines of a configuration', () => {
  it('are those that `engine` names', () => {
    expect(namesOf({})).toEqual(['llama.cpp', 'embedded'])
    for (const name of ['embedded', 'ollama', 'vllm', 'sglang', 'exllama', 'openai']) {
      expect(namesOf({ DROVER_ENGINE: name })).toEqual([name])
    }
  })

  it('are one chain where backends are named, by the name of the first', () => {
    expect(namesOf({ OLLAMA_BACKEND: 'vllm', OLLAMA_FALLBACK_BACKEND: 'exllamav2' })).toEqual(['vllm'])
    expect(namesOf({ OLLAMA_FALLBACK_BACKEND: 'embedded' })).toEqual(['llama.cpp'])
  })
})

describe('servers that count as devices', () => {
  const urlsOf = (env: Record<string, string>) =>
    attachedServers(configOf({ DROVER_OPENAI_URLS: servers, ...env })).urls

  it('are all of those that the engine takes', () => {
    expect(urlsOf({ DROVER_ENGINE: 'openai' })).toEqual(['http://a', 'http://b', 'http://c'])
    expect(urlsOf({ DROVER_ENGINE: 'vllm' })).toEqual(['http://a'])
    expect(urlsOf({ DROVER_ENGINE: 'exllama' })).toEqual([])
    expect(urlsOf({ DROVER_ENGINE: 'ollama', DROVER_OLLAMA_URLS: 'http://o' })).toEqual(['http://o'])
    expect(urlsOf({})).toEqual([])
  })

  it('are none behind which other engines need the devices of this machine', () => {
    expect(urlsOf({ OLLAMA_BACKEND: 'openai' })).toEqual(['http://a', 'http://b', 'http://c'])
    expect(urlsOf({ OLLAMA_BACKEND: 'openai', OLLAMA_FALLBACK_BACKEND: 'embedded' })).toEqual([])
  })
})
