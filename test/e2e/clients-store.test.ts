import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ollama } from 'ollama'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { startDrover, type TestDrover } from '../support/drover.ts'
import { quietLog } from '../support/quiet-log.ts'

let home: string
let drover: TestDrover
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-clients-'))
  const modelsDir = join(home, 'models')
  const path = join(home, 'embedder.gguf')
  await writeSyntheticGguf(path, { architecture: 'bert', layers: 2, dim: 64, heads: 2, context: 256 })
  await (await openStore({ root: modelsDir, log: quietLog })).importGguf('embedder', { path })
  drover = await startDrover({ modelsDir, env: { DROVER_ENGINE: 'embedded' } })
})
afterAll(async () => {
  expect(await drover.stop()).toBe(0)
  await rm(home, { recursive: true })
})

const statuses = async (progress: AsyncIterable<{ status: string }>) => {
  const seen: string[] = []
  for await (const { status } of progress) seen.push(status)
  return seen
}

describe('the ollama client', () => {
  const client = () => new Ollama({ host: drover.url })

  it('makes, shows, copies and removes models', async () => {
    const ollama = client()
    const steps = await ollama.create({
      model: 'poet',
      from: 'drover',
      system: 'You are a poet.',
      stream: true,
    })
    expect((await statuses(steps)).at(-1)).toBe('success')
    const shown = await ollama.show({ model: 'poet' })
    expect(shown.system).toBe('You are a poet.')
    expect(await ollama.copy({ source: 'poet', destination: 'bard' })).toEqual({ status: 'success' })
    expect((await ollama.list()).models.map(({ name }) => name)).toContain('bard:latest')
    for (const model of ['poet', 'bard']) {
      expect(await ollama.delete({ model })).toEqual({ status: 'success' })
    }
    await expect(ollama.show({ model: 'poet' })).rejects.toMatchObject({ status_code: 404 })
  })

  it('makes a model without streaming, and is told what is wrong', async () => {
    const ollama = client()
    const made = await ollama.create({ model: 'poet', from: 'drover', parameters: { temperature: 0 } })
    expect(made.status).toBe('success')
    await ollama.delete({ model: 'poet' })
    await expect(ollama.create({ model: 'bad name', from: 'drover' })).rejects.toThrow('invalid model name')
  })

  it('is told why a pull or a push fails', async () => {
    const ollama = client()
    const pull = { model: 'http://127.0.0.1:1/a/b', insecure: true }
    await expect(ollama.pull(pull)).rejects.toThrow(/pull model manifest/)
    await expect(statuses(await ollama.pull({ ...pull, stream: true }))).rejects.toThrow(
      /pull model manifest/,
    )
    await expect(ollama.push({ model: 'nope' })).rejects.toThrow()
  })

  it('embeds one text and several, the newer and the older way', async () => {
    const ollama = client()
    const { embeddings } = await ollama.embed({ model: 'embedder', input: ['a', 'b'] })
    expect(embeddings.map((vector) => vector.length)).toEqual([64, 64])
    expect((await ollama.embeddings({ model: 'embedder', prompt: 'a' })).embedding).toHaveLength(64)
  })

  it('generates, streamed and whole', async () => {
    const ollama = client()
    const request = { model: 'drover', prompt: 'What is the capital of France?', think: false }
    const whole = await ollama.generate({ ...request, options: { temperature: 0 } })
    let text = ''
    for await (const part of await ollama.generate({
      ...request,
      stream: true,
      options: { temperature: 0 },
    })) {
      text += part.response
    }
    expect(whole.response).toContain('Paris')
    expect(text).toBe(whole.response)
  })
})

describe('the openai client', () => {
  const client = () => new OpenAI({ baseURL: `${drover.url}/v1`, apiKey: 'unused', maxRetries: 0 })

  it('embeds as numbers, which it asks for in base64', async () => {
    const { data, usage } = await client().embeddings.create({ model: 'embedder', input: ['a', 'b'] })
    expect(data.map(({ embedding, index }) => [embedding.length, index])).toEqual([
      [64, 0],
      [64, 1],
    ])
    const plain = await client().embeddings.create({
      model: 'embedder',
      input: 'a',
      encoding_format: 'float',
    })
    const difference = (plain.data[0]?.embedding ?? []).map(
      (value, at) => value - (data[0]?.embedding[at] ?? 0),
    )
    expect(Math.max(...difference.map(Math.abs))).toBeLessThan(1e-6)
    expect(usage.total_tokens).toBeGreaterThan(0)
  })

  it('looks a model up', async () => {
    expect(await client().models.retrieve('drover')).toMatchObject({ id: 'drover', object: 'model' })
    await expect(client().models.retrieve('nope')).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })

  it('streams a completion', async () => {
    const stream = await client().completions.create({
      model: 'drover',
      prompt: 'What is the capital of France?',
      stream: true,
      temperature: 0,
    })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? ''
    expect(text).toContain('Paris')
  })

  it('is told that a model does not hear', async () => {
    const file = await toFile(Buffer.from('RIFF'), 'a.wav')
    const asked = client().audio.transcriptions.create({ model: 'drover', file })
    await expect(asked).rejects.toThrow(/does not support audio/)
    await expect(asked).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  })
})
