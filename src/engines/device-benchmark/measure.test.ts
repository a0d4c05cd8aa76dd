import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { Engine, EngineEvent, EngineInstance, InstanceSpec } from '../contract.ts'
import {
  type BenchmarkStage,
  type BenchmarkTemplate,
  benchmarkDevice,
  steadyRate,
  summaryOf,
} from './measure.ts'

const model = { path: '/nowhere/model.gguf', bytes: 110e6, bytesReadPerToken: 100e6 }
const spec: BenchmarkTemplate = {
  id: 'benchmark',
  projectorPaths: [],
  adapterPaths: [],
  embedding: false,
  gpuLayers: 0,
  cores: [3],
  flashAttention: 'auto',
  kvCacheType: 'f16',
  contextShift: false,
  stallTimeoutMs: 1000,
}

/** Hardware of known speed, on a clock that only its work moves. */
interface Speeds {
  loadMs: number
  promptTokenMs: number
  /** Of one token of each answer, by how many there are. */
  stepMs(answers: number): number
  /** Tokens after which an answer ends, whatever was asked for. */
  endsAfter?: number
  slots?: number
}

/** Time that goes on to the next moment that somebody waits for, once nobody has anything else to do. */
function virtualTime() {
  let nowMs = 1000
  let waiting: { atMs: number; wake(): void }[] = []
  let ticking = false
  const tick = () => {
    nowMs = Math.min(...waiting.map(({ atMs }) => atMs))
    const due = waiting.filter(({ atMs }) => atMs === nowMs)
    waiting = waiting.filter(({ atMs }) => atMs !== nowMs)
    for (const { wake } of due) wake()
    ticking = waiting.length > 0
    if (ticking) setImmediate(tick)
  }
  const until = (atMs: number) =>
    new Promise<void>((wake) => {
      waiting.push({ atMs: Math.max(atMs, nowMs), wake })
      if (!ticking) setImmediate(tick)
      ticking = true
    })
  const clock: Clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: (delayMs) => until(nowMs + delayMs),
    after: () => () => undefined,
  }
  return { clock, until }
}

function modelled(speeds: Speeds) {
  const { clock, until } = virtualTime()
  const seen = { specs: [] as InstanceSpec[], prompts: [] as number[][], closed: 0, launched: 0 }
  let answers = 0
  async function* generate(
    { prompt, maxTokens }: { prompt: string | number[]; maxTokens: number },
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    answers++
    try {
      seen.prompts.push(prompt as number[])
      // All that were asked for in one go have begun by now.
      await Promise.resolve()
      const promptMs = prompt.length * speeds.promptTokenMs
      const stepMs = speeds.stepMs(answers)
      const beganMs = clock.monotonicMs()
      const outputTokens = Math.min(maxTokens, speeds.endsAfter ?? maxTokens)
      for (let token = 0; token < outputTokens; token++) {
        signal.throwIfAborted()
        await until(beganMs + promptMs + token * stepMs)
        yield { type: 'token', text: 'a', tokens: [97] }
      }
      const usage = { promptTokens: prompt.length, cachedTokens: 0, outputTokens, promptMs, outputMs: 0 }
      yield { type: 'done', reason: 'length', usage }
    } finally {
      answers--
    }
  }
  const engine: Engine = {
    name: 'llama.cpp',
    probe: async () => ({ available: false, reason: 'not asked' }),
    launch: async (whole) => {
      seen.specs.push(whole)
      seen.launched++
      await clock.sleep(speeds.loadMs)
      const instance: Partial<EngineInstance> = {
        slots: speeds.slots ?? whole.slots,
        generate,
        close: async () => {
          seen.closed++
        },
      }
      return instance as EngineInstance
    },
  }
  const measure = (
    signal = new AbortController().signal,
    onStage?: (stage: BenchmarkStage) => void,
    quick = false,
  ) => benchmarkDevice({ engine, spec, model, clock, signal, quick, ...(onStage && { onStage }) })
  return { measure, seen, clock }
}

