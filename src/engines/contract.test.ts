import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { asked, specOf } from '../../test/support/engine-contract/bench.ts'
import { engineContract } from '../../test/support/engine-contract.ts'
import { answerOf, never } from '../../test/support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../../test/support/llama-server.ts'
import type { Engine } from './contract.ts'
import { createEmbeddedEngine } from './embedded/index.ts'
import { createLlamaCppEngine } from './llamacpp/index.ts'

const modelPath = join(import.meta.dirname, '../../assets/drover-tiny.gguf')
const runDir = await mkdtemp(join(tmpdir(), 'drover-run-'))
afterAll(() => rm(runDir, { recursive: true, force: true }))

const embedded = async (): Promise<Engine> => createEmbeddedEngine({ log: () => undefined })
const llamaCpp = async (): Promise<Engine> =>
  createLlamaCppEngine({
    serverPath: await ensureLlamaServer(),
    enginesDir: testEnginesDir,
    runDir,
    log: () => undefined,
  })

engineContract('embedded', embedded, modelPath)
engineContract('llama.cpp', llamaCpp, modelPath)

describe('both engines', () => {
  it('give the same answers of the trained model at temperature 0, and count the same tokens', async () => {
    const questions = ['What is the capital of France?', 'What is 3 plus 4?', 'Who wrote Hamlet?'].map(asked)
    const answers = []
    for (const create of [embedded, llamaCpp]) {
      const instance = await (await create()).launch(specOf(modelPath), never)
      const given = []
      for (const prompt of questions) {
        const { text, tokens, done } = await answerOf(instance, { prompt, maxTokens: 80 })
        const { promptTokens, outputTokens } = done.usage
        given.push({ text, tokens, reason: done.reason, promptTokens, outputTokens })
      }
      answers.push(given)
      await instance.close()
    }
    expect(answers[0]).toEqual(answers[1])
  })
})
