import type { BenchmarkReport, Figures, Layout, Load } from './contract.ts'
import { drive, measure } from './drive.ts'
import { figuresOf } from './figures.ts'
import { callFailure, callJson } from './lines.ts'
import { createPrompts, type PromptMaker } from './prompts.ts'
import { titleOf } from './report.ts'
import { type Server, watchDevices } from './server.ts'
import { type Variant, withSettings } from './variants.ts'

export interface BenchmarkOptions {
  models: readonly string[]
  variants: readonly Variant[]
  loads: readonly Load[]
  /** Of each load. */
  requests: number
  promptTokens: number
  outputTokens: number
  /** Requests before the first that counts, of each load. */
  warmup: number
  seed: number
  objective: { ttftMs: number; itlMs: number }
  signal: AbortSignal
  /** What is done now, and of requests how many are answered. */
  onProgress(message: string, count?: { done: number; all: number }): void
}

export interface BenchmarkResult extends Pick<BenchmarkReport, 'rows' | 'layouts' | 'notes'> {
  /** Why something was not measured, or not to its end; each stands in the notes too. */
  failures: Error[]
  /** Nothing more is to be measured: the server has gone, or the signal said so. */
  stopped: boolean
}

/**
 * Measures every model in every variant under every load. What fails is told in the result, and the others go on, as long
 * as the server answers; what was measured before stays. Settings are as before in the end.
 */
export async function runBenchmark(server: Server, options: BenchmarkOptions): Promise<BenchmarkResult> {
  const result: BenchmarkResult = { rows: [], layouts: [], notes: [], failures: [], stopped: false }
  for (const model of options.models) {
    for (const variant of server.kind === 'drover' ? options.variants : [{ name: '' }]) {
      try {
        await withSettings(server, variant.settings, () =>
          runVariant(server, model, variant, options, result),
        )
      } catch (error) {
        const failure = new Error(callFailure(error), { cause: error })
        result.failures.push(failure)
        result.notes.push(
          `! ${titleOf({ server: server.url, model, variant: variant.name })}: ${failure.message}`,
        )
        result.stopped = options.signal.aborted || !(await answers(server))
        if (result.stopped) return result
      }
    }
  }
  return result
}

const gone = ({ url }: Server, words = '') => new Error(`${url} no longer answers: ${words}`)

function answers(server: Server): Promise<boolean> {
  return server.models().then(
    () => true,
    () => false,
  )
}

async function runVariant(
  server: Server,
  model: string,
  variant: Variant,
  options: BenchmarkOptions,
  { rows, layouts, notes }: BenchmarkResult,
): Promise<void> {
  const about = `${model}${variant.name === '' ? '' : ` ${variant.name}`}`
  const loadsAnew = variant.multiGpu !== undefined || variant.settings !== undefined
  // A model that runs already lies as it was loaded.
  if (loadsAnew) await server.unload(model)
  // The same prompts in every variant and on every server.
  const prompts = createPrompts(options.seed)
  let layout: Layout | undefined
  try {
    options.onProgress(`${about}: loading`)
    await calibrate(server, model, variant, prompts, options)
    for (const load of options.loads) {
      const row = await runLoad(server, { model, variant, load, prompts, about }, options)
      rows.push(row)
      if (row.errors > 0 && !(await answers(server))) throw gone(server, Object.keys(row.errorKinds).at(-1))
      // After each load: the server may not live to tell it in the end.
      layout = await layoutOf(server, model, variant.name)
    }
  } finally {
    if (layout) layouts.push(layout)
    notes.push(...mismatches(layout, variant))
    if (loadsAnew) await server.unload(model)
  }
}

interface LoadRun {
  model: string
  variant: Variant
  load: Load
  prompts: PromptMaker
  about: string
}

async function runLoad(
  server: Server,
  { model, variant, load, prompts, about }: LoadRun,
  options: BenchmarkOptions,
): Promise<Figures> {
  const { warmup, requests, promptTokens, outputTokens, seed, signal, onProgress } = options
  const ask = { model, outputTokens, ...(variant.multiGpu && { multiGpu: variant.multiGpu }) }
  const shared = { server, load, promptTokens, ask, prompts, seed, signal }
  const what = load.kind === 'closed' ? `${load.concurrency} at once` : `${load.perSecond} a second`
  // The load itself warms up: it has instances started and slots filled as it will find them.
  const warming = await drive({
    ...shared,
    requests: warmup,
    onAnswer: (done) => onProgress(`${about}, ${what}: warm-up`, { done, all: warmup }),
  })
  const lost = warming.find(({ unreachable }) => unreachable)
  if (lost) throw gone(server, lost.error)
  const watch = watchDevices(server)
  const measured = await drive({
    ...shared,
    requests,
    onAnswer: (done) => onProgress(`${about}, ${what}`, { done, all: requests }),
  }).catch(async (error: unknown) => {
    await watch.stop()
    throw error
  })
  const head = { server: server.url, model, variant: variant.name, load }
  return figuresOf(head, measured, options.objective, await watch.stop())
}

/** Loads the model, and learns how long its tokens are. Throws where it cannot be asked at all. */
async function calibrate(
  server: Server,
  model: string,
  variant: Variant,
  prompts: PromptMaker,
  { promptTokens, seed, signal }: BenchmarkOptions,
): Promise<void> {
  const prompt = prompts.next(promptTokens)
  const ask = {
    model,
    prompt,
    outputTokens: 2,
    seed,
    ...(variant.multiGpu && { multiGpu: variant.multiGpu }),
  }
  const first = await measure(server, ask, performance.now(), signal)
  signal.throwIfAborted()
  if (first.error !== undefined) throw new Error(`${model} at ${server.url}: ${first.error}`)
  prompts.observe(prompt, first.promptTokens)
}

interface StatusAnswer {
  instances: (Omit<Layout['instances'][number], 'parts'> & {
    model: string
    parts: (Layout['instances'][number]['parts'][number] & {
      memory?: { kvCacheBytes: number; weightsBytes: number }
    })[]
  })[]
}

async function layoutOf(server: Server, model: string, variant: string): Promise<Layout | undefined> {
  if (server.kind !== 'drover') return undefined
  const { instances } = await callJson<StatusAnswer>(`${server.url}/api/multigpu/status`)
  const full = model.includes(':') ? model : `${model}:latest`
  const own = instances.filter((one) => one.model.toLowerCase() === full.toLowerCase())
  return {
    server: server.url,
    model,
    variant,
    instances: own.map(({ instance, engine, strategy, slots, contextLength, parts }) => ({
      instance,
      engine,
      strategy,
      slots,
      ...(contextLength !== undefined && { contextLength }),
      parts: parts.map(({ deviceId, stage, layers, share, bytes, memory }) => ({
        deviceId,
        stage,
        share,
        bytes,
        ...(layers && { layers }),
        ...(memory && { kvCacheBytes: memory.kvCacheBytes, weightsBytes: memory.weightsBytes }),
      })),
    })),
  }
}

/** What was asked for and did not come about. */
function mismatches(layout: Layout | undefined, { name, strategy }: Variant): string[] {
  if (!layout || strategy === undefined) return []
  const others = layout.instances.filter((one) => one.strategy !== strategy)
  return others.map(
    (one) =>
      `! ${layout.model}, ${name}: instance #${one.instance} lies as "${one.strategy}": see "why" in drover plan ${layout.model} --strategy ${strategy}`,
  )
}
