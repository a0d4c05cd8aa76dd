import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { specOf } from '../../test/support/engine-contract/bench.ts'
import { never } from '../../test/support/llama-bench.ts'
import { systemClock } from '../core/index.ts'
import { DroverError } from '../inference/index.ts'
import type { Engine, EngineInstance, EngineName, InstanceExit } from './contract.ts'
import {
  abilitiesOf,
  type ChainMember,
  chooseEngine,
  createFallbackEngine,
  type EngineFailure,
  type EngineNeeds,
  formatOf,
  mostCrashes,
  retryAfterMs,
} from './fallback.ts'

const member = (name: EngineName, more: Partial<ChainMember> = {}): ChainMember => ({
  name,
  abilities: abilitiesOf[name],
  ...more,
})
const chain = [member('vllm'), member('exllama'), member('llama.cpp')]
const needs = (more: Partial<EngineNeeds> = {}): EngineNeeds => ({
  modelName: 'llama',
  format: 'gguf',
  embedding: false,
  projector: false,
  adapters: false,
  ...more,
})
const failure = (engine: EngineName, more: Partial<EngineFailure> = {}): EngineFailure => ({
  engine,
  modelName: 'llama',
  kind: 'launch',
  reason: 'no room',
  atMs: 0,
  ...more,
})

describe('the engine for a model', () => {
  it('is the first of the chain that can have it', () => {
    expect(chooseEngine(chain, needs(), [], 0)).toEqual({
      order: [2],
      passed: [
        { name: 'vllm', reason: 'it runs safetensors, and the model is gguf' },
        { name: 'exllama', reason: 'it runs exl, and the model is gguf' },
      ],
    })
    expect(chooseEngine(chain, needs({ format: 'safetensors' }), [], 0).order).toEqual([0])
    expect(chooseEngine(chain, needs({ format: 'exl', embedding: true }), [], 0)).toMatchObject({ order: [] })
  })

  it('may be one that has the model in its own form, or that has its models by itself', () => {
    const own = member('vllm', { ownModels: new Set(['llama']) })
    expect(chooseEngine([own, member('llama.cpp')], needs(), [], 0).order).toEqual([0, 1])
    const attached = member('vllm', { abilities: { ...abilitiesOf.vllm, formats: 'any' } })
    expect(chooseEngine([attached, member('llama.cpp')], needs(), [], 0).order).toEqual([0, 1])
    expect(chooseEngine([attached, member('llama.cpp')], needs({ projector: true }), [], 0)).toEqual({
      order: [1],
      passed: [{ name: 'vllm', reason: 'it takes no pictures' }],
    })
  })

  it('that has failed at it comes last for a while, and then first again', () => {
    const both = [member('llama.cpp'), member('embedded')]
    const failures = [failure('llama.cpp')]
    expect(chooseEngine(both, needs(), failures, retryAfterMs - 1)).toEqual({
      order: [1, 0],
      passed: [{ name: 'llama.cpp', reason: 'its last launch failed: no room' }],
    })
    expect(chooseEngine(both, needs(), failures, retryAfterMs)).toEqual({ order: [0, 1], passed: [] })
    expect(chooseEngine(both, needs({ modelName: 'other' }), failures, 0).order).toEqual([0, 1])
  })

  it('may crash now and then, but not in a loop', () => {
    const both = [member('llama.cpp'), member('embedded')]
    const crashes = Array.from({ length: mostCrashes }, (_, atMs) =>
      failure('llama.cpp', { kind: 'crash', atMs, reason: 'signal SIGSEGV' }),
    )
    expect(chooseEngine(both, needs(), crashes.slice(1), 10).order).toEqual([0, 1])
    expect(chooseEngine(both, needs(), crashes, 10)).toEqual({
      order: [1, 0],
      passed: [{ name: 'llama.cpp', reason: 'it crashed 3 times in 5 minutes: signal SIGSEGV' }],
    })
  })

  it('is each of those that are able exactly once, whatever has happened', () => {
    const names = fc.constantFrom<EngineName>('vllm', 'exllama', 'llama.cpp', 'embedded', 'openai')
    const failures = fc.array(
      fc.record({
        engine: names,
        modelName: fc.constantFrom('llama', 'other'),
        kind: fc.constantFrom('launch' as const, 'crash' as const),
        reason: fc.string(),
        atMs: fc.nat(2 * retryAfterMs),
      }),
    )
    const formats = fc.constantFrom(
      'gguf' as const,
      'safetensors' as const,
      'exl' as const,
      'unknown' as const,
    )
    fc.assert(
      fc.property(
        fc.uniqueArray(names),
        failures,
        formats,
        fc.boolean(),
        (order, happened, format, embedding) => {
          const members = order.map((name) => member(name))
          const chosen = chooseEngine(members, needs({ format, embedding }), happened, 2 * retryAfterMs)
          const able = chooseEngine(members, needs({ format, embedding }), [], 0).order
          expect([...chosen.order].sort()).toEqual([...able].sort())
        },
      ),
    )
  })
})

