import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { EngineInstance } from '../../../src/engines/index.ts'
import { gguf, writeGguf } from '../../../src/models/gguf/write.ts'
import { syntheticContents, writeSyntheticGguf } from '../../../tools/synthetic.ts'
import { isAlive } from '../drover.ts'
import { answerOf, never, request } from '../llama-bench.ts'
import { type Abilities, type ContractBench, specOf } from './bench.ts'

/** How long a hurried close may take, on a machine that other tests share. */
const hurriedMs = 3_000

/** A model that never ends an answer and says nothing but control tokens. */
async function writeSpecialGguf(path: string): Promise<void> {
  const { metadata, tensors } = syntheticContents({ endless: true, layers: 2, seed: 5 })
  const { value } = metadata['tokenizer.ggml.token_type'] ?? {}
  if (!Array.isArray(value)) throw new Error('the vocabulary has no token types')
  const types = gguf.int32s(value.map(() => controlToken))
  await writeGguf(path, { metadata: { ...metadata, 'tokenizer.ggml.token_type': types }, tensors })
}

/** `LLAMA_TOKEN_TYPE_CONTROL` */
const controlToken = 3

/** How instances come and go. */
export function describeInstances(bench: ContractBench): void {
  /** A test that an engine has where it is able to. */
  const onlyWith = (ability: keyof Abilities) => (name: string, test: () => Promise<void>) => {
    if (bench.abilities[ability]) it(name, test)
  }

  describe('an instance', () => {
    it('says what it is', async () => {
      expect(await bench.engine.probe()).toMatchObject({ available: true, version: expect.any(String) })
      expect(bench.endless).toMatchObject({ engine: bench.engine.name, slots: 4 })
      expect(bench.endless.contextLength).toBeGreaterThanOrEqual(512)
      expect(bench.endless.memory.hostBytes).toBeGreaterThan(100_000)
    })

    onlyWith('files')('takes metadata otherwise than the file has it where it is told to', async () => {
      const { tokens } = await answerOf(bench.endless, { maxTokens: 8 })
      const end = tokens[4] ?? 0
      const told = await bench.launch({ metadataOverrides: { 'tokenizer.ggml.eos_token_id': end } })
      const { done, tokens: fewer } = await answerOf(told, { maxTokens: 8 })
      await told.close()
      expect(done.reason).toBe('stop')
      expect(fewer.filter((token) => token !== end)).toEqual(tokens.slice(0, tokens.indexOf(end)))
    })

    onlyWith('tokens')('shows of special tokens those that are asked for, and no others', async () => {
      const path = join(bench.folder, 'special.gguf')
      await writeSpecialGguf(path)
      const instance = await bench.engine.launch(specOf(path), never)
      const hidden = await answerOf(instance, { maxTokens: 8 })
      const names = await Promise.all(hidden.tokens.map((token) => instance.detokenize([token])))
      const shown = await answerOf(instance, { maxTokens: 8, preservedTokens: names })
      const [first = ''] = names
      const one = await answerOf(instance, { maxTokens: 8, preservedTokens: [first] })
      await instance.close()
      expect([hidden.text, shown.tokens]).toEqual(['', hidden.tokens])
      expect(shown.text).toBe(names.join(''))
      expect(one.text).toBe(names.filter((name) => name === first).join(''))
    })

    it('whose process is killed fails its requests and says how it ended', async () => {
      const victim = await bench.launch({ slots: 1 })
      const reading = begin(victim)
      await reading.begun
      const waiting = answerOf(victim).catch((error: unknown) => error)
      process.kill(victim.pid, 'SIGKILL')
      for (const error of [await reading.ended, await waiting]) {
        expect(error).toMatchObject({ code: 'engine_crashed', message: expect.stringContaining('SIGKILL') })
      }
      expect(await victim.exited).toMatchObject({
        kind: 'crashed',
        reason: expect.stringContaining('SIGKILL'),
      })
      await expect(answerOf(victim)).rejects.toMatchObject({ code: 'engine_crashed' })
      await victim.close()
    })

    it('that is closed with time to drain ends what runs, and refuses what comes', async () => {
      const draining = await bench.launch()
      const running = answerOf(draining, { maxTokens: 200 })
      await sleep(5)
      const closing = draining.close({ drainMs: 30_000 })
      await expect(answerOf(draining)).rejects.toMatchObject({ code: 'shutting_down' })
      expect((await running).done.usage.outputTokens).toBe(200)
      await closing
      expect(await draining.exited).toMatchObject({ kind: 'closed' })
      expect(isAlive(draining.pid)).toBe(false)
    })

    it('that drains is hurried by a second call, and closed at once fails what runs', async () => {
      const draining = await bench.launch({ contextShift: true })
      const reading = begin(draining)
      await reading.begun
      const closing = draining.close({ drainMs: 600_000 })
      const calledMs = performance.now()
      await Promise.all([closing, draining.close()])
      expect(performance.now() - calledMs).toBeLessThan(hurriedMs)
      expect(await reading.ended).toMatchObject({ code: 'engine_crashed' })
      expect(isAlive(draining.pid)).toBe(false)
    })

    it('that embeds gives one normalised vector an input, and says what is too long', async () => {
      const embedderPath = join(bench.folder, 'embedder.gguf')
      await writeSyntheticGguf(embedderPath, { embeddingModel: true, seed: 5 })
      const embedder = await bench.engine.launch(specOf(embedderPath, { embedding: true, slots: 2 }), never)
      const { embeddings, promptTokens } = await embedder.embed(['sheep', 'grass', 'sheep'], never)
      expect(embeddings).toHaveLength(3)
      for (const vector of embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 4)
      expect(embeddings[2]).toEqual(embeddings[0])
      expect(embeddings[1]).not.toEqual(embeddings[0])
      const counts = await Promise.all(
        ['sheep', 'grass', 'sheep'].map((text) => embedder.tokenize(text, { addSpecial: true })),
      )
      expect(promptTokens).toBe(counts.reduce((sum, tokens) => sum + tokens.length, 0))
      expect(await embedder.embed([], never)).toEqual({ embeddings: [], promptTokens: 0 })
      const ofNothing = (await embedder.embed(['sheep', ''], never)).embeddings
      expect(ofNothing.map((vector) => vector.length)).toEqual([128, 128])
      await expect(embedder.embed(['grass '.repeat(600)], never)).rejects.toMatchObject({
        code: 'context_exceeded',
        message: 'the input length exceeds the context length',
      })
      await expect(bench.trained.embed(['x'], never)).rejects.toMatchObject({ code: 'not_embedding_model' })
      await embedder.close()
    })
  })

  describe('a launch', () => {
    onlyWith('files')('that cannot succeed says why, and leaves nothing', async () => {
      const junk = join(bench.folder, 'junk.gguf')
      await writeFile(junk, 'this is no model')
      const cut = join(bench.folder, 'cut.gguf')
      await writeFile(cut, await readFile(bench.endlessPath))
      await truncate(cut, 300_000)
      const launched = (path: string) => bench.engine.launch(specOf(path), never)
      await expect(launched(junk)).rejects.toMatchObject({
        code: 'load_failed',
        message: expect.stringContaining('contract'),
      })
      await expect(launched(cut)).rejects.toMatchObject({
        code: 'load_failed',
        message: expect.stringMatching(/corrupted or incomplete|not within the file/),
      })
      await expect(launched(join(bench.folder, 'missing.gguf'))).rejects.toMatchObject({
        code: 'load_failed',
      })
    })

    onlyWith('files')('that needs more memory than there is says so', async () => {
      // Keys and values of 128 KiB a token: a context of 2.4 million is more than any test machine has.
      const wide = join(bench.folder, 'greedy.gguf')
      await writeSyntheticGguf(wide, { layers: 8, heads: 32, headDim: 128 })
      const greedy = bench.engine.launch(specOf(wide, { contextLength: 600_000 }), never)
      await expect(greedy).rejects.toMatchObject({ code: 'insufficient_memory' })
    })

    it('that is aborted ends with the reason', async () => {
      const control = new AbortController()
      const launched = bench.engine.launch(specOf(bench.endlessPath), control.signal)
      setTimeout(() => control.abort(new Error('not wanted any more')), 20)
      await expect(launched).rejects.toThrow('not wanted any more')
    })
  })
}

/** Starts an answer that goes on; `begun` resolves at its first token, `ended` with the error that ends it. */
function begin(from: EngineInstance): { begun: Promise<void>; ended: Promise<unknown> } {
  let onBegun: () => void = () => undefined
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve
  })
  const read = async () => {
    for await (const event of from.generate(request({ maxTokens: 100_000 }), never)) {
      if (event.type === 'token') onBegun()
    }
    throw new Error('the answer ended by itself')
  }
  return { begun, ended: read().catch((error: unknown) => error) }
}
