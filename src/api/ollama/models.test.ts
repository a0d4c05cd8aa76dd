import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { rfc3339NanoLocal } from '../go-json/index.ts'
import { stored, testApi } from '../testing/double.ts'

const modified = rfc3339NanoLocal(stored.modifiedAtMs)
const details =
  '"parent_model":"","format":"gguf","family":"llama","families":["llama"],"parameter_size":"1M","quantization_level":"F16"'

describe('lists of models', () => {
  it('tags shows the store', async () => {
    const { app } = testApi()
    const reply = await app.inject('/api/tags')
    expect(reply.body).toBe(
      `{"models":[{"name":"tiny:latest","model":"tiny:latest","modified_at":"${modified}","size":1234,` +
        `"digest":"${stored.digest}","details":{${details},"context_length":512,"embedding_length":4},` +
        '"capabilities":["completion","tools"]}]}',
    )
    const head = await app.inject({ method: 'HEAD', url: '/api/tags' })
    expect([head.statusCode, head.body]).toEqual([200, ''])
  })

  it('tags lists a model whose file cannot be read by its manifest', async () => {
    const describe = async () => {
      throw new DroverError('model_corrupt', 'blob is truncated')
    }
    const { app, lines } = testApi({ store: { describe } })
    const reply = await app.inject('/api/tags')
    expect(reply.body).toContain(`"details":{${details}}}`)
    expect(lines[0]).toMatchObject({ level: 'warn', facts: { reason: 'blob is truncated' } })
  })

  it('ps shows what runs, and "for ever" as a year after 2318', async () => {
    const running = { stored, contextLength: 4096, slots: 2, sizeBytes: 10, vramBytes: 5 }
    const soon = Date.now() + 60_000
    const { app } = testApi({
      loaded: [
        { ...running, expiresAtMs: Number.POSITIVE_INFINITY },
        { ...running, expiresAtMs: soon },
      ],
    })
    const { models } = JSON.parse((await app.inject('/api/ps')).body)
    expect(Number(models[0].expires_at.slice(0, 4))).toBeGreaterThanOrEqual(2318)
    expect(JSON.stringify(models[1])).toBe(
      `{"name":"tiny:latest","model":"tiny:latest","size":10,"digest":"${stored.digest}","details":{${details}},` +
        `"expires_at":"${rfc3339NanoLocal(soon)}","size_vram":5,"context_length":4096}`,
    )
  })
})

describe('show', () => {
  it('gives the keys of the original in its order', async () => {
    const { post } = testApi()
    const reply = await post('/api/show', { name: 'tiny', system: 'Other.' })
    const shown = JSON.parse(reply.body)
    expect(reply.statusCode).toBe(200)
    expect(Object.keys(shown)).toEqual([
      'license',
      'modelfile',
      'parameters',
      'template',
      'system',
      'details',
      'model_info',
      'tensors',
      'capabilities',
      'modified_at',
    ])
    expect(shown).toMatchObject({
      system: 'Other.',
      modified_at: modified,
      capabilities: ['completion', 'tools'],
    })
    expect(shown.model_info).not.toHaveProperty('general.name')
  })

  it('tells Copilot the name it asked for', async () => {
    const { post } = testApi()
    const reply = await post('/api/show', { model: 'TINY' }, { 'user-agent': 'GitHubCopilotChat/1.0' })
    expect(JSON.parse(reply.body).model_info['general.basename']).toBe('TINY')
  })
})

describe('embeddings', () => {
  it('embed gives every vector in the key order of the original', async () => {
    const { post, embedded } = testApi()
    const body = { model: 'tiny', input: ['a', 'b'], truncate: false, dimensions: 2, keep_alive: 0.5 }
    const reply = await post('/api/embed', body)
    expect(reply.body).toBe(
      '{"model":"tiny","embeddings":[[0.1,-0.25,1e-9],[0.1,-0.25,1e-9]],"total_duration":2000000,' +
        '"load_duration":1000000,"prompt_eval_count":4}',
    )
    expect(embedded[0]).toEqual({
      model: 'tiny',
      inputs: ['a', 'b'],
      options: {},
      truncate: false,
      dimensions: 2,
      keepAliveMs: 500,
    })
  })

  it.each([undefined, '', []])('embed of %j is an empty list', async (input) => {
    const { post } = testApi()
    expect((await post('/api/embed', { model: 'tiny', input })).body).toBe('{"model":"tiny","embeddings":[]}')
  })

  it('the older endpoint gives one vector as doubles, never cut', async () => {
    const { post, embedded } = testApi()
    const reply = await post('/api/embeddings', { model: 'tiny', prompt: 'a' })
    expect(reply.body).toBe(`{"embedding":[${Math.fround(0.1)},-0.25,${Math.fround(1e-9)}]}`)
    expect(embedded[0]).toMatchObject({ inputs: ['a'], truncate: false })
    expect((await post('/api/embeddings', { model: 'tiny' })).body).toBe('{"embedding":[]}')
  })

  it('the older endpoint turns failures of embedding into 500', async () => {
    const words = 'This server does not support embeddings. Start it with `--embeddings`'
    const embed = async () => {
      throw new DroverError('not_embedding_model', words)
    }
    const { post } = testApi({ embed })
    expect((await post('/api/embeddings', { model: 'tiny', prompt: 'a' })).statusCode).toBe(500)
    const newer = await post('/api/embed', { model: 'tiny', input: 'a' })
    expect([newer.statusCode, newer.body]).toEqual([501, JSON.stringify({ error: words })])
  })
})
