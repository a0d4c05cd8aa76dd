import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureLlamaServer, testEnginesDir } from '../../../test/support/llama-server.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'
import type { CompletionRequest, Engine, EngineEvent, EngineInstance, InstanceSpec } from '../contract.ts'
import { createLlamaCppEngine } from './index.ts'

let folder = ''
let modelPath = ''
let serverPath = ''
let engine: Engine
let instance: EngineInstance
const never = new AbortController().signal
const logged: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-llama-'))
  modelPath = join(folder, 'model.gguf')
  serverPath = await ensureLlamaServer()
  await writeSyntheticGguf(modelPath, { seed: 7 })
  engine = engineIn(join(folder, 'run'))
  instance = await engine.launch(spec(), never)
}, 300_000)
afterAll(async () => {
  await instance?.close()
  await rm(folder, { recursive: true, force: true })
})

function engineIn(runDir: string, path = serverPath): Engine {
  return createLlamaCppEngine({
    serverPath: path,
    enginesDir: testEnginesDir,
    runDir,
    log: (message) => logged.push(message),
  })
}

function spec(changes: Partial<InstanceSpec> = {}): InstanceSpec {
  return {
    id: 'test',
    modelName: 'synthetic',
    modelPath,
    projectorPaths: [],
    adapterPaths: [],
    contextLength: 512,
    slots: 4,
    embedding: false,
    gpuLayers: 'auto',
    threads: 1,
    flashAttention: 'auto',
    kvCacheType: 'f16',
    contextShift: true,
    stallTimeoutMs: 20_000,
    ...changes,
  }
}

function request(changes: Partial<CompletionRequest> = {}): CompletionRequest {
  return {
    prompt: 'the sheep',
    maxTokens: 24,
    stop: [],
    ...changes,
    sampling: {
      num_keep: 4,
      seed: 1,
      temperature: 0,
      top_k: 40,
      top_p: 0.9,
      min_p: 0,
      typical_p: 1,
      repeat_last_n: 64,
      repeat_penalty: 1,
      presence_penalty: 0,
      frequency_penalty: 0,
      ...changes.sampling,
    },
  }
}

/** Random weights end an answer anywhere; this makes one of at least 1,500 characters. */
const longAnswer = { format: { type: 'string', minLength: 1500 } }

const atTemperature = (temperature: number, seed: number): CompletionRequest['sampling'] => ({
  ...request().sampling,
  temperature,
  seed,
})

async function answer(changes: Partial<CompletionRequest> = {}, from = instance, signal = never) {
  const events: EngineEvent[] = []
  for await (const event of from.generate(request(changes), signal)) events.push(event)
  const tokens = events.filter((event) => event.type === 'token')
  const done = events.at(-1)
  if (done?.type !== 'done') throw new Error('the answer did not end with done')
  return {
    events,
    done,
    text: tokens.map(({ text }) => text).join(''),
    tokens: tokens.flatMap((event) => event.tokens),
  }
}

/** Starts a long answer; `begun` resolves at its first token, `ended` with the error that ends it. */
function begin(from: EngineInstance): { begun: Promise<void>; ended: Promise<unknown> } {
  let onBegun: () => void = () => undefined
  const begun = new Promise<void>((resolve) => {
    onBegun = resolve
  })
  const read = async () => {
    for await (const event of from.generate(request({ ...longAnswer, maxTokens: 100_000 }), never)) {
      if (event.type === 'token') onBegun()
    }
  }
  return { begun, ended: read().catch((error) => error) }
}

