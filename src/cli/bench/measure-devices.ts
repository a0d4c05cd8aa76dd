import { mkdir, rm } from 'node:fs/promises'
import { type Config, clientUrl } from '../../config/index.ts'
import { systemClock } from '../../core/index.ts'
import {
  type BenchmarkTemplate,
  benchmarkDevice,
  type DeviceMeasurement,
  findMeasurement,
  identityOf,
  measurementsPath,
  readMeasurements,
  saveMeasurement,
  writeBenchmarkModel,
} from '../../engines/index.ts'
import { createDeviceFinder, deviceProbes, factsOf, hostSystem, shortLabels } from '../../hardware/index.ts'
import { createLogger, stderrDestination } from '../../observability/index.ts'
import { confinementOf, type WorkerDevice, workerDevices } from '../../placement/index.ts'
import { chooseEngine, cpuPartsOf, enginesOf, runDirPath, sweepRunDirs } from '../../server/index.ts'
import { messageOf } from '../errors.ts'
import { chooseDevices } from './choose-devices.ts'
import { cpuCacheBytes, isAboutAsLarge, modelBytesFor } from './model-size.ts'

/** A device with what was measured, now or before. */
export interface MeasuredDevice extends DeviceMeasurement {
  /** As tables name it: `GPU0`. */
  label: string
  /** It was measured before, and not now. */
  cached: boolean
  /** The bandwidth as a share of what the specification says, where that is known. */
  ofTable?: number
}

export interface BenchReport {
  devices: MeasuredDevice[]
  /** Devices that could not be measured, each with the reason. */
  failures: string[]
  /** What a reader of the figures should know. */
  notes: string[]
}

export interface BenchOptions {
  config: Config
  /** Measure what is known too. */
  force: boolean
  /** In a second or two each, coarser. */
  quick: boolean
  /** The only devices to measure. */
  names: readonly string[] | undefined
  /** Of the synthetic model; by the device where it is not given. */
  modelBytes: number | undefined
  signal: AbortSignal
  onProgress(message: string): void
  warn(message: string): void
}

/**
 * Measures the devices that a server would use, one after the other, and keeps what it finds. Throws when there is no
 * engine or no such device, and the signal's reason; no process and no file is left then.
 */
export async function measureDevices(options: BenchOptions): Promise<BenchReport> {
  const { config } = options
  if (!['auto', 'llama.cpp', 'embedded'].includes(config.engine)) {
    throw new Error(
      `${config.engine} runs no model that Drover makes, so it cannot be measured: say --engine llama.cpp or embedded`,
    )
  }
  await sweepRunDirs()
  const runDir = runDirPath()
  try {
    return await measureIn(runDir, options)
  } finally {
    await rm(runDir, { recursive: true, force: true })
  }
}

async function measureIn(runDir: string, options: BenchOptions): Promise<BenchReport> {
  const { config, force, signal, onProgress, warn } = options
  onProgress('looking for devices')
  const { devices, labels, engine, version } = await findDevices(runDir, config)
  const chosen = chooseDevices(devices, options.names, labels)
  const path = measurementsPath(config.droverHome)
  const known = force ? [] : await readMeasurements(path, warn)
  const modelOf = modelWriter(runDir, signal, onProgress)
  const planned = chosen.map((worker) => {
    const identity = identityOf(worker.device, { name: engine.name, version })
    const bytes = options.modelBytes ?? modelBytesFor(worker)
    const before = findMeasurement(known, identity)
    const cached = before && isAboutAsLarge(before.modelBytes, bytes) ? before : undefined
    return { worker, label: labels.get(worker.id) ?? worker.id, identity, bytes, cached }
  })
  const report: BenchReport = { devices: [], failures: [], notes: [] }
  if (planned.some(({ cached }) => !cached)) report.notes.push(...(await busyServer(config, warn)))
  for (const { worker, label, identity, bytes, cached } of planned) {
    try {
      const measurement = cached ?? {
        ...identity,
        ...(await benchmarkDevice({
          engine,
          spec: templateOf(worker, config),
          model: await modelOf(bytes),
          clock: systemClock,
          signal,
          quick: options.quick,
          onStage: (stage) => onProgress(`${label}: ${stage}`),
        })),
        measuredAt: new Date().toISOString(),
      }
      if (!cached) await saveMeasurement(path, measurement)
      report.devices.push({
        label,
        ...measurement,
        cached: cached !== undefined,
        ...ofTable(worker, measurement),
      })
    } catch (error) {
      signal.throwIfAborted()
      report.failures.push(`${label}: ${messageOf(error)}`)
    }
  }
  report.notes.push(...cacheNotes(planned, report.devices))
  return report
}

