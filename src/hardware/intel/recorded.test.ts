import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { ReadResult } from '../contract.ts'
import { readOutput } from '../read-output.ts'
import { intelReaders } from './index.ts'
import { read } from './readers.fixture.ts'

/** Every number in a result, wherever it stands. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : []
}

function expectSound(result: ReadResult) {
  expect(numbersIn(result).filter((number) => !Number.isFinite(number))).toEqual([])
  if (!result.ok) expect(result.reason).not.toBe('')
}

describe('any text', () => {
  const words = [
    'Device ID',
    '|',
    '\n',
    '+---+',
    '{',
    '}',
    '[',
    ']',
    '"device_list":',
    '"engines":',
    ',',
    ':',
    'GPU 0/0',
    'GPU 1/0 |XL|',
    'CPU Affinity',
    'Timestamp, DeviceId, GPU Power (W)\n',
    '1:00:00, 0, 9e999',
    'Tile 0: 5',
    'current: 1e400',
    '"value": 1e308',
    '-1',
    '0x',
    'Status: ',
    'GPU Power (W)',
    ' PID Command DeviceID SHR MEM',
    '"pci_bdf_address": "0000:03:00.0"',
    'Freq MHz\nreq act\n',
    '"files"',
    '/sys/class/drm/card0/device/vendor:0x8086\n',
  ]

  it('is read or refused by each reader, without a number that is none', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc
        .array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 6 })), { maxLength: 40 })
        .map((parts) => parts.join('')),
      fc.json(),
    )
    fc.assert(
      fc.property(text, (any) => {
        for (const reader of intelReaders) {
          reader.matches(any)
          expectSound(reader.read(any))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('is judged quickly, however long a line is', () => {
    const long = [
      `Device ID,${'a,'.repeat(60_000)}`,
      `| ${'-'.repeat(100_000)}`,
      '{'.repeat(100_000),
      `[${'{"engines":'.repeat(10_000)}`,
      ' '.repeat(100_000),
      '\n'.repeat(100_000),
      `PID  Command  DeviceID  SHR  MEM\n1 a${' '.repeat(100_000)}`,
      `| Device ID |\n${'|'.repeat(100_000)}`,
      `Device ID | \n${'\n|'.repeat(50_000)}`,
      `/sys/class/drm/card0/${'a:'.repeat(50_000)}`,
    ]
    const startMs = performance.now()
    for (const text of long) for (const reader of intelReaders) if (reader.matches(text)) reader.read(text)
    expect(performance.now() - startMs).toBeLessThan(2000)
  })
})

describe('recorded outputs', () => {
  const root = sharedData('gpu-fixtures/intel')
  const text = (name: string) => (root === undefined ? undefined : readFileSync(join(root, name), 'utf8'))

  it('are each read, or refused with a reason, also when they are cut anywhere', () => {
    if (root === undefined) return
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const whole = readFileSync(join(entry.parentPath, entry.name), 'utf8')
      const result = readOutput(whole, intelReaders)
      expectSound(result)
      if (!result.ok) expect(result.reason, entry.name).not.toContain('as far as Drover knows')
      for (let cut = 1; cut < 8; cut += 1) {
        for (const reader of intelReaders) expectSound(reader.read(whole.slice(0, (whole.length * cut) / 8)))
      }
    }
  })

  const table: readonly (readonly [string, object])[] = [
    [
      'xpu-smi-discovery/xpu-smi-discovery-d-0000-4d-00-0.txt',
      {
        index: 0,
        pciAddress: '0000:4d:00.0',
        memoryTotalBytes: 32768 * 1024 ** 2,
        driverVersion: '16929133',
        computeUnits: 512,
        pcie: { maxGeneration: 4, maxWidth: 16 },
        sensors: { graphicsClockMaxMhz: 1400, ecc: { enabled: true } },
      },
    ],
    [
      'xpu-smi-discovery/xpu-smi-win-discovery-d-0.txt',
      {
        name: 'Intel(R) Data Center GPU Flex Series 170',
        uuid: '01000000-0000-004d-0000-000856c08086',
        memoryTotalBytes: 14336 * 1024 ** 2,
        driverVersion: '16999259',
        vbios: 'DG02_1.3185',
        sensors: { graphicsClockMaxMhz: 2050 },
      },
    ],
    [
      'xpu-smi-discovery/xpumcli-discovery-d-0.txt',
      { memoryTotalBytes: 14248 * 1024 ** 2, vbios: 'DG02_1.3172', pciDeviceId: '0x56c0' },
    ],
    [
      'xpu-smi-discovery/xpu-smi-discovery-j.json',
      {
        index: 0,
        pciAddress: '0000:4d:00.0',
        pciDeviceId: '0x020a',
        uuid: '00000000-0000-0000-0000-020a00008086',
      },
    ],
    ['xpu-smi-discovery/xpu-smi-win-discovery-j.json', { pciDeviceId: '0x56c0' }],
    [
      'xpu-smi-discovery/xpu-smi-discovery-dump-1-2-3-6.txt',
      { index: 0, name: 'Intel(R) Graphics [0x56c0]', sensors: { graphicsClockMaxMhz: 2050 } },
    ],
    [
      'xpu-smi-stats/rest-docs-2tile-stats.json',
      {
        sensors: {
          powerWatts: 23,
          utilization: 0,
          memoryUtilization: 0.1,
          temperatureC: 35,
          graphicsClockMhz: 725,
          memoryUsedBytes: 134410240 + 134344704,
          ecc: { corrected: 0, uncorrected: 0 },
        },
      },
    ],
    [
      'xpu-smi-stats/xpumcli-stats-d-0.txt',
      {
        sensors: {
          powerWatts: 44,
          graphicsClockMhz: 2050,
          temperatureC: 45,
          memoryUsedBytes: 26 * 1024 ** 2,
        },
      },
    ],
    [
      'xpu-smi-stats/xpu-smi-win-stats-d-0.txt',
      {
        sensors: {
          powerWatts: 16,
          graphicsClockMhz: 1950,
          temperatureC: 52,
          memoryTemperatureC: 48,
          memoryUsedBytes: 186 * 1024 ** 2,
        },
      },
    ],
    [
      'xpu-smi-dump/xpu-smi-dump-d-0-m-0-1-2-i-1-n-5.txt',
      { index: 0, sensors: { utilization: 0, powerWatts: 14.61, graphicsClockMhz: 0 } },
    ],
    [
      'xpu-smi-dump/xpu-smi-win-dump-d-0-m-0-1-2-file-gpudata-csv.txt',
      { sensors: { powerWatts: 46.47, graphicsClockMhz: 1200 } },
    ],
    [
      'xpu-smi-dump/xpumcli-dump-d-0-t-0-m-0-1-2-21-22-i-1-n-5.txt',
      { index: 0, sensors: { utilization: 0, graphicsClockMhz: 300 } },
    ],
    [
      'xpu-smi-health/xpu-smi-health-l.txt',
      { index: 0, sensors: { slowdownC: 105, shutdownC: 130, powerLimitWatts: 150, throttle: [] } },
    ],
    [
      'xpu-smi-ps/xpumcli-ps.txt',
      { index: 0, sensors: { processes: [{ pid: 12961, name: 'xpumd', memoryBytes: 1966000 }] } },
    ],
    [
      'xpu-smi-config/xpu-smi-config-d-0.txt',
      { sensors: { powerLimitWatts: 300, graphicsClockMaxMhz: 1300, ecc: { enabled: true } } },
    ],
    ['xpu-smi-config/xpu-smi-win-config-d-0.txt', { sensors: { graphicsClockMaxMhz: 2050 } }],
    [
      'intel_gpu_top/beszel-l-text.txt',
      { sensors: { utilization: 0.12, graphicsClockMhz: 295, powerWatts: 2.2 } },
    ],
    [
      'sysfs/card1-i915-connectors.json',
      {
        pciAddress: '0000:00:02.0',
        pciDeviceId: '0x5917',
        kind: 'integrated',
        name: 'Intel(R) UHD Graphics 620',
      },
    ],
  ]

  it('agree field by field with what they say', () => {
    for (const [name, expected] of table) {
      const recorded = text(name)
      if (recorded !== undefined) expect(read(recorded).devices[0], name).toMatchObject(expected)
    }
  })

  it('give the matrix cell by cell', () => {
    const recorded = text('xpu-smi-topology/xpu-smi-topology-m.txt')
    if (recorded === undefined) return
    const name = ({ index, tile }: { index?: number; tile?: number }) => `${index}/${tile}`
    const { links, places } = read(recorded)
    expect(links.map(({ a, b, label }) => `${name(a)} ${name(b)} ${label}`)).toEqual([
      '0/0 0/1 MDF',
      '0/0 1/0 XL*',
      '0/0 1/1 XL16',
      '0/1 1/0 XL16',
      '0/1 1/1 XL*',
      '1/0 1/1 MDF',
    ])
    expect(places.map(({ cpuAffinity }) => cpuAffinity)).toEqual(['0-23,48-71', '24-47,72-95'])
  })
})
