/** What is the same for every server, with one that nobody knows. */
import { afterEach, describe, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never } from '../../../test/support/llama-bench.ts'
import { openAiEngine } from '../../../test/support/openai-servers.ts'
import { type Answers, startReplay } from '../../../test/support/replay-server.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const chunk = (text: string, finish_reason: string | null = null) => ({
  choices: [{ index: 0, text, finish_reason }],
})

async function attached(answers: Answers, target: object = {}) {
  const server = await startReplay({
    'GET /v1/models': { json: { data: [{ id: 'contract', owned_by: 'somebody' }] } },
    ...answers,
  })
  open.push(server)
  const logged: string[] = []
  const engine = openAiEngine([{ url: server.url, contextLength: 100, ...target }], (message) =>
    logged.push(message),
  )
  // No file from which its vocabulary could be read.
  const instance = await engine.launch(specOf('/nowhere/model'), never)
  open.push(instance)
  return { server, instance, logged }
}

describe('a server that nobody knows', () => {
  it('is asked for its routes, and whatever cannot be counted is estimated', async () => {
    const { server, instance, logged } = await attached({
      'POST /v1/completions': ({ body }) =>
        body['prompt'] === undefined
          ? { status: 422, json: { detail: [{ loc: ['body', 'prompt'], msg: 'Field required' }] } }
          : { events: [chunk('one '), chunk('two', 'length'), 'DONE'] },
    })
    expect(instance).toMatchObject({ tokensAtEnd: true, contextLength: 100 })
    expect(instance.chatOnly).toBeUndefined()
    const { text, tokens, done } = await answerOf(instance, { prompt: 'x'.repeat(88), maxTokens: 1_000 })
    expect({ text, tokens }).toEqual({ text: 'one two', tokens: [] })
    expect(done).toMatchObject({ reason: 'length', usage: { promptTokens: 0, outputTokens: 2 } })
    const [, body] = server.asked('POST /v1/completions')
    expect(body).toMatchObject({ model: 'contract', max_tokens: 70 })
    expect(Object.keys(body ?? {})).not.toContain('top_k')
    await answerOf(instance)
    expect(logged).toEqual([expect.stringContaining('answers of contract come without their tokens')])
  })

  it('that ends an answer without its end has failed', async () => {
    const { instance } = await attached({ 'POST /v1/completions': { events: [chunk('one '), 'DONE'] } })
    await expect(answerOf(instance)).rejects.toMatchObject({
      code: 'engine_failed',
      message: expect.stringContaining('the server ended the answer before its last event'),
    })
  })

  it('shows nothing of a stop string that it sends itself, nor of what comes behind', async () => {
    const pieces = ['a b', 'aa', ' and', ' so', ' on'].map((text) => chunk(text))
    const { instance } = await attached({
      'POST /v1/completions': { events: [...pieces, chunk('', 'stop'), 'DONE'] },
    })
    const { text, done } = await answerOf(instance, { stop: ['baa'] })
    expect(text).toBe('a ')
    expect(done).toMatchObject({ reason: 'stop', stopSequence: 'baa' })
  })

  it('refuses pictures beside prompts, and formats that were begun elsewhere', async () => {
    const { instance } = await attached({ 'POST /v1/completions': { events: [chunk('', 'stop'), 'DONE'] } })
    const pictures = answerOf(instance, { images: [Uint8Array.of(1)] })
    await expect(pictures).rejects.toMatchObject({ code: 'unsupported' })
    const begun = answerOf(instance, { format: 'json', formatPrefix: '{' })
    await expect(begun).rejects.toMatchObject({ code: 'unsupported' })
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
  })

  it('that is closed fails what runs, or lets it end first', async () => {
    const { instance } = await attached({ 'POST /v1/completions': { events: [chunk('a', 'stop'), 'DONE'] } })
    const running = answerOf(instance)
    const closing = instance.close({ drainMs: 10_000 })
    await expect(answerOf(instance)).rejects.toMatchObject({ code: 'shutting_down' })
    expect((await running).text).toBe('a')
    await closing
    expect(await instance.exited).toMatchObject({ kind: 'closed' })
  })
})
