import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  answerOf,
  begin,
  type LlamaBench,
  longAnswer,
  never,
  openLlamaBench,
  request,
} from '../../../test/support/llama-bench.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'

let bench: LlamaBench

beforeAll(async () => {
  bench = await openLlamaBench()
}, 300_000)
afterAll(() => bench?.remove())

describe('an instance', () => {
  it('whose process is killed fails its requests, says how it ended, and leaves no files', async () => {
    const runName = 'killed'
    const victim = await bench.engineIn(runName).launch(bench.spec({ slots: 1 }), never)
    const { begun, ended: running } = begin(victim)
    await begun
    process.kill(victim.pid, 'SIGKILL')
    expect(await running).toMatchObject({
      code: 'engine_crashed',
      message: expect.stringContaining('SIGKILL'),
    })
    expect(await victim.exited).toMatchObject({ kind: 'crashed', reason: expect.stringContaining('SIGKILL') })
    await expect(answerOf(victim)).rejects.toMatchObject({ code: 'engine_crashed' })
    await victim.close()
    expect(await readdir(join(bench.folder, runName))).toEqual([])
  })

  it('that is closed with time to drain ends what runs, and refuses what comes', async () => {
    const runName = 'drained'
    const draining = await bench.engineIn(runName).launch(bench.spec(), never)
    const running = answerOf(draining, { ...longAnswer, maxTokens: 100 })
    await sleep(5)
    const closing = draining.close({ drainMs: 20_000 })
    await expect(answerOf(draining)).rejects.toMatchObject({ code: 'shutting_down' })
    expect((await running).done.usage.outputTokens).toBe(100)
    await closing
    expect(await draining.exited).toMatchObject({ kind: 'closed' })
    expect(await readdir(join(bench.folder, runName))).toEqual([])
  })

  it('that is draining is hurried by a second call', async () => {
    const draining = await bench.engineIn('hurried').launch(bench.spec(), never)
    const { begun, ended: running } = begin(draining)
    await begun
    const closing = draining.close({ drainMs: 600_000 })
    const hurriedMs = performance.now()
    await Promise.all([closing, draining.close()])
    expect(performance.now() - hurriedMs).toBeLessThan(3_000)
    expect(await running).toMatchObject({ code: 'engine_crashed' })
  })

  it('ends an answer at the end of the context, or goes on past it, as it was told', async () => {
    const bounded = await bench
      .engineIn('bounded')
      .launch(bench.spec({ contextShift: false, slots: 1 }), never)
    const sampling = { ...request().sampling, repeat_penalty: 1.3, repeat_last_n: -1 }
    const { done } = await answerOf(bounded, { ...longAnswer, maxTokens: 2_000, sampling })
    expect(done.reason).toBe('length')
    expect(done.usage.promptTokens + done.usage.outputTokens).toBeLessThanOrEqual(bounded.contextLength + 1)
    await bounded.close()
    const shifting = await bench.engineIn('shifting').launch(bench.spec({ slots: 1 }), never)
    const shifted = await answerOf(shifting, { ...longAnswer, maxTokens: 700 })
    await shifting.close()
    expect(shifted.done).toMatchObject({ reason: 'length', usage: { outputTokens: 700 } })
  })

  it('is reached through a port where the socket path would be too long', async () => {
    const runName = 'x'.repeat(100)
    const remote = await bench.engineIn(runName).launch(bench.spec({ slots: 1 }), never)
    expect((await answerOf(remote)).text).toBe((await answerOf(remote)).text)
    await remote.close()
  })

  it('embeds where the context does not divide among the slots', async () => {
    const spec = bench.spec({ embedding: true, slots: 3, contextLength: 500 })
    const embedder = await bench.engineIn('embed-odd').launch(spec, never)
    expect((await embedder.embed(['sheep', 'grass'], never)).embeddings).toHaveLength(2)
    await embedder.close()
  })

  it('that embeds gives one normalised vector an input, the same for the same, and says what is too long', async () => {
    const embedder = await bench.engineIn('embed').launch(bench.spec({ embedding: true, slots: 1 }), never)
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
    const runName = 'failing'
    const failing = bench.engineIn(runName)
    const junk = join(bench.folder, 'junk.gguf')
    await writeFile(junk, 'this is no model')
    const cut = join(bench.folder, 'cut.gguf')
    await writeFile(cut, await readFile(bench.modelPath))
    await truncate(cut, 400_000)
    await expect(failing.launch(bench.spec({ modelPath: junk }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('failed to load model from'),
    })
    await expect(failing.launch(bench.spec({ modelPath: cut }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringMatching(/corrupted or incomplete|not within the file/),
    })
    // Keys and values of 128 KiB a token: a context of 2.4 million is more than any test machine has.
    const wide = join(bench.folder, 'wide.gguf')
    await writeSyntheticGguf(wide, { layers: 8, heads: 32, headDim: 128, type: 'Q8_0' })
    const greedy = bench.spec({ modelPath: wide, contextLength: 600_000 })
    await expect(failing.launch(greedy, never)).rejects.toMatchObject({ code: 'insufficient_memory' })
    expect(await readdir(join(bench.folder, runName))).toEqual([])
  })

  it('that shows no sign of life is given up', async () => {
    const runName = 'stalled'
    const path = join(bench.folder, 'sleepy-server')
    await writeFile(
      path,
      `#!/bin/sh\ncase $1 in --version|--help|--list-devices) exec "${bench.serverPath}" "$1" ;; esac\necho about to load\nexec sleep 600\n`,
    )
    await chmod(path, 0o755)
    await expect(
      bench.engineIn(runName, path).launch(bench.spec({ stallTimeoutMs: 300 }), never),
    ).rejects.toMatchObject({
      code: 'load_stalled',
      message: expect.stringMatching(/no progress for \d+ ms.*about to load/),
    })
    expect(await readdir(join(bench.folder, runName))).toEqual([])
    const control = new AbortController()
    const launch = bench.engineIn(runName, path).launch(bench.spec(), control.signal)
    setTimeout(() => control.abort(new Error('not wanted any more')), 400)
    await expect(launch).rejects.toThrow('not wanted any more')
    expect(await readdir(join(bench.folder, runName))).toEqual([])
  })

  it('without an engine says so', async () => {
    const missing = bench.engineIn('missing', '/nowhere/llama-server')
    expect(await missing.probe()).toMatchObject({
      available: false,
      reason: expect.stringContaining('/nowhere'),
    })
    await expect(missing.launch(bench.spec(), never)).rejects.toMatchObject({ code: 'engine_unavailable' })
  })
})

describe('after kill -9 of the process that launched it', () => {
  it('the server and its files are gone within five seconds, though it was answering', async () => {
    const script = `
      import { createLlamaCppEngine } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      const options = { serverPath: ${JSON.stringify(bench.serverPath)}, enginesDir: '', runDir: ${JSON.stringify(join(bench.folder, 'orphan'))}, log: () => {} }
      const instance = await createLlamaCppEngine(options).launch(${JSON.stringify(bench.spec())}, new AbortController().signal)
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
    const isGone = async () => !isAlive(pid) && !(await readdir(bench.folder)).includes('orphan')
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
