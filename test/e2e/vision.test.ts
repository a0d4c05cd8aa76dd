import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSyntheticProjector } from '../../tools/synthetic/projector.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { ndjson, post, startDrover, type TestDrover } from '../support/drover.ts'
import { engineEnv } from '../support/engines.ts'
import { picture } from '../support/picture.ts'

const red = picture(255, 0, 0).toString('base64')
const blue = picture(0, 0, 255).toString('base64')
const options = { num_predict: 12, temperature: 0, seed: 1 }

describe('a model that sees, on llama.cpp', () => {
  let home: string
  let drover: TestDrover

  const upload = async (path: string): Promise<string> => {
    const bytes = await readFile(path)
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const reply = await fetch(`${drover.url}/api/blobs/${digest}`, { method: 'POST', body: bytes })
    expect(reply.status).toBe(201)
    return digest
  }

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'drover-vision-'))
    drover = await startDrover({ modelsDir: home, demo: false, env: await engineEnv('llama.cpp') })
    const model = join(home, 'model.gguf')
    const projector = join(home, 'projector.gguf')
    await writeSyntheticGguf(model, { seed: 3, endless: true })
    await writeSyntheticProjector(projector, { modelDim: 128 })
    const files = { 'model.gguf': await upload(model), 'projector.gguf': await upload(projector) }
    const created = await post(`${drover.url}/api/create`, { model: 'see', files })
    expect(ndjson(created.text).at(-1)).toEqual({ status: 'success' })
  })
  afterAll(async () => {
    await drover.stop()
    await rm(home, { recursive: true })
  })

  const chat = async (...messages: object[]) => {
    const { status, text } = await post(`${drover.url}/api/chat`, {
      model: 'see',
      stream: false,
      options,
      messages,
    })
    expect(status, text).toBe(200)
    return JSON.parse(text).message.content as string
  }

  it('says so', async () => {
    const shown = JSON.parse((await post(`${drover.url}/api/show`, { model: 'see' })).text)
    expect(shown.capabilities).toContain('vision')
    expect(shown.projector_info['general.architecture']).toBe('clip')
  })

  it('answers by the picture in a chat, wherever it stands', async () => {
    const ask = (image: string) => chat({ role: 'user', content: 'what is this', images: [image] })
    const ofRed = await ask(red)
    expect(await ask(blue)).not.toBe(ofRed)
    expect(await ask(red)).toBe(ofRed)
    const earlier = (image: string) =>
      chat(
        { role: 'user', content: 'look', images: [image] },
        { role: 'assistant', content: 'I see.' },
        { role: 'user', content: 'what was it' },
      )
    expect(await earlier(red)).not.toBe(await earlier(blue))
  })

  it('answers by the picture of a generate request', async () => {
    const ask = async (image: string) => {
      const body = { model: 'see', prompt: 'what is this', images: [image], stream: false, options }
      return JSON.parse((await post(`${drover.url}/api/generate`, body)).text).response
    }
    expect(await ask(red)).not.toBe(await ask(blue))
  })

  it('takes pictures by the other APIs too', async () => {
    const openai = async (image: string) => {
      const { text } = await post(`${drover.url}/v1/chat/completions`, {
        model: 'see',
        max_tokens: 12,
        temperature: 0,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } },
              { type: 'text', text: 'what is this' },
            ],
          },
        ],
      })
      return JSON.parse(text).choices[0].message.content
    }
    expect(await openai(red)).not.toBe(await openai(blue))
    const anthropic = async (data: string) => {
      const { text } = await post(`${drover.url}/v1/messages`, {
        model: 'see',
        max_tokens: 12,
        temperature: 0,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data } },
              { type: 'text', text: 'what is this' },
            ],
          },
        ],
      })
      return JSON.parse(text).content[0].text
    }
    expect(await anthropic(red)).not.toBe(await anthropic(blue))
  })

  it('refuses what is no picture, and goes on', async () => {
    const images = [Buffer.from('no picture').toString('base64')]
    const refused = await post(`${drover.url}/api/chat`, {
      model: 'see',
      messages: [{ role: 'user', content: 'what is this', images }],
    })
    expect([refused.status, JSON.parse(refused.text).error]).toEqual([400, expect.stringMatching(/image/)])
    expect(await chat({ role: 'user', content: 'still there?' })).not.toBe('')
  })
})