describe('an answer of llama-server', () => {
  it('tells the progress of the prompt, the tokens, and what they cost', async () => {
    const { events, done, tokens } = await answer({ prompt: `${'grass '.repeat(40)}once` })
    expect(events[0]).toMatchObject({ type: 'progress', processedTokens: 0 })
    expect(events.filter((event) => event.type === 'done')).toHaveLength(1)
    expect(done).toMatchObject({ reason: 'length', usage: { outputTokens: 24 } })
    expect(done.usage.promptTokens).toBeGreaterThan(40)
    expect(done.usage.promptMs).toBeGreaterThan(0)
    expect(done.usage.outputMs).toBeGreaterThan(0)
    expect(tokens.length).toBeGreaterThan(0)
    const again = await answer({ prompt: `${'grass '.repeat(40)}once` })
    expect(again.done.usage.cachedTokens).toBeGreaterThan(40)
  })

  it('to tokens is the answer to their text, with one BOS where the model has one', async () => {
    const tokens = await instance.tokenize('the sheep', { addSpecial: true })
    const plain = await answer()
    const fromTokens = await answer({ prompt: tokens })
    expect(fromTokens.text).toBe(plain.text)
    const withBos = await answer({ prompt: await instance.detokenize(tokens) })
    expect(withBos.done.usage.promptTokens).toBe(plain.done.usage.promptTokens)
    expect(withBos.text).toBe(plain.text)
  })

  it('never splits a character, and gives the tokens of those that take several', async () => {
    const wanted = 'žlutý 日本語 🐑👩‍👩‍👧 ∑'
    const { events, text, tokens, done } = await answer({ maxTokens: 200, format: { const: wanted } })
    expect(JSON.parse(text)).toBe(wanted)
    for (const event of events) if (event.type === 'token') expect(event.text).not.toContain('\uFFFD')
    expect(done.reason).toBe('stop')
    expect(await instance.detokenize(tokens)).toBe(text)
  })

  it('ends before a stop string wherever it begins, without a part of it', async () => {
    const whole = JSON.stringify({ animal: 'sheep', sound: 'baa' })
    const format = { const: { animal: 'sheep', sound: 'baa' } }
    for (const stop of ['"sheep"', 'ee', 'p","s', 'baa"}']) {
      const { text, done } = await answer({ maxTokens: 100, format, stop: ['never', stop] })
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)))
      expect(done).toMatchObject({ reason: 'stop', stopSequence: stop })
    }
    const kept = await answer({ maxTokens: 100, format, stop: ['sheepdog', 'baaa'] })
    expect(kept.text).toBe(whole)
    expect(kept.done.stopSequence).toBeUndefined()
  })

  it('keeps text that looked like a stop string when the token limit ends it', async () => {
    const free = await answer({ maxTokens: 6 })
    const ending = free.text.slice(-2)
    const held = await answer({ maxTokens: 6, stop: [`${ending}and more`] })
    expect(held.text).toBe(free.text)
    expect(held.done.reason).toBe('length')
  })

  it('carries the logarithms of probabilities, with as many alternatives as asked', async () => {
    const none = await answer({ maxTokens: 4, topLogprobs: 0 })
    const three = await answer({ maxTokens: 4, topLogprobs: 3 })
    const logprobs = (events: EngineEvent[]) =>
      events.flatMap((event) => (event.type === 'token' ? (event.logprobs ?? []) : []))
    expect(logprobs(none.events).length).toBeGreaterThan(0)
    for (const entry of logprobs(none.events)) {
      expect(entry.logprob).toBeLessThanOrEqual(0)
      expect(entry.top_logprobs).toBeUndefined()
    }
    for (const { top_logprobs = [], ...sampled } of logprobs(three.events)) {
      expect(top_logprobs).toHaveLength(3)
      expect(top_logprobs[0]).toEqual(sampled)
      expect(top_logprobs.map(({ logprob }) => logprob)).toEqual(
        top_logprobs.map(({ logprob }) => logprob).sort((a, b) => b - a),
      )
    }
  })

  it('repeats with its seed, and differs with another', async () => {
    const first = await answer({ sampling: atTemperature(1.5, 11) })
    expect((await answer({ sampling: atTemperature(1.5, 11) })).text).toBe(first.text)
    expect((await answer({ sampling: atTemperature(1.5, 12) })).text).not.toBe(first.text)
  })

  it('is a JSON object when JSON is asked for', async () => {
    const { text } = await answer({ format: 'json', maxTokens: 4 })
    expect(text.trimStart()[0]).toBe('{')
  })

  it('is refused by name when the prompt is too long or the schema is none', async () => {
    await expect(answer({ prompt: 'grass '.repeat(600) })).rejects.toMatchObject({
      code: 'context_exceeded',
      message: expect.stringMatching(/^the prompt is longer than the context length currently available/),
    })
    await expect(answer({ format: { type: 'nonsense' } })).rejects.toMatchObject({ code: 'invalid_format' })
    await expect(instance.embed(['x'], never)).rejects.toMatchObject({
      code: 'not_embedding_model',
      message: 'This server does not support embeddings. Start it with `--embeddings`',
    })
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
  })
})

