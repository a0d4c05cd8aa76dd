import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { XMLValidator } from 'fast-xml-parser'
import { afterEach, describe, expect, it } from 'vitest'
import { runAsAsked } from './as-asked.ts'
import { chooseModels } from './choose-models.ts'
import type { BenchmarkReport, Measured } from './contract.ts'
import { drive } from './drive.ts'
import { figuresOf } from './figures.ts'
import { type BenchmarkFlags, withValues } from './flags.ts'
import { createPrompts } from './prompts.ts'
import { benchmarkPlot, benchmarkText, comparisonText } from './report.ts'
import { connectTo } from './server.ts'
import { variantsOf, withSettings } from './variants.ts'

const one = (changes: Partial<Measured> = {}): Measured => ({
  arrivedMs: 0,
  firstMs: 100,
  endMs: 400,
  gapsMs: [100, 100, 100],
  promptTokens: 50,
  outputTokens: 4,
  ...changes,
})
const head = {
  server: 'http://a',
  model: 'm:latest',
  variant: '',
  load: { kind: 'closed', concurrency: 2 },
} as const
const objective = { ttftMs: 150, itlMs: 120 }

describe('the figures of a load', () => {
  it('are of whole answers, and errors are counted by what they say', () => {
    const figures = figuresOf(
      head,
      [
        one(),
        one({ arrivedMs: 400, firstMs: 700, endMs: 1000 }),
        one({ arrivedMs: 500, endMs: 600, firstMs: 0, gapsMs: [], error: '503: busy' }),
        one({ arrivedMs: 500, endMs: 600, firstMs: 0, gapsMs: [], error: '503: busy' }),
      ],
      objective,
      [],
    )
    expect(figures).toMatchObject({
      requests: 4,
      errors: 2,
      errorKinds: { '503: busy': 2 },
      seconds: 1,
      outputTokensPerS: 8,
      promptTokensPerS: 100,
      requestsPerS: 2,
      streamTokensPerS: 10,
      goodput: { share: 0.25, perS: 1 },
    })
    expect(figures.ttftMs).toMatchObject({ mean: 200, p50: 200 })
    expect(figures.itlMs.p99).toBe(100)
    expect(figures.ttftQuantilesMs).toHaveLength(51)
    expect(figures.joulesPerToken).toBeUndefined()
  })

  it('count in the rate of a stream what came after its first pieces, and nothing where all came at once', () => {
    const rateOf = (gapsMs: number[], endMs: number) =>
      figuresOf(head, [one({ gapsMs, endMs, outputTokens: 8 })], objective, []).streamTokensPerS
    expect(rateOf([0, 0, 0, 100, 0, 0, 100], 300)).toBe(20)
    expect(rateOf([0, 0, 0, 0, 0, 0, 0], 100.01)).toBe(0)
  })

  it('tell the energy of a token where power is known', () => {
    const devices = [
      { id: 'a', label: 'GPU0', modelsBytes: 1, powerWatts: 60 },
      { id: 'b', label: 'GPU1', modelsBytes: 1, powerWatts: 40 },
    ]
    // 100 W for 0.4 s, 4 tokens.
    expect(figuresOf(head, [one()], objective, devices).joulesPerToken).toBeCloseTo(10)
  })

  it('are all nothing where every request failed', () => {
    const figures = figuresOf(head, [one({ firstMs: 0, gapsMs: [], error: 'gone' })], objective, [])
    expect(figures).toMatchObject({
      errors: 1,
      outputTokensPerS: 0,
      goodput: { share: 0, perS: 0 },
      ttftQuantilesMs: [],
    })
  })
})

describe('prompts', () => {
  it('are the same for the same seed, and each begins otherwise than the one before', () => {
    const make = (seed: number) => {
      const prompts = createPrompts(seed)
      return Array.from({ length: 20 }, () => prompts.next(100))
    }
    expect(make(1)).toEqual(make(1))
    expect(make(1)).not.toEqual(make(2))
    expect(new Set(make(1).map((prompt) => prompt.slice(0, 30))).size).toBe(20)
  })

  it('have the asked length once a server has counted one', () => {
    const prompts = createPrompts(1)
    const first = prompts.next(100)
    prompts.observe(first, first.split(' ').length * 4)
    expect(prompts.next(100).split(' ')).toHaveLength(25)
  })
})

