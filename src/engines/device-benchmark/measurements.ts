import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Device, DeviceFacts } from '../../hardware/index.ts'
import { writeAtomically } from '../../models/index.ts'
import type { EngineName } from '../contract.ts'
import type { BenchmarkFigures } from './measure.ts'

/** What a measurement is of: another driver or engine may make another speed. */
export interface MeasurementIdentity {
  deviceId: string
  /** As people know it; a CPU with its number of cores, which may change from one container to the next. */
  deviceName: string
  /** Empty where a device has no driver of its own. */
  driverVersion: string
  engine: EngineName
  engineVersion: string
}

/** What a device did through an engine. */
export interface DeviceMeasurement extends MeasurementIdentity, BenchmarkFigures {
  /** ISO 8601, UTC. */
  measuredAt: string
}

const positive = z.number().positive()
const share = z.number().min(0)
const measurementSchema: z.ZodType<DeviceMeasurement> = z.object({
  deviceId: z.string().min(1),
  deviceName: z.string(),
  driverVersion: z.string(),
  engine: z.enum(['llama.cpp', 'embedded', 'ollama']),
  engineVersion: z.string(),
  modelBytes: positive,
  prefillTokensPerSecond: positive,
  decodeTokensPerSecond: positive,
  decodeParallelTokensPerSecond: positive,
  parallelStreams: z.number().int().positive(),
  bandwidthGBs: positive,
  loadMs: positive,
  spread: z.object({ prefill: share, decode: share, decodeParallel: share }),
  measuredAt: z.iso.datetime(),
})
const fileSchema = z.object({ version: z.literal(1), measurements: z.array(measurementSchema) })

/** Of several machines with one home folder, and of drivers and engines that were. */
const mostMeasurements = 200
const mostFileBytes = 2 ** 20
/** Of a smaller model the caches hold too much: its bandwidth is not the memory's. */
const leastTellingBytes = 48e6

/** Where measurements are kept, in Drover's own folder. */
export function measurementsPath(droverHome: string): string {
  return join(droverHome, 'device-measurements.json')
}

/** What was measured so far; nothing where there is no file. One that cannot be used is told by `warn`, and is as none. */
export async function readMeasurements(
  path: string,
  warn: (message: string) => void,
): Promise<DeviceMeasurement[]> {
  try {
    const { size } = await stat(path)
    if (size > mostFileBytes) throw new Error(`${size} bytes are more than Drover writes`)
    const parsed = fileSchema.safeParse(JSON.parse(await readFile(path, 'utf8')))
    if (parsed.success) return parsed.data.measurements
    const [issue] = parsed.error.issues
    throw new Error(`${issue?.path.join('.') || 'its content'}: ${issue?.message}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    const reason = error instanceof Error ? error.message : String(error)
    warn(`${path} is not used (${reason}): \`drover bench devices\` writes it anew`)
    return []
  }
}

/**
 * Keeps a measurement in place of an earlier one of the same; the oldest go when there are many. The file is there whole
 * or not at all. A file that cannot be used is overwritten. Throws when it cannot be written.
 */
export async function saveMeasurement(path: string, measurement: DeviceMeasurement): Promise<void> {
  // Read again: another process may have measured meanwhile. What is wrong with it has been told.
  const known = await readMeasurements(path, () => undefined)
  const measurements = [...known.filter((one) => !isSame(one, measurement)), measurement]
    .toSorted((a, b) => Date.parse(b.measuredAt) - Date.parse(a.measuredAt))
    .slice(0, mostMeasurements)
  await writeAtomically(path, `${JSON.stringify({ version: 1, measurements }, undefined, 2)}\n`)
}

/** What a measurement of this device through this engine is kept under. */
export function identityOf(
  device: Device,
  engine: { name: EngineName; version: string },
): MeasurementIdentity {
  const { id, name, kind, computeUnits, driverVersion = '' } = device
  const cores = kind === 'cpu' && computeUnits !== undefined
  return {
    deviceId: id,
    deviceName: cores ? `${name}, ${computeUnits} ${computeUnits === 1 ? 'core' : 'cores'}` : name,
    driverVersion,
    engine: engine.name,
    engineVersion: engine.version,
  }
}

/** The measurement of the same device, driver, engine and version; undefined where there is none. */
export function findMeasurement(
  measurements: readonly DeviceMeasurement[],
  identity: MeasurementIdentity,
): DeviceMeasurement | undefined {
  return measurements.find((one) => isSame(one, identity))
}

function isSame(a: MeasurementIdentity, b: MeasurementIdentity): boolean {
  return (
    a.deviceId === b.deviceId &&
    a.deviceName === b.deviceName &&
    a.driverVersion === b.driverVersion &&
    a.engine === b.engine &&
    a.engineVersion === b.engineVersion
  )
}

/**
 * What measuring has told of a device, to be preferred over what the specification table says; empty where it was not
 * measured, or with a model too small to tell.
 */
export function measuredFacts(
  measurements: readonly DeviceMeasurement[],
  device: Device,
  engine: { name: EngineName; version: string },
): Pick<DeviceFacts, 'bandwidthGBs'> {
  const found = findMeasurement(measurements, identityOf(device, engine))
  if (!found || found.modelBytes < leastTellingBytes) return {}
  return { bandwidthGBs: { value: found.bandwidthGBs, from: 'measured' } }
}