describe('a device of known speed', () => {
  const speeds = { loadMs: 250, promptTokenMs: 0.5, stepMs: (answers: number) => 10 + answers }

  it('is measured as what it is', async () => {
    const { measure } = modelled(speeds)
    const figures = await measure()
    expect(figures.loadMs).toBe(250)
    expect(figures.prefillTokensPerSecond).toBeCloseTo(2000, 6)
    expect(figures.decodeTokensPerSecond).toBeCloseTo(1000 / 11, 6)
    expect(figures.decodeParallelTokensPerSecond).toBeCloseTo(8000 / 18, 6)
    expect(figures.bandwidthGBs).toBeCloseTo(0.1 * (1000 / 11), 6)
    expect(figures).toMatchObject({ modelBytes: 110e6, parallelStreams: 8 })
    for (const share of Object.values(figures.spread)) expect(share).toBeCloseTo(0, 6)
  })

  it('runs one instance where the template says, with a slot for each answer, which is closed at the end', async () => {
    const { measure, seen } = modelled(speeds)
    const stages: string[] = []
    await measure(undefined, (stage) => stages.push(stage))
    expect(seen).toMatchObject({ launched: 1, closed: 1 })
    expect(seen.specs[0]).toMatchObject({ ...spec, modelPath: model.path, slots: 8 })
    expect(stages).toEqual(['load', 'prefill', 'decode', 'parallel decode'])
  })

  it('never reads a prompt whose begin it may still have', async () => {
    const { measure, seen } = modelled(speeds)
    await measure()
    const begins = seen.prompts.map(([first]) => first)
    for (const [index, first] of begins.entries())
      expect(begins.slice(index + 1, index + 9)).not.toContain(first)
  })

  it('reads longer prompts the faster it is', async () => {
    const longestOf = async (promptTokenMs: number) => {
      const { measure, seen } = modelled({ ...speeds, promptTokenMs })
      await measure()
      return Math.max(...seen.prompts.map(({ length }) => length))
    }
    expect(await longestOf(0.01)).toBe(2048)
    expect(await longestOf(1)).toBe(512)
    expect(await longestOf(50)).toBe(128)
  })

  it('is measured as the same where it is to be quick, in much less time', async () => {
    const [usual, quick] = [modelled(speeds), modelled(speeds)]
    const took = async ({ measure, clock }: typeof usual, hurry: boolean) => {
      const startedMs = clock.monotonicMs()
      const { prefillTokensPerSecond, decodeTokensPerSecond } = await measure(undefined, undefined, hurry)
      expect(prefillTokensPerSecond).toBeCloseTo(2000, 6)
      expect(decodeTokensPerSecond).toBeCloseTo(1000 / 11, 6)
      return clock.monotonicMs() - startedMs
    }
    const [usualMs, quickMs] = [await took(usual, false), await took(quick, true)]
    expect(quickMs).toBeLessThan(usualMs / 2)
    expect(quickMs).toBeLessThan(2500)
  })

  it('is asked for as many answers as it has slots', async () => {
    const { measure } = modelled({ ...speeds, slots: 2 })
    const figures = await measure()
    expect(figures.parallelStreams).toBe(2)
    expect(figures.decodeParallelTokensPerSecond).toBeCloseTo(2000 / 12, 6)
  })
})

describe('what goes wrong', () => {
  it('leaves no instance running: an answer that ends too soon is named', async () => {
    const { measure, seen } = modelled({ loadMs: 1, promptTokenMs: 1, stepMs: () => 10, endsAfter: 5 })
    await expect(measure()).rejects.toThrow(DroverError)
    await expect(measure()).rejects.toThrow(/gave 5 tokens where \d+ were asked for/)
    expect(seen.closed).toBe(seen.launched)
  })

  it('leaves no instance running when it is given up in the middle', async () => {
    const { measure, seen } = modelled({ loadMs: 1, promptTokenMs: 1, stepMs: () => 10 })
    const abort = new AbortController()
    const measuring = measure(abort.signal, (stage) => {
      if (stage === 'parallel decode') abort.abort(new Error('interrupted'))
    })
    await expect(measuring).rejects.toThrow('interrupted')
    expect(seen).toMatchObject({ launched: 1, closed: 1 })
  })

  it('has no rate: tokens that all come at once', async () => {
    const { measure } = modelled({ loadMs: 1, promptTokenMs: 1, stepMs: () => 0 })
    await expect(measure()).rejects.toThrow(/within 0 ms, of which no rate can be told/)
  })
})

describe('the rate of several answers', () => {
  const at = (...times: number[]) => times.map((atMs) => ({ atMs, tokens: 1 }))

  it('is the sum of their own in the time in which all of them were being written', () => {
    // From 100 to 300 one gives 10 and the other 20 a second.
    expect(steadyRate([at(0, 100, 200, 300), at(100, 150, 200, 250, 300, 400)])).toBeCloseTo(30, 9)
  })

  it('is not less for tokens of one step that come a moment apart', () => {
    expect(steadyRate([at(0, 100, 200, 300), at(1, 101, 201, 301)])).toBeCloseTo(20, 9)
  })

  it('is that of all their time where one had ended before the other began', () => {
    expect(steadyRate([at(0, 100), at(200, 300)])).toBeCloseTo(10, 9)
  })

  it('counts every token of those that come together', () => {
    expect(
      steadyRate([
        [
          { atMs: 0, tokens: 1 },
          { atMs: 1000, tokens: 7 },
        ],
      ]),
    ).toBe(7)
  })
})

describe('the summary of rounds', () => {
  it('is their median, and the share by which the farthest lies from it', () => {
    expect(summaryOf([10, 12, 11])).toEqual({ median: 11, spread: 1 / 11 })
    expect(summaryOf([10, 20])).toEqual({ median: 15, spread: 1 / 3 })
  })

  it('lies within them', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.1, max: 1e6, noNaN: true }), { minLength: 1 }), (rates) => {
        const { median, spread } = summaryOf(rates)
        expect(median).toBeGreaterThanOrEqual(Math.min(...rates))
        expect(median).toBeLessThanOrEqual(Math.max(...rates))
        expect(spread).toBeGreaterThanOrEqual(0)
      }),
    )
  })
})