describe('the models to measure', () => {
  const installed = [
    { name: 'tiny:latest', parameterSize: '1.2B' },
    { name: 'mid:q4', parameterSize: '7.6B' },
    { name: 'mid:q8', parameterSize: '8.0B' },
    { name: 'odd:latest' },
  ]
  it('are those named, and the nearest of each size', () => {
    expect(chooseModels(['odd'], ['8B', '1B'], installed)).toEqual(['odd', 'mid:q8', 'tiny:latest'])
  })

  it('are refused with what there is', () => {
    expect(() => chooseModels([], ['70B'], installed)).toThrow(
      'no model of about 70B is installed; there are tiny:latest (1.2B)',
    )
    expect(() => chooseModels([], ['big'], installed)).toThrow('"big" is no size such as 8B')
    expect(() => chooseModels([], [], [])).toThrow('name a model to measure')
  })
})

describe('values that stand behind their flags without a `=`', () => {
  const flags = { requests: 1 } as BenchmarkFlags
  it('are put to them, where the flags have none', () => {
    const bare = { ...flags, kvCacheDistribution: 'true', crossGpuSharing: 'true' }
    expect(withValues(['by_layer,balanced', 'tiny', 'off'], bare)).toEqual({
      models: ['tiny'],
      flags: { ...flags, kvCacheDistribution: 'by_layer,balanced', crossGpuSharing: 'off' },
    })
    expect(withValues(['tiny'], bare)).toEqual({ models: ['tiny'], flags: bare })
  })

  it('are models else', () => {
    const given = { ...flags, kvCacheDistribution: 'balanced' }
    expect(withValues(['by_layer', 'on'], given)).toEqual({ models: ['by_layer', 'on'], flags: given })
  })
})

describe('the variants of a run', () => {
  const none = { strategy: [], gpus: [], kvCacheDistribution: [], crossGpuSharing: [] }
  it('are one that asks for nothing, where no flag does', () => {
    expect(variantsOf(none)).toEqual([{ name: '' }])
  })

  it('are one device and the choice of the server with --multi-gpu alone', () => {
    expect(variantsOf({ ...none, multiGpu: true })).toEqual([
      { name: 'single', strategy: 'single', multiGpu: { strategy: 'single' } },
      { name: 'as Drover chooses', multiGpu: {} },
    ])
  })

  it('are each strategy under each setting, by the short name that a layout has', () => {
    const variants = variantsOf({
      ...none,
      strategy: ['tensor_parallel', 'pipeline'],
      gpus: ['0', '1'],
      tensorSize: 2,
      crossGpuSharing: [true, false],
    })
    expect(variants.map(({ name }) => name)).toEqual([
      'tensor_parallel, over 0+1, tensors over 2, cross gpu sharing on',
      'tensor_parallel, over 0+1, tensors over 2, cross gpu sharing off',
      'pipeline, over 0+1, cross gpu sharing on',
      'pipeline, over 0+1, cross gpu sharing off',
    ])
    expect(variants[1]).toMatchObject({
      strategy: 'tensor',
      multiGpu: { strategy: 'tensor_parallel', gpu_selection: ['0', '1'], tensor_size: 2 },
      settings: { memory: { cross_gpu_sharing: false } },
    })
  })
})

describe('a run whose result could not be kept', () => {
  it('is refused before anybody is asked', async () => {
    const flags = {
      ...{ strategy: [], gpus: [], rate: [], modelSizes: [], requests: 1, warmup: 1 },
      ...{ promptTokens: 1, outputTokens: 1, seed: 1, sloTtft: 1, sloItl: 1 },
    }
    const { signal } = new AbortController()
    const nobody = { ...flags, url: 'http://127.0.0.1:9' }
    await expect(
      runAsAsked(['m'], { ...nobody, save: '/nowhere/run.json' }, signal, () => undefined),
    ).rejects.toThrow('/nowhere/run.json cannot be written')
  })
})

