import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createLlamaCppEngine, type Engine, type EngineInstance } from '../../src/engines/index.ts'
import { deepenGguf } from '../../tools/deepen.ts'
import { until } from '../support/drover.ts'
import { asked, specOf } from '../support/engine-contract/bench.ts'
import { answerOf, never } from '../support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../support/llama-server.ts'

const small = join(import.meta.dirname, '../../assets/drover-tiny.gguf')
const prompts = ['What is the capital of France?', 'What is 3 plus 4?', 'Tell me a story.'].map(asked)

let folder: string
/** The bundled model with layers that change nothing: it says the same, and takes seven times as long. */
let large: string
let engine: Engine
const said: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-draft-'))
  large = join(folder, 'large.gguf')
  await deepenGguf(small, large, 24)
  engine = createLlamaCppEngine({
    serverPath: await ensureLlamaServer(),
    enginesDir: testEnginesDir,
    runDir: join(folder, 'run'),
    log: (message) => said.push(message),
  })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const launch = (modelPath: string, draftPath?: string) =>
  engine.launch(
    specOf(modelPath, { slots: 1, ...(draftPath && { draft: { modelPath: draftPath, mostTokens: 6 } }) }),
    never,
  )

async function answers(instance: EngineInstance) {
  const given = []
  for (const prompt of prompts) given.push(await answerOf(instance, { prompt, maxTokens: 100 }))
  return given
}

it('a small model that guesses ahead leaves the text of a large one as it is, and its guesses are counted', async () => {
  const alone = await launch(large)
  const expected = (await answers(alone)).map(({ text, tokens }) => ({ text, tokens }))
  expect(alone.speculation).toBeUndefined()
  await alone.close()

  const drafted = await launch(large, small)
  const given = await answers(drafted)
  expect(given.map(({ text, tokens }) => ({ text, tokens }))).toEqual(expected)
  const usages = given.map(({ done }) => done.usage)
  for (const { draftTokens = 0, draftAcceptedTokens = 0, outputTokens } of usages) {
    expect(draftTokens).toBeGreaterThan(0)
    expect(draftAcceptedTokens).toBeGreaterThan(outputTokens / 2)
    expect(draftAcceptedTokens).toBeLessThanOrEqual(draftTokens)
  }
  await until(
    'steps without a guess are measured',
    10_000,
    () => drafted.speculation?.().plainTokensPerS !== undefined,
  )
  const figures = drafted.speculation?.()
  const sum = (key: 'draftTokens' | 'draftAcceptedTokens') =>
    usages.reduce((all, usage) => all + (usage[key] ?? 0), 0)
  expect(figures).toMatchObject({
    draftTokens: sum('draftTokens'),
    acceptedTokens: sum('draftAcceptedTokens'),
  })
  expect(figures?.decodeTokensPerS).toBeGreaterThan(0)
  await drafted.close()
})

it('guesses that cost more than they bring are left out of the next instance', async () => {
  const slow = join(folder, 'slow.gguf')
  await deepenGguf(small, slow, 8)
  const slowed = await launch(small, slow)
  const prompt = prompts[2] ?? ''
  let reason: string | undefined
  slowed.outdated?.then((told) => {
    reason = told
  })
  await until('it is found out', 60_000, async () => {
    await answerOf(slowed, { prompt, maxTokens: 40 })
    return reason !== undefined
  })
  expect(reason).toMatch(
    /^guessing ahead loses: contract says [\d.]+ tokens\/s with its draft model, [\d.]+ without/,
  )
  expect(slowed.speculation?.().verdict).toBe('loses')
  expect(said.join('\n')).toContain('the next instance goes without')
  await slowed.close()

  const next = await launch(small, slow)
  expect(next.speculation?.()).toMatchObject({ switchedOff: true, verdict: 'loses' })
  expect((await answerOf(next, { prompt, maxTokens: 20 })).done.usage.draftTokens).toBeUndefined()
  expect(engine.commands?.(specOf(small, { draft: { modelPath: slow } }))[0]?.argv.join(' ')).not.toContain(
    large,
  )
  await next.close()
})
