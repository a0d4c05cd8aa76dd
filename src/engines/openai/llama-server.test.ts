/** A real llama-server, started as somebody else would, and attached by OpenAI's routes. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeAnswers } from '../../../test/support/engine-contract/answers.ts'
import { asked, createBench, specOf } from '../../../test/support/engine-contract/bench.ts'
import { describeRequests } from '../../../test/support/engine-contract/requests.ts'
import { describeResume } from '../../../test/support/engine-contract/resume.ts'
import { answerOf, begin, never } from '../../../test/support/llama-bench.ts'
import { openAiEngine, overLlamaServers, startLlamaServer } from '../../../test/support/openai-servers.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'

const trainedPath = join(import.meta.dirname, '../../../assets/drover-tiny.gguf')
const bench = createBench({ tokens: true, details: false, files: true })
beforeAll(() => bench.open(overLlamaServers(), trainedPath), 300_000)
afterAll(bench.remove)

describe("a llama-server by OpenAI's routes", () => {
  describeAnswers(bench)
  describeRequests(bench)
  describeResume(bench)
})

const france = { prompt: asked('What is the capital of France?'), maxTokens: 60 }

describe('llama-servers that run already', () => {
  it('say what they are, which models they have, and their load', async () => {
    const server = await startLlamaServer(specOf(trainedPath, { slots: 2 }))
    const engine = openAiEngine([{ url: server.url }])
    try {
      expect(await engine.probe()).toMatchObject({ available: true, version: 'llama-server, of no version' })
      await expect(engine.launch(specOf(trainedPath), never)).rejects.toMatchObject({
        code: 'load_failed',
        message: expect.stringMatching(
          /llama-server at http:\S+ serves no contract: it has .*drover-tiny.gguf/,
        ),
      })
      const instance = await engine.launch(specOf(trainedPath, { modelName: trainedPath }), never)
      expect(instance).toMatchObject({ engine: 'openai', pid: 0, slots: 2, contextLength: 512 })
      await instance.ping(never)
      expect(instance.load()).toEqual({ running: 0, waiting: 0, server: { running: 0, waiting: 0 } })
      const { text, done } = await answerOf(instance, { ...france, stop: ['Paris'] })
      expect(text).not.toContain('Paris')
      expect(done).toMatchObject({ reason: 'stop', stopSequence: 'Paris' })
      expect(done.usage.promptTokens).toBeGreaterThan(10)
      await instance.close()
      // Another's server is only let go.
      expect((await fetch(`${server.url}/health`)).status).toBe(200)
    } finally {
      await server.stop()
    }
  })

  it('share what comes, those with fewer instances first, and are left when they die', async () => {
    const servers = await Promise.all([1, 2].map(() => startLlamaServer(specOf(trainedPath, { slots: 1 }))))
    const logged: string[] = []
    const targets = servers.map(({ url }) => ({ url, model: 'contract' }))
    const engine = openAiEngine(targets, (message) => logged.push(message))
    try {
      const [first, second] = [
        await engine.launch(specOf(trainedPath), never),
        await engine.launch(specOf(trainedPath), never),
      ]
      const reading = begin(first)
      await reading.begun
      servers[0]?.process.kill('SIGKILL')
      expect(await reading.ended).toMatchObject({ code: 'engine_crashed' })
      expect(await first.exited).toMatchObject({
        kind: 'crashed',
        reason: expect.stringMatching(/^llama-server at http:\S+ has ended: .*ECONNREFUSED/),
      })
      expect(logged.join()).toContain('instance contract of contract ended')
      await expect(answerOf(first)).rejects.toMatchObject({ code: 'engine_crashed' })
      expect((await answerOf(second, france)).text).toContain('Paris')
      // The dead one is passed over.
      const third = await engine.launch(specOf(trainedPath), never)
      expect((await answerOf(third, france)).text).toContain('Paris')
      await Promise.all([first, second, third].map((instance) => instance.close()))
    } finally {
      await Promise.all(servers.map((server) => server.stop()))
    }
    expect(await engine.probe()).toMatchObject({
      available: false,
      reason: expect.stringMatching(/^no server answers\. .*ECONNREFUSED.*correct openaiUrls\.$/),
    })
  })

  it('that embed give one normalised vector an input, and those that do not say so', async () => {
    const path = join(bench.folder, 'embedder.gguf')
    await writeSyntheticGguf(path, { embeddingModel: true, seed: 5 })
    const embedder = await bench.engine.launch(specOf(path, { embedding: true, slots: 2 }), never)
    const { embeddings, promptTokens } = await embedder.embed(['sheep', 'grass', 'sheep', ''], never)
    expect(embeddings).toHaveLength(4)
    for (const vector of embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 4)
    expect(embeddings[2]).toEqual(embeddings[0])
    expect(embeddings[1]).not.toEqual(embeddings[0])
    expect(promptTokens).toBeGreaterThan(3)
    await expect(embedder.embed(['grass '.repeat(600)], never)).rejects.toMatchObject({
      code: 'context_exceeded',
      message: 'the input length exceeds the context length',
    })
    await expect(bench.trained.embed(['x'], never)).rejects.toMatchObject({ code: 'not_embedding_model' })
    await embedder.close()
  })
})