describe('settings of the server', () => {
  it('that cannot be given back are told, with what went wrong before', async () => {
    const server = createServer((_, response) => {
      response.end('{"multi_gpu":{"memory":{"pooling":true}},"from":{"memory.pooling":"the file"}}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const running = withSettings({ url }, { memory: { pooling: false } }, async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      throw new Error('it has gone')
    })
    await expect(running).rejects.toThrow(
      /^it has gone; http:\S+ could not be given multi_gpu\.memory\.pooling back, .*: connect ECONNREFUSED/,
    )
  })
})

describe('the report', () => {
  const slow = figuresOf(head, [one()], objective, [
    { id: 'a', label: 'GPU0', modelsBytes: 2e9, powerWatts: 50 },
  ])
  const fast = figuresOf(head, [one({ firstMs: 50, endMs: 200, gapsMs: [50, 50, 50] })], objective, [])
  const report: BenchmarkReport = {
    version: 1,
    at: '2026-01-01T00:00:00.000Z',
    seed: 1,
    promptTokens: 50,
    outputTokens: 4,
    objective,
    rows: [slow],
    layouts: [],
    notes: ['a note'],
  }

  it('is a table with devices and notes', () => {
    const lines = benchmarkText(report).split('\n')
    expect(lines).toContain('m:latest at http://a')
    expect(lines.find((line) => line.startsWith('2 at once'))).toMatch(/100 ms +100 ms +100 ms +100 ms/)
    expect(lines.find((line) => line.includes('GPU0'))).toMatch(/2 GB +- +- +50 W +-/)
    expect(lines).toContain('a note')
  })

  it('compares lines of the same model and load, whatever the server', () => {
    const other = { ...fast, server: 'http://b', model: 'm' }
    expect(comparisonText([slow], [other], 'http://b')).toMatch(
      /2 at once +\+100 % +\+100 % +\+100 % +\+100 % +-50 %/,
    )
    expect(comparisonText([slow], [{ ...other, model: 'x' }], 'saved.json')).toContain(
      'nothing in saved.json is comparable',
    )
  })

  it('is drawn as one SVG document', () => {
    const svg = benchmarkPlot(report)
    expect(XMLValidator.validate(svg)).toBe(true)
    expect(svg).toContain('TTFT, 2 at once')
    expect(svg.match(/<polyline/g)).toHaveLength(2)
  })
})

describe('a server that speaks OpenAI', () => {
  let server: HttpServer | undefined
  afterEach(() => server?.close())

  /** Answers as such servers do, `delayMs` between two pieces; the third request is refused. */
  async function start(delayMs: number) {
    let count = 0
    const bodies: Record<string, unknown>[] = []
    server = createServer(async (request, response) => {
      if (request.url === '/v1/models') return response.end('{"object":"list","data":[{"id":"m"}]}')
      if (request.url !== '/v1/completions') return response.writeHead(404).end('not found')
      bodies.push(JSON.parse(await text(request)))
      if (++count === 3) return response.writeHead(503).end('{"error":{"message":"too busy"}}')
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let piece = 0; piece < 4; piece++) {
        response.write(`data: {"choices":[{"text":"x"}]}\n\n`)
        await new Promise((resolve) => setTimeout(resolve, delayMs))
      }
      response.end(
        'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\ndata: [DONE]\n\n',
      )
    })
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies }
  }

  it('is measured by its stream, and its errors are counted', async () => {
    const { url, bodies } = await start(20)
    const target = await connectTo(`${url}/v1/`, undefined)
    expect([target.kind, await target.models()]).toEqual(['openai', [{ name: 'm' }]])
    const measured = await drive({
      server: target,
      load: { kind: 'closed', concurrency: 2 },
      requests: 6,
      promptTokens: 10,
      ask: { model: 'm', outputTokens: 4 },
      prompts: createPrompts(1),
      seed: 1,
      signal: AbortSignal.timeout(10_000),
      onAnswer: () => undefined,
    })
    expect(bodies[0]).toMatchObject({ model: 'm', stream: true, max_tokens: 4, temperature: 0 })
    expect(measured.filter(({ error }) => error !== undefined).map(({ error }) => error)).toEqual([
      '503: too busy',
    ])
    const figures = figuresOf({ ...head, server: url }, measured, objective, [])
    expect(figures).toMatchObject({ requests: 6, errors: 1 })
    expect(figures.itlMs.p50).toBeGreaterThan(10)
    expect(measured.find(({ error }) => !error)).toMatchObject({ promptTokens: 9, outputTokens: 4 })
  })

  it('gets requests of an open load when they are due, whatever is answered', async () => {
    const { url } = await start(50)
    const target = await connectTo(url, undefined)
    const measured = await drive({
      server: target,
      load: { kind: 'open', perSecond: 100 },
      requests: 10,
      promptTokens: 10,
      ask: { model: 'm', outputTokens: 4 },
      prompts: createPrompts(1),
      seed: 7,
      signal: AbortSignal.timeout(10_000),
      onAnswer: () => undefined,
    })
    const arrivals = measured.map(({ arrivedMs }) => arrivedMs)
    const spanMs = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)
    // Ten answers of 200 ms each, one after the other, would take 2 s.
    expect(spanMs).toBeLessThan(1000)
    expect(
      new Set(arrivals.slice(1).map((at, index) => Math.round(at - (arrivals[index] ?? 0)))).size,
    ).toBeGreaterThan(3)
  })

  it('is no Drover to change settings of, and nobody at all is told with what to do', async () => {
    const { url } = await start(1)
    await expect(withSettings({ url }, { memory: { pooling: true } }, async () => undefined)).rejects.toThrow(
      '404',
    )
    await expect(connectTo('http://127.0.0.1:9', undefined)).rejects.toThrow(
      /no server answers at http:\/\/127.0.0.1:9/,
    )
  })
})
