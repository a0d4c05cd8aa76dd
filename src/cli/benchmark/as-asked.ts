import { access, constants } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../errors.ts'
import { chooseModels } from './choose-models.ts'
import type { BenchmarkReport, Figures } from './contract.ts'
import { type BenchmarkFlags, loadsOf, requestsOf, variantsAsked } from './flags.ts'
import { type BenchmarkOptions, runBenchmark } from './run.ts'
import { readSaved } from './saved.ts'
import { connectTo, type Server } from './server.ts'

/** What was measured, and what it is compared with. */
export interface MeasuredBenchmark {
  report: BenchmarkReport
  /** Lines of the server itself. */
  own: readonly Figures[]
  compared: { name: string; rows: readonly Figures[] }[]
  /** Why something is missing in it; absent where it is complete. */
  failure?: Error
}

/**
 * Runs what the flags ask for. Throws in readable words where something of it cannot be, before anything is measured, and
 * where nothing at all could be measured; what fails later is told beside what was measured.
 */
export async function runAsAsked(
  models: readonly string[],
  flags: BenchmarkFlags,
  signal: AbortSignal,
  onProgress: BenchmarkOptions['onProgress'],
): Promise<MeasuredBenchmark> {
  for (const path of [flags.save, flags.svg]) if (path !== undefined) await mayWrite(path)
  const baseline = flags.baseline === undefined ? undefined : await readSaved(flags.baseline)
  const apiKey = flags.apiKey ?? process.env['OPENAI_API_KEY']
  const server = await connectTo(flags.url ?? (await ownUrl()), apiKey)
  const other = flags.compare === undefined ? undefined : await connectTo(flags.compare, apiKey)
  const options = await optionsOf(models, flags, server)
  const there = modelsThere(flags, options.models)
  const watched = { ...options, signal, onProgress }
  const results = [await runBenchmark(server, watched)]
  if (other && !results[0]?.stopped) {
    results.push(await runBenchmark(other, { ...watched, models: there }))
  }
  const [failure, ...more] = results.flatMap(({ failures }) => failures)
  if (failure && results.every(({ rows }) => rows.length === 0)) {
    throw new Error([...new Set([failure, ...more].map(messageOf))].join('; '))
  }
  const [own, theirs] = results
  const { seed, promptTokens, outputTokens, objective } = options
  return {
    report: {
      version: 1,
      at: new Date().toISOString(),
      ...{ seed, promptTokens, outputTokens, objective },
      rows: results.flatMap(({ rows }) => rows),
      layouts: results.flatMap(({ layouts }) => layouts),
      notes: results.flatMap(({ notes }) => notes),
    },
    own: own?.rows ?? [],
    compared: [
      ...(other && theirs
        ? [{ name: other.url, rows: underOwnNames(theirs.rows, flags, options.models) }]
        : []),
      ...(baseline ? [{ name: flags.baseline ?? '', rows: baseline.rows }] : []),
    ],
    ...(failure && { failure }),
  }
}

async function optionsOf(
  models: readonly string[],
  flags: BenchmarkFlags,
  server: Server,
): Promise<Omit<BenchmarkOptions, 'signal' | 'onProgress'>> {
  const { warmup, promptTokens, outputTokens, seed, sloTtft, sloItl } = flags
  const variants = variantsAsked(flags)
  if (server.kind !== 'drover' && variants.some(({ name }) => name !== '')) {
    throw new Error(
      `${server.url} is no Drover: only a Drover can be asked for strategies, devices and settings`,
    )
  }
  return {
    models: chooseModels(models, flags.modelSizes, await server.models()),
    variants,
    loads: loadsOf(flags),
    ...{ warmup, promptTokens, outputTokens, seed },
    requests: requestsOf(flags),
    objective: { ttftMs: sloTtft, itlMs: sloItl },
  }
}

/** Throws where a file cannot be written there: to learn it when all is measured would be late. */
async function mayWrite(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK)
  } catch (error) {
    throw new Error(`${path} cannot be written: ${messageOf(error)}`)
  }
}

/** What the models are called at the other server. */
function modelsThere({ compareModel }: BenchmarkFlags, models: readonly string[]): readonly string[] {
  if (compareModel === undefined) return models
  if (models.length === 1) return [compareModel]
  throw new Error(`--compare-model names one model: measure one, not ${models.join(', ')}`)
}

/** A model that is called otherwise there is compared under the name that it has here. */
function underOwnNames(
  rows: readonly Figures[],
  { compareModel }: BenchmarkFlags,
  [model = '']: readonly string[],
): readonly Figures[] {
  return compareModel === undefined ? rows : rows.map((row) => ({ ...row, model }))
}

async function ownUrl(): Promise<string> {
  const [{ readSettings }, { clientUrl }] = await Promise.all([
    import('../settings.ts'),
    import('../../config/index.ts'),
  ])
  return clientUrl(readSettings().config.host)
}