/** The devices as a server with this configuration sees them. Throws when there is none, with what stands in the way. */
async function findDevices(runDir: string, config: Config) {
  // The engine's own words are of interest to those who asked for more of them.
  const level = config.logLevel === 'info' ? 'warn' : config.logLevel
  const log = createLogger({ level, pretty: process.stderr.isTTY === true, destination: stderrDestination() })
  const cpuParts = cpuPartsOf(config.devices)
  const finder = createDeviceFinder({ system: hostSystem, probes: deviceProbes, factsOf, cpuParts })
  const [{ engine, probe }, inventory] = await Promise.all([
    chooseEngine(enginesOf(config, runDir, log), log),
    finder.find(),
  ])
  const { devices, problems } = workerDevices({
    hardware: inventory.devices,
    engineDevices: probe.devices,
    chosen: config.devices,
    settings: config.gpuInstances,
    vulkanVisible: process.env['GGML_VK_VISIBLE_DEVICES'],
  })
  for (const problem of [...inventory.problems, ...problems]) log.warn({}, problem)
  if (devices.length === 0) throw new Error('there is no device to measure: see `drover gpus`')
  return { devices, labels: shortLabels(inventory.devices), engine, version: probe.version }
}

/** Writes a model of each size once. */
function modelWriter(runDir: string, signal: AbortSignal, onProgress: (message: string) => void) {
  const written = new Map<number, Awaited<ReturnType<typeof writeBenchmarkModel>>>()
  return async (bytes: number) => {
    const before = written.get(bytes)
    if (before) return before
    onProgress(`writing a model of ${Math.round(bytes / 1e6)} MB`)
    await mkdir(runDir, { recursive: true, mode: 0o700 })
    const model = await writeBenchmarkModel(runDir, bytes, signal)
    written.set(bytes, model)
    return model
  }
}

/** Where and how an instance runs on this device when a server starts it. */
function templateOf(worker: WorkerDevice, config: Config): BenchmarkTemplate {
  return {
    id: 'benchmark',
    projectorPaths: [],
    adapterPaths: [],
    embedding: false,
    // All of them: a part of the model on the CPU would measure that.
    gpuLayers: worker.kind === 'cpu' ? 0 : 999,
    ...confinementOf([worker]),
    flashAttention: config.flashAttention,
    kvCacheType: config.kvCacheType,
    contextShift: false,
    stallTimeoutMs: config.loadStallTimeoutMs,
  }
}

function ofTable({ device }: WorkerDevice, { bandwidthGBs }: DeviceMeasurement): { ofTable?: number } {
  const table = device.facts.bandwidthGBs?.value
  return table === undefined ? {} : { ofTable: bandwidthGBs / table }
}

/** A cache as large as the model makes the memory seem faster than it is. */
function cacheNotes(
  planned: readonly { worker: WorkerDevice }[],
  measured: readonly MeasuredDevice[],
): string[] {
  const labelsByNote = new Map<string, string[]>()
  for (const { label, deviceId, modelBytes } of measured) {
    const device = planned.find(({ worker }) => worker.id === deviceId)?.worker.device
    const cacheBytes = device?.kind === 'cpu' ? cpuCacheBytes(hostSystem, device.cores) : 0
    if (cacheBytes < modelBytes / 2) continue
    const [cache, model, larger] = [cacheBytes, modelBytes, 3 * cacheBytes].map((bytes) =>
      Math.round(bytes / 1e6),
    )
    const note =
      `the CPU's cache (${cache} MB) can hold much of the model (${model} MB), so BANDWIDTH may be more than the ` +
      `memory's: --model-size ${larger}MB measures that, slowly`
    labelsByNote.set(note, [...(labelsByNote.get(note) ?? []), label])
  }
  return [...labelsByNote].map(([note, labels]) => `${labels.join(', ')}: ${note}`)
}

const serverAnswersMs = 1_000

/** A server that has models loaded shares the devices with the benchmark: told before, and with the figures. */
async function busyServer({ host }: Config, warn: (message: string) => void): Promise<string[]> {
  const url = clientUrl(host)
  const loaded = await loadedModels(url)
  if (loaded.length === 0) return []
  warn(
    `the server at ${url} has models loaded (${loaded.join(', ')}): its answers are slower while this measures`,
  )
  return [
    `the server at ${url} had models loaded, and may have taken a share of the devices: measure again with --force ` +
      'when it is idle',
  ]
}

async function loadedModels(url: string): Promise<string[]> {
  try {
    const response = await fetch(`${url}/api/ps`, { signal: AbortSignal.timeout(serverAnswersMs) })
    const { models } = (await response.json()) as { models?: { name: string }[] }
    return models?.map(({ name }) => name) ?? []
  } catch {
    // Nobody there, or somebody who speaks something else: nobody is disturbed.
    return []
  }
}