/** An engine that launches as it is told to, for what no engine of this machine does at will. */
function scripted(name: EngineName, outcomes: (DroverError | 'runs')[]) {
  const ends: ((exit: InstanceExit) => void)[] = []
  const asked: string[] = []
  const engine: Engine = {
    name,
    probe: async () => ({ available: false, reason: 'it is not here' }),
    async launch({ modelName }) {
      asked.push(modelName)
      const outcome = outcomes.length > 1 ? outcomes.shift() : outcomes[0]
      if (outcome !== 'runs') throw outcome
      const exited = new Promise<InstanceExit>((resolve) => ends.push(resolve))
      return { engine: name, exited } as EngineInstance
    },
    commands: () => [{ env: {}, argv: [name] }],
  }
  return { engine, asked, crash: () => ends.pop()?.({ kind: 'crashed', reason: 'signal SIGSEGV' }) }
}

describe('a chain of engines', () => {
  const any = { abilities: { ...abilitiesOf['llama.cpp'], formats: 'any' as const } }

  function chained(first: ReturnType<typeof scripted>, second: ReturnType<typeof scripted>) {
    let nowMs = 0
    const logged: string[] = []
    const links = [first, second].map(({ engine }) => ({ ...member(engine.name, any), engine }))
    const engine = createFallbackEngine(() => links as [(typeof links)[0], ...typeof links], {
      clock: { ...systemClock, monotonicMs: () => nowMs },
      log: (message) => logged.push(message),
    })
    const pass = (ms: number) => {
      nowMs += ms
    }
    return { engine, logged, pass }
  }

  const spec = specOf('/nowhere/model', { modelName: 'llama' })

  it('goes on with the next where one cannot, says why, and tries the first again after a while', async () => {
    const first = scripted('vllm', [new DroverError('insufficient_memory', 'no room for llama'), 'runs'])
    const second = scripted('llama.cpp', ['runs'])
    const { engine, logged, pass } = chained(first, second)
    expect(engine.name).toBe('vllm')
    expect((await engine.launch(spec, never)).engine).toBe('llama.cpp')
    expect(logged).toEqual(['llama runs on llama.cpp. vllm: no room for llama'])
    expect((await engine.launch(spec, never)).engine).toBe('llama.cpp')
    expect(first.asked).toHaveLength(1)
    expect(engine.commands?.(spec)).toEqual([{ env: {}, argv: ['llama.cpp'] }])
    pass(retryAfterMs)
    expect((await engine.launch(spec, never)).engine).toBe('vllm')
  })

  it('leaves one that crashes in a loop', async () => {
    const first = scripted('vllm', ['runs'])
    const { engine, logged } = chained(first, scripted('llama.cpp', ['runs']))
    for (let crashes = 0; crashes < mostCrashes; crashes++) {
      expect((await engine.launch(spec, never)).engine).toBe('vllm')
      first.crash()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await engine.launch(spec, never)).engine).toBe('llama.cpp')
    expect(logged.at(-1)).toContain('vllm: it crashed 3 times')
  })

  it('tells the reasons of all where none can', async () => {
    const first = scripted('vllm', [new DroverError('load_failed', 'bad folder')])
    const second = scripted('llama.cpp', [new DroverError('load_stalled', 'too slow')])
    const { engine } = chained(first, second)
    await expect(engine.launch(spec, never)).rejects.toMatchObject({
      code: 'load_failed',
      message: 'no engine can run llama. vllm: bad folder; llama.cpp: too slow',
    })
    expect(await engine.probe()).toEqual({
      available: false,
      reason: 'vllm: it is not here; llama.cpp: it is not here',
    })
  })

  it('goes no further when the request is given up, or is wrong in itself', async () => {
    const wrong = scripted('vllm', [new DroverError('invalid_request', 'no such thing')])
    const second = scripted('llama.cpp', ['runs'])
    await expect(chained(wrong, second).engine.launch(spec, never)).rejects.toThrow('no such thing')
    const aborted = AbortSignal.abort(new Error('not wanted'))
    const failing = scripted('vllm', [new DroverError('load_failed', 'x')])
    await expect(chained(failing, second).engine.launch(spec, aborted)).rejects.toThrow('not wanted')
    expect(second.asked).toEqual([])
  })
})

describe('the format of a model', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drover-format-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each([
    ['safetensors', { 'config.json': '{}', 'model-00001-of-00002.safetensors': '' }],
    [
      'exl',
      {
        'config.json': '{"quantization_config": {"quant_method": "exl3", "bits": 4}}',
        'model.safetensors': '',
      },
    ],
    ['unknown', { 'readme.md': '' }],
  ])('is %s by what its folder has', async (format, files) => {
    const path = join(folder, format)
    await mkdir(path)
    for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content)
    expect(await formatOf(path)).toBe(format)
  })

  it('is gguf of a file, and unknown of what is not there', async () => {
    const path = join(folder, 'model.gguf')
    await writeFile(path, 'GGUF')
    expect(await formatOf(path)).toBe('gguf')
    expect(await formatOf('meta-llama/Llama-3.1-8B')).toBe('unknown')
  })
})
