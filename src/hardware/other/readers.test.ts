import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import { readOutput } from '../read-output.ts'
import { otherReaders } from './index.ts'

const card = {
  device_name: 'Intel(R) Arc(TM) B580 Graphics',
  gpu_clock: '2400MHz',
  mem_clock: null,
  temp: '140F',
  fan_speed: '45%',
  power_draw: '88W',
  gpu_util: '97%',
  mem_util: '50%',
  mem_total: '12809404416',
  mem_used: '6404702208',
  mem_free: '6404702208',
  processes: [
    { pid: '4021', cmdline: 'llama-server', kind: 'compute', gpu_mem_bytes_alloc: '6000000000' },
    { pid: 'x' },
  ],
}

describe('nvtop', () => {
  it('tells cards of every vendor with their sensors', () => {
    const others = ['AMD Radeon RX 7900 XTX', 'NVIDIA GeForce RTX 4090', 'Apple M2', 'Adreno'].map(
      (device_name) => ({ device_name, gpu_util: null, fan_speed: 'CPU Fan' }),
    )
    const result = readOutput(JSON.stringify([card, ...others]), otherReaders)
    if (!result.ok) throw new Error(result.reason)
    const [first, ...rest] = result.reading.devices
    expect(first).toEqual({
      vendor: 'intel',
      source: 'nvtop',
      index: 0,
      name: 'Intel(R) Arc(TM) B580 Graphics',
      memoryTotalBytes: 12809404416,
      memoryFreeBytes: 6404702208,
      sensors: {
        utilization: 0.97,
        memoryTotalBytes: 12809404416,
        memoryUsedBytes: 6404702208,
        temperatureC: 60,
        powerWatts: 88,
        graphicsClockMhz: 2400,
        fanRatio: 0.45,
        processes: [{ pid: 4021, name: 'llama-server', memoryBytes: 6000000000, kind: 'compute' }],
      },
    })
    expect(rest.map(({ vendor, sensors }) => [vendor, sensors])).toEqual([
      ['amd', {}],
      ['nvidia', {}],
      ['apple', {}],
      ['other', {}],
    ])
  })

  it('is refused where it is cut short', () => {
    const result = readOutput(JSON.stringify([card]).slice(0, -20), otherReaders)
    expect(result).toMatchObject({ ok: false, reason: expect.stringContaining('cut short') })
  })
})

describe('mx-smi', () => {
  it('is known and refused with a reason', () => {
    const text =
      'mx-smi  version: 2.2.9\n=== MetaX System Management Interface Log ===\nAttached GPUs     : 8\n'
    expect(readOutput(text, otherReaders)).toEqual({
      ok: false,
      reason:
        'mx-smi tells of 8 MetaX cards: Drover has no engine that computes on them, and does not use them',
    })
  })
})

describe('any text', () => {
  it('is read or refused by each reader, without a number that is none', () => {
    const value = fc.oneof(
      fc.constantFrom(null, '9e999', '-5W', '48C', '101%', '12RPM', ''),
      fc.string({ maxLength: 8 }),
      fc.double(),
    )
    const entry = fc.record(
      {
        device_name: fc.string(),
        temp: value,
        power_draw: value,
        gpu_util: value,
        mem_total: value,
        gpu_clock: value,
        fan_speed: value,
        processes: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(entry).map((list) => JSON.stringify(list)),
        ),
        (text) => {
          for (const reader of otherReaders) {
            const result = reader.read(text)
            const numbers = JSON.stringify(result, (_, field: unknown) =>
              typeof field === 'number' && !Number.isFinite(field) ? 'no number' : field,
            )
            expect(numbers).not.toContain('"no number"')
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('recorded outputs', () => {
  it('are read, and those of MetaX refused', () => {
    const root = sharedData('gpu-fixtures/other')
    if (root === undefined) return
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const result = readOutput(readFileSync(join(entry.parentPath, entry.name), 'utf8'), otherReaders)
      if (entry.parentPath.endsWith('mx-smi'))
        expect(result, entry.name).toMatchObject({
          ok: false,
          reason: expect.stringContaining('8 MetaX cards'),
        })
      else
        expect(result, entry.name).toMatchObject({
          ok: true,
          reading: {
            devices: [
              {
                vendor: 'nvidia',
                memoryTotalBytes: 4294967296,
                memoryFreeBytes: 3945594880,
                sensors: {
                  utilization: 0.05,
                  temperatureC: 48,
                  powerWatts: 13,
                  graphicsClockMhz: 1485,
                  memoryClockMhz: 6001,
                  memoryUsedBytes: 349372416,
                  processes: [],
                },
              },
              {
                vendor: 'amd',
                memoryTotalBytes: 16929173504,
                sensors: {
                  utilization: 0.12,
                  temperatureC: 48,
                  powerWatts: 9,
                  graphicsClockMhz: 2200,
                  memoryClockMhz: 2400,
                  memoryUsedBytes: 1213784064,
                },
              },
            ],
          },
        })
    }
  })
})