describe('many requests', () => {
  it('of which 64 come at once to 4 slots wait their turn, and all are answered', async () => {
    const answers = Array.from({ length: 64 }, (_, index) => answer({ prompt: `sheep ${index}` }))
    expect(instance.load()).toEqual({ running: 4, waiting: 60 })
    const outputTokens = (await Promise.all(answers)).map(({ done }) => done.usage.outputTokens)
    expect(Math.min(...outputTokens)).toBeGreaterThan(0)
    expect(Math.max(...outputTokens)).toBe(24)
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
  })

  it('do not wait for one that is read slowly, and that one misses nothing', async () => {
    const slow = instance.generate(request({ ...longAnswer, maxTokens: 400 }), never)[Symbol.asyncIterator]()
    await slow.next()
    await answer({ prompt: 'quick' })
    await sleep(300)
    let output = 0
    for (let item = await slow.next(); !item.done; item = await slow.next()) {
      if (item.value.type === 'done') output = item.value.usage.outputTokens
    }
    expect(output).toBe(400)
  })
})

describe('an aborted request', () => {
  it('ends within a token, with the reason, and leaves its slot free', async () => {
    const control = new AbortController()
    let seen = 0
    const reading = async () => {
      for await (const event of instance.generate(request({ maxTokens: 100_000 }), control.signal)) {
        if (event.type === 'token' && ++seen === 5) control.abort(new Error('enough'))
      }
    }
    await expect(reading()).rejects.toThrow('enough')
    expect(seen).toBe(5)
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
    expect(await busySlots()).toBe(0)
  })

  it('leaves its slot free too when its reader just stops', async () => {
    for await (const event of instance.generate(request({ maxTokens: 100_000 }), never)) {
      if (event.type === 'token') break
    }
    expect(instance.load()).toEqual({ running: 0, waiting: 0 })
    expect(await busySlots()).toBe(0)
  })

  it('does nothing when it was aborted before, or while it waits', async () => {
    await expect(answer({}, instance, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
    const running = [1, 2, 3, 4].map(() => answer({ maxTokens: 200 }))
    const control = new AbortController()
    const waiting = answer({}, instance, control.signal)
    control.abort(new Error('while waiting'))
    await expect(waiting).rejects.toThrow('while waiting')
    await Promise.all(running)
  })

  /** What the server itself says, asked beside Drover's own connection. */
  async function busySlots(): Promise<number> {
    const key = await keyOf(instance.pid)
    const [run] = await readdir(join(folder, 'run'))
    const { Pool } = await import('undici')
    const pool = new Pool('http://localhost', { socketPath: join(folder, 'run', run ?? '', 'engine.sock') })
    try {
      const { body } = await pool.request({
        method: 'GET',
        path: '/slots',
        headers: { authorization: `Bearer ${key}` },
      })
      return ((await body.json()) as { is_processing: boolean }[]).filter((slot) => slot.is_processing).length
    } finally {
      await pool.close()
    }
  }
})

describe('an instance', () => {
  it('has the context, slots and memory that the engine reports, and its key in no argument', async () => {
    expect(instance).toMatchObject({ engine: 'llama.cpp', slots: 4, contextLength: 512 })
    expect(instance.memory.hostBytes).toBeGreaterThan(100_000)
    const key = await keyOf(instance.pid)
    expect(key).toHaveLength(64)
    expect(await psOutput('-ww', '-o', 'args=', '-p', String(instance.pid))).not.toContain(key)
  })

  it('whose process is killed fails its requests, says how it ended, and leaves no files', async () => {
    const runDir = join(folder, 'killed')
    const victim = await engineIn(runDir).launch(spec({ slots: 1 }), never)
    const { begun, ended: running } = begin(victim)
    await begun
    process.kill(victim.pid, 'SIGKILL')
    expect(await running).toMatchObject({
      code: 'engine_crashed',
      message: expect.stringContaining('SIGKILL'),
    })
    expect(await victim.exited).toMatchObject({ kind: 'crashed', reason: expect.stringContaining('SIGKILL') })
    await expect(answer({}, victim)).rejects.toMatchObject({ code: 'engine_crashed' })
    await victim.close()
    expect(await readdir(runDir)).toEqual([])
  })

  it('that is closed with time to drain ends what runs, and refuses what comes', async () => {
    const runDir = join(folder, 'drained')
    const draining = await engineIn(runDir).launch(spec(), never)
    const running = answer({ ...longAnswer, maxTokens: 100 }, draining)
    await sleep(5)
    const closing = draining.close({ drainMs: 20_000 })
    await expect(answer({}, draining)).rejects.toMatchObject({ code: 'shutting_down' })
    expect((await running).done.usage.outputTokens).toBe(100)
    await closing
    expect(await draining.exited).toMatchObject({ kind: 'closed' })
    expect(await readdir(runDir)).toEqual([])
  })

  it('that is draining is hurried by a second call', async () => {
    const draining = await engineIn(join(folder, 'hurried')).launch(spec(), never)
    const { begun, ended: running } = begin(draining)
    await begun
    const closing = draining.close({ drainMs: 600_000 })
    const hurriedMs = performance.now()
    await Promise.all([closing, draining.close()])
    expect(performance.now() - hurriedMs).toBeLessThan(3_000)
    expect(await running).toMatchObject({ code: 'engine_crashed' })
  })

  it('ends an answer at the end of the context, or goes on past it, as it was told', async () => {
    const bounded = await engineIn(join(folder, 'bounded')).launch(
      spec({ contextShift: false, slots: 1 }),
      never,
    )
    const sampling = { ...request().sampling, repeat_penalty: 1.3, repeat_last_n: -1 }
    const { done } = await answer({ ...longAnswer, maxTokens: 2_000, sampling }, bounded)
    expect(done.reason).toBe('length')
    expect(done.usage.promptTokens + done.usage.outputTokens).toBeLessThanOrEqual(bounded.contextLength + 1)
    await bounded.close()
    const shifted = await answer({ ...longAnswer, maxTokens: 700 })
    expect(shifted.done).toMatchObject({ reason: 'length', usage: { outputTokens: 700 } })
  })

  it('is reached through a port where the socket path would be too long', async () => {
    const runDir = join(folder, 'x'.repeat(100))
    const remote = await engineIn(runDir).launch(spec({ slots: 1 }), never)
    expect((await answer({}, remote)).text).toBe((await answer({}, remote)).text)
    await remote.close()
  })

  it('that embeds gives one normalised vector an input, the same for the same, and says what is too long', async () => {
    const embedder = await engineIn(join(folder, 'embed')).launch(spec({ embedding: true, slots: 1 }), never)
    const { embeddings, promptTokens } = await embedder.embed(['sheep', 'grass', 'sheep'], never)
    expect(embeddings).toHaveLength(3)
    for (const vector of embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
    expect(embeddings[2]).toEqual(embeddings[0])
    expect(embeddings[1]).not.toEqual(embeddings[0])
    expect(promptTokens).toBeGreaterThan(3)
    expect(await embedder.embed([], never)).toEqual({ embeddings: [], promptTokens: 0 })
    await expect(embedder.embed(['grass '.repeat(600)], never)).rejects.toMatchObject({
      code: 'context_exceeded',
      message: 'the input length exceeds the context length',
    })
    await embedder.close()
  })
})

describe('a launch', () => {
  it('that cannot succeed says why in the words of the engine, and leaves nothing', async () => {
    const runDir = join(folder, 'failing')
    const failing = engineIn(runDir)
    const junk = join(folder, 'junk.gguf')
    await writeFile(junk, 'this is no model')
    const cut = join(folder, 'cut.gguf')
    await writeFile(cut, await readFile(modelPath))
    await truncate(cut, 400_000)
    await expect(failing.launch(spec({ modelPath: junk }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('failed to load model from'),
    })
    await expect(failing.launch(spec({ modelPath: cut }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringMatching(/corrupted or incomplete|not within the file/),
    })
    // Keys and values of 128 KiB a token: a context of 2.4 million is more than any test machine has.
    const wide = join(folder, 'wide.gguf')
    await writeSyntheticGguf(wide, { layers: 8, heads: 32, headDim: 128, type: 'Q8_0' })
    const greedy = spec({ modelPath: wide, contextLength: 600_000 })
    await expect(failing.launch(greedy, never)).rejects.toMatchObject({ code: 'insufficient_memory' })
    expect(await readdir(runDir)).toEqual([])
  })

  it('that shows no sign of life is given up', async () => {
    const runDir = join(folder, 'stalled')
    const path = join(folder, 'sleepy-server')
    await writeFile(
      path,
      `#!/bin/sh\ncase $1 in --version|--help|--list-devices) exec "${serverPath}" "$1" ;; esac\necho about to load\nexec sleep 600\n`,
    )
    await chmod(path, 0o755)
    await expect(engineIn(runDir, path).launch(spec({ stallTimeoutMs: 300 }), never)).rejects.toMatchObject({
      code: 'load_stalled',
      message: expect.stringMatching(/no progress for \d+ ms.*about to load/),
    })
    expect(await readdir(runDir)).toEqual([])
    const control = new AbortController()
    const launch = engineIn(runDir, path).launch(spec(), control.signal)
    setTimeout(() => control.abort(new Error('not wanted any more')), 400)
    await expect(launch).rejects.toThrow('not wanted any more')
    expect(await readdir(runDir)).toEqual([])
  })

  it('without an engine says so', async () => {
    const missing = engineIn(join(folder, 'missing'), '/nowhere/llama-server')
    expect(await missing.probe()).toMatchObject({
      available: false,
      reason: expect.stringContaining('/nowhere'),
    })
    await expect(missing.launch(spec(), never)).rejects.toMatchObject({ code: 'engine_unavailable' })
  })
})

describe('after kill -9 of the process that launched it', () => {
  it('the server and its files are gone within five seconds, though it was answering', async () => {
    const runDir = join(folder, 'orphan')
    const script = `
      import { createLlamaCppEngine } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      const options = { serverPath: ${JSON.stringify(serverPath)}, enginesDir: '', runDir: ${JSON.stringify(runDir)}, log: () => {} }
      const instance = await createLlamaCppEngine(options).launch(${JSON.stringify(spec())}, new AbortController().signal)
      const request = ${JSON.stringify(request({ maxTokens: 1_000_000 }))}
      for await (const event of instance.generate(request, new AbortController().signal)) {
        if (event.type === 'token') { console.log(instance.pid); break }
      }
      for await (const event of instance.generate(request, new AbortController().signal)) {}`
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(owner.stdout, 'data')
    const pid = Number(line)
    process.kill(pid, 0)
    owner.kill('SIGKILL')
    const killedMs = performance.now()
    const isGone = async () => !isAlive(pid) && (await readdir(runDir)).length === 0
    while (!(await isGone()) && performance.now() - killedMs < 6_000) await sleep(50)
    expect(performance.now() - killedMs).toBeLessThan(5_000)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The instance's secret, from its environment: which only its own user and root can read. */
async function keyOf(pid: number): Promise<string> {
  const environment = await psOutput('eww', '-p', String(pid), '-o', 'command=')
  return /LLAMA_API_KEY=(\w+)/.exec(environment)?.[1] ?? ''
}

async function psOutput(...args: string[]): Promise<string> {
  return (await promisify(execFile)('ps', args)).stdout
}
