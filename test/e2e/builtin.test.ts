import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ndjson, post, startDrover, type TestDrover } from '../support/drover.ts'

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Get the weather',
    parameters: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } },
  },
}
const messages = [{ role: 'user', content: 'What is the capital of France?' }]

describe('models whose config names a renderer and a parser', () => {
  let home: string
  let drover: TestDrover
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'drover-builtin-'))
    drover = await startDrover({ modelsDir: home, env: { DROVER_ENGINE: 'embedded' } })
  })
  afterAll(async () => {
    await drover.stop()
    await rm(home, { recursive: true })
  })

  const create = async (model: string, more: object) => {
    const { text } = await post(`${drover.url}/api/create`, { model, from: 'drover', ...more })
    expect(ndjson(text).at(-1)).toEqual({ status: 'success' })
  }
  const chat = async (model: string, more: object = {}) => {
    const body = { model, messages, stream: false, options: { temperature: 0 }, ...more }
    const { status, text } = await post(`${drover.url}/api/chat`, body)
    return { status, ...JSON.parse(text) }
  }
  const show = async (model: string) => JSON.parse((await post(`${drover.url}/api/show`, { model })).text)

  it('are prompted as their family is', async () => {
    await create('coder', { renderer: 'qwen3-coder', parser: 'qwen3-coder' })
    const { _debug_info: info } = await chat('coder', { _debug_render_only: true, tools: [weather] })
    expect(info.rendered_template).toMatch(
      /^<\|im_start\|>system\nYou are Qwen.*<name>get_weather<\/name>.*assistant\n$/s,
    )
    expect((await show('coder')).capabilities).toContain('tools')
  })

  it('think as their family does, and have their thoughts told apart', async () => {
    await create('thinker', { renderer: 'qwen3-vl-thinking', parser: 'qwen3-vl-thinking' })
    expect((await show('thinker')).capabilities).toContain('thinking')
    const { message, done } = await chat('thinker')
    expect(done).toBe(true)
    expect(message.thinking ?? '').not.toBe('')
    expect(message.content).toContain('Paris')
    expect(message.content).not.toContain('</think>')
  })

  it('answer in JSON behind their thought', async () => {
    // Bounded: a prompt of a format that the small model was not made for lets it talk without end.
    const capital = { type: 'string', maxLength: 40 }
    const schema = { type: 'object', properties: { capital }, required: ['capital'] }
    const { message } = await chat('thinker', { format: schema })
    expect(message.thinking ?? '').not.toBe('')
    expect(JSON.parse(message.content)).toEqual({ capital: expect.any(String) })
  })

  it('are shown, and refused by name, where this version does not know the family', async () => {
    await create('future', { renderer: 'qwen9', parser: 'qwen9' })
    expect((await show('future')).details.family).toBe('llama')
    const { status, error } = await chat('future')
    expect([status, error]).toEqual([400, expect.stringContaining('renderer "qwen9"')])
  })
})
