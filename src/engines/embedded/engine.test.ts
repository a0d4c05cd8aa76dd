import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { descendants, isAlive, until } from '../../../test/support/drover.ts'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never, request } from '../../../test/support/llama-bench.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'
import type { EngineInstance } from '../contract.ts'
import { createEmbeddedEngine } from './index.ts'
import { onlyDevice } from './process.ts'
import { eventWindow } from './protocol.ts'

const logged: string[] = []
const engine = createEmbeddedEngine({ log: (message) => logged.push(message) })
let folder = ''
let modelPath = ''
let instance: EngineInstance

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-embedded-'))
  modelPath = join(folder, 'endless.gguf')
  await writeSyntheticGguf(modelPath, { endless: true, layers: 1 })
  instance = await engine.launch(specOf(modelPath, { contextShift: true, slots: 2 }), never)
}, 120_000)
afterAll(async () => {
  await instance?.close()
  await rm(folder, { recursive: true, force: true })
})

describe('the embedded engine', () => {
  it('makes an answer wait whose reader does, so that no more is held than its window', async () => {
    const pauseMs = 1_500
    const maxTokens = eventWindow * 4
    const slow = instance.generate(request({ maxTokens }), never)[Symbol.asyncIterator]()
    await slow.next()
    await sleep(pauseMs)
    const quickMs = performance.now()
    await answerOf(instance, { maxTokens: 20 })
    expect(performance.now() - quickMs).toBeLessThan(pauseMs)
    let usage: { outputTokens: number; outputMs: number } | undefined
    for (let item = await slow.next(); !item.done; item = await slow.next()) {
      if (item.value.type === 'done') usage = item.value.usage
    }
    expect(usage?.outputTokens).toBe(maxTokens)
    expect(usage?.outputMs).toBeGreaterThan(pauseMs * 0.8)
  })

  it('answers an empty prompt with nothing', async () => {
    const { text, done } = await answerOf(instance, { prompt: '' })
    expect(text).toBe('')
    expect(done).toMatchObject({ reason: 'stop', usage: { promptTokens: 0, outputTokens: 0 } })
  })

  it('says once that it has no typical_p, and refuses images and projectors by name', async () => {
    const sampling = { ...request().sampling, typical_p: 0.5 }
    await answerOf(instance, { sampling })
    await answerOf(instance, { sampling })
    expect(logged.filter((line) => line.includes('typical_p'))).toHaveLength(1)
    await expect(answerOf(instance, { images: [new Uint8Array(4)] })).rejects.toMatchObject({
      code: 'unsupported',
    })
    const withProjector = specOf(modelPath, { projectorPaths: ['/some/mmproj.gguf'] })
    await expect(engine.launch(withProjector, never)).rejects.toMatchObject({ code: 'load_failed' })
  })

  it('refuses a KV cache type it does not know, and takes the usual ones', async () => {
    await expect(engine.launch(specOf(modelPath, { kvCacheType: 'q9' }), never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('unknown KV cache type "q9"'),
    })
    const quantised = await engine.launch(
      specOf(modelPath, { kvCacheType: 'q8_0', flashAttention: 'on' }),
      never,
    )
    expect((await answerOf(quantised)).tokens).toHaveLength(24)
    await quantised.close()
  })

  it('gives up a load that shows no sign of life, and leaves no process', async () => {
    const launched = engine.launch(specOf(modelPath, { stallTimeoutMs: 1 }), never)
    await expect(launched).rejects.toMatchObject({
      code: 'load_stalled',
      message: expect.stringMatching(/no progress for 1 ms/),
    })
    await until('only the shared instance runs', 2_000, async () => {
      const running = await descendants(process.pid)
      return running.length <= 1 && (running.length === 0 || running[0] === instance.pid)
    })
  })

  it('keeps several GPUs apart by what it lets a process see', () => {
    expect(onlyDevice(1, {})).toEqual({ CUDA_VISIBLE_DEVICES: '1', GGML_VK_VISIBLE_DEVICES: '1' })
    expect(onlyDevice(1, { CUDA_VISIBLE_DEVICES: '4,6' })).toMatchObject({ CUDA_VISIBLE_DEVICES: '6' })
  })
})

describe('a process that uses the embedded engine', () => {
  it('loads no native code itself, and when it is killed its engines are gone within five seconds', async () => {
    const script = `
      import { readFileSync } from 'node:fs'
      import { createEmbeddedEngine } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      const never = new AbortController().signal
      const engine = createEmbeddedEngine({ log: () => {} })
      const instance = await engine.launch(${JSON.stringify(specOf(modelPath, { contextShift: true }))}, never)
      const native = process.platform === 'linux' && /llama/.test(readFileSync('/proc/self/maps', 'utf8'))
      for await (const event of instance.generate(${JSON.stringify(request({ maxTokens: 1_000_000 }))}, never)) {
        if (event.type === 'token') { console.log(instance.pid, native); break }
      }
      for await (const event of instance.generate(${JSON.stringify(request({ maxTokens: 1_000_000 }))}, never)) {}`
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(owner.stdout, 'data')
    const [pid, native] = String(line).trim().split(' ')
    expect(native).toBe('false')
    expect(isAlive(Number(pid))).toBe(true)
    owner.kill('SIGKILL')
    await until('the engine of a killed process is gone', 5_000, () => !isAlive(Number(pid)))
  })
})
