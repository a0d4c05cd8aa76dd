import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Device } from '../../hardware/index.ts'
import {
  type DeviceMeasurement,
  findMeasurement,
  identityOf,
  measuredFacts,
  measurementsPath,
  readMeasurements,
  saveMeasurement,
} from './measurements.ts'

const card: Device = {
  id: 'GPU-1',
  vendor: 'nvidia',
  kind: 'discrete',
  name: 'NVIDIA GeForce RTX 3090',
  state: 'ok',
  sources: ['nvidia-smi'],
  memoryTotalBytes: 24e9,
  unifiedMemory: false,
  driverVersion: '580.1',
  facts: { bandwidthGBs: { value: 936, from: 'table' }, tflops: {}, supports: {} },
}
const cpu: Device = { ...card, id: 'cpu', vendor: 'cpu', kind: 'cpu', name: 'Some CPU', computeUnits: 2 }
delete cpu.driverVersion
const engine = { name: 'llama.cpp', version: 'b7000' } as const

const measured = (changes: Partial<DeviceMeasurement> = {}): DeviceMeasurement => ({
  ...identityOf(card, engine),
  modelBytes: 464e6,
  prefillTokensPerSecond: 9000,
  decodeTokensPerSecond: 1500,
  decodeParallelTokensPerSecond: 8000,
  parallelStreams: 8,
  bandwidthGBs: 700,
  loadMs: 800,
  spread: { prefill: 0.01, decode: 0, decodeParallel: 0.02 },
  measuredAt: '2026-01-02T03:04:05.000Z',
  ...changes,
})

let folder = ''
let path = ''
let warnings: string[] = []
const warn = (message: string) => void warnings.push(message)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-measurements-'))
  path = measurementsPath(join(folder, 'home'))
  warnings = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the file of measurements', () => {
  it('is empty where there is none, without a word', async () => {
    expect(await readMeasurements(path, warn)).toEqual([])
    expect(warnings).toEqual([])
  })

  it('gives back what was kept, the newest of each device, driver and engine', async () => {
    const other = measured({ engineVersion: 'b7001' })
    const newer = measured({ decodeTokensPerSecond: 1600, measuredAt: '2026-02-02T03:04:05.000Z' })
    for (const one of [measured(), other, newer]) await saveMeasurement(path, one)
    expect(await readMeasurements(path, warn)).toEqual([newer, other])
    expect(await readdir(join(folder, 'home'))).toEqual(['device-measurements.json'])
  })

  it.each([
    ['no JSON', '{"version":1,', /JSON/],
    ['of another form', '{"version":7,"measurements":[]}', /version/],
    ['of somebody else', '["a"]', /its content/],
    [
      'with a figure that is none',
      JSON.stringify({ version: 1, measurements: [measured({ loadMs: -1 })] }),
      /loadMs/,
    ],
    ['far too large', ' '.repeat(2 ** 21), /2097152 bytes/],
  ])('is not used when it is %s, which is told, and written anew', async (_what, content, reason) => {
    await saveMeasurement(path, measured())
    await writeFile(path, content)
    expect(await readMeasurements(path, warn)).toEqual([])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(reason)
    expect(warnings[0]).toContain('drover bench devices')
    await saveMeasurement(path, measured())
    expect(await readMeasurements(path, warn)).toEqual([measured()])
    expect(warnings).toHaveLength(1)
  })

  it('forgets the oldest when there are many, so that it stays readable', async () => {
    const many = Array.from({ length: 200 }, (_, index) =>
      measured({ deviceId: `GPU-${index}`, measuredAt: new Date(1e12 + index * 1000).toISOString() }),
    )
    await saveMeasurement(path, measured())
    await writeFile(path, JSON.stringify({ version: 1, measurements: many }))
    await saveMeasurement(path, measured({ deviceId: 'new' }))
    const kept = await readMeasurements(path, warn)
    expect(kept).toHaveLength(200)
    expect(kept.map(({ deviceId }) => deviceId)).toContain('new')
    expect(kept.map(({ deviceId }) => deviceId)).not.toContain('GPU-0')
    expect((await readFile(path)).length).toBeLessThan(2 ** 20)
  })
})

describe('a measurement is of one device through one engine', () => {
  it('and is not found for another card, driver, engine or version', () => {
    const known = [measured()]
    const found = (device: Device, through: { name: 'llama.cpp' | 'embedded'; version: string }) =>
      findMeasurement(known, identityOf(device, through)) !== undefined
    expect(found(card, engine)).toBe(true)
    expect(found({ ...card, id: 'GPU-2' }, engine)).toBe(false)
    expect(found({ ...card, driverVersion: '590.2' }, engine)).toBe(false)
    expect(found(card, { ...engine, name: 'embedded' })).toBe(false)
    expect(found(card, { ...engine, version: 'b7001' })).toBe(false)
  })

  it('and of a CPU with so many cores', () => {
    expect(identityOf(cpu, engine)).toMatchObject({ deviceName: 'Some CPU, 2 cores', driverVersion: '' })
    expect(identityOf({ ...cpu, computeUnits: 1 }, engine).deviceName).toBe('Some CPU, 1 core')
  })
})

describe('measured facts', () => {
  it('say that they were measured', () => {
    expect(measuredFacts([measured()], card, engine)).toEqual({
      bandwidthGBs: { value: 700, from: 'measured' },
    })
  })

  it('are not there for what was not measured, or with a model that caches can hold', () => {
    expect(measuredFacts([], card, engine)).toEqual({})
    expect(measuredFacts([measured({ modelBytes: 4e6 })], card, engine)).toEqual({})
  })
})
