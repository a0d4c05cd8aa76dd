import { describe, expect, it } from 'vitest'
import { loadConfig } from './load.ts'
import { parseOpenAiServer, parsePair } from './openai-servers.ts'

describe('a server that is attached', () => {
  it('is an address and words about it', () => {
    expect(parseOpenAiServer('http://10.0.0.5:8000')).toEqual({ url: 'http://10.0.0.5:8000' })
    const written =
      'https://gpu/v1  engine=vllm model=llama3.1:70b as=meta-llama/Llama-3.1-70B key-env=K admin-key-env=A slots=32 ' +
      'context=8192 api=chat sleep=on kv-events=tcp://gpu:5557'
    expect(parseOpenAiServer(written)).toEqual({
      url: 'https://gpu/v1',
      kind: 'vllm',
      model: 'llama3.1:70b',
      servedAs: 'meta-llama/Llama-3.1-70B',
      keyVariable: 'K',
      adminKeyVariable: 'A',
      slots: 32,
      contextLength: 8192,
      chatOnly: true,
      sleeps: true,
      kvEvents: 'tcp://gpu:5557',
    })
    expect(parseOpenAiServer('http://a engine=openai api=completions')).toEqual({
      url: 'http://a',
      kind: 'plain',
      chatOnly: false,
    })
  })

  it.each([
    ['10.0.0.5:8000', '"10.0.0.5:8000" is no http address'],
    ['http://a modle=x', '"modle=x" means nothing here: say engine, model, as,'],
    ['http://a slots=none', '"slots=none" cannot be'],
    ['http://a model=', '"model=" cannot be: a value is missing'],
    ['http://a kv-events=tcp://*:5557', '"kv-events=tcp://*:5557" cannot be: say tcp://host:port'],
    ['http://a engine=tgi', '"engine=tgi" cannot be'],
  ])('is refused as %s', (written, message) => {
    expect(() => parseOpenAiServer(written)).toThrow(message)
  })
})

it('a pair is a name, and all that is behind the first sign', () => {
  expect(parsePair('llama3.1:8b = /models/a=b')).toEqual(['llama3.1:8b', '/models/a=b'])
  expect(() => parsePair('llama')).toThrow('"llama" is no name=value')
})

it('engines, servers and folders are read from variables', () => {
  const env = {
    DROVER_ENGINE: 'vllm',
    DROVER_OPENAI_URLS: 'http://a engine=vllm,http://b',
    DROVER_ENGINE_PROGRAMS: 'vllm=/opt/vllm/bin/vllm,exllama=/opt/tabby',
    DROVER_MODEL_FOLDERS: 'llama3.1:8b=meta-llama/Llama-3.1-8B-Instruct',
  }
  const loaded = (changes: object = {}) =>
    loadConfig({
      flags: {},
      env: { ...env, ...changes },
      cwd: '/',
      homeDir: '/nowhere',
      readFile: () => undefined,
    })
  const { config } = loaded()
  expect(config).toMatchObject({
    engine: 'vllm',
    openaiUrls: [{ url: 'http://a', kind: 'vllm' }, { url: 'http://b' }],
    enginePrograms: new Map([
      ['vllm', '/opt/vllm/bin/vllm'],
      ['exllama', '/opt/tabby'],
    ]),
    modelFolders: new Map([['llama3.1:8b', 'meta-llama/Llama-3.1-8B-Instruct']]),
  })
  expect(() => loaded({ DROVER_OPENAI_URLS: 'http://a key=x' })).toThrow(
    'DROVER_OPENAI_URLS: "http://a key=x"',
  )
})
