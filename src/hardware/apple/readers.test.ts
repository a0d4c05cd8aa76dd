import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { Reading } from '../contract.ts'
import { appleReaders } from './index.ts'

function read(text: string): Reading {
  const result = appleReaders.find((reader) => reader.matches(text))?.read(text)
  if (result?.ok !== true) throw new Error(`not read: ${result?.reason ?? 'no reader takes it'}`)
  return result.reading
}

const sensorsOf = (text: string) => read(text).devices[0]?.sensors

const mib = 1024 ** 2

const intelMac = JSON.stringify({
  SPDisplaysDataType: [
    {
      _name: 'kHW_IntelUHDGraphics630Item',
      sppci_model: 'Intel UHD Graphics 630',
      sppci_bus: 'spdisplays_builtin',
      spdisplays_vendor: 'Intel',
      'spdisplays_device-id': '0x3e9b',
      _spdisplays_vram: '1536 MB',
      spdisplays_vram_shared: '1536 MB',
      spdisplays_metal: 'spdisplays_metalfeaturesetfamily21',
    },
    {
      _name: 'kHW_AMDRadeonPro5500MItem',
      sppci_model: 'AMD Radeon Pro 5500M',
      sppci_bus: 'spdisplays_pcie_device',
      spdisplays_vendor: 'sppci_vendor_amd',
      'spdisplays_device-id': '0x7340',
      spdisplays_vram: '8 GB',
      spdisplays_pcie_width: 'x16',
      'spdisplays_rom-revision': '113-D3220E-190',
      spdisplays_mtlgpufamilysupport: 'spdisplays_metal3',
      sppci_cores: 24,
    },
    { sppci_bus: 'spdisplays_builtin' },
  ],
})

const accelerator = `+-o AGXAcceleratorG14X  <class AGXAcceleratorG14X, id 0x100000444, registered, matched, active, busy 0 (0 ms), retain 99>
    {
      "gpu-core-count" = 38
      "PerformanceStatistics" = {"Tiler Utilization %"=3,"In use system memory (driver)"=77,"In use system memory"=1048576,"Device Utilization %"=55,"Alloc system memory"=5}
      "model" = "Apple M2 Max"
    }
`

const power = (active: string) => `*** Sampled system activity (Mon) (1000ms elapsed) ***
GPU HW active frequency: 444 MHz
GPU HW active residency:  ${active}% (444 MHz: 7% 1398 MHz:  3%)
GPU Power: 1500 mW
*** Sampled system activity (Tue) (1000ms elapsed) ***
GPU HW active frequency: 612 MHz
GPU HW active residency:  ${active}% (444 MHz: 7% 1398 MHz:  3%)
GPU Power: 250 mW
Current pressure level: Heavy
`

describe('system_profiler', () => {
  it('tells both GPUs of an Intel Mac, with shared and own memory', () => {
    const { devices, notes } = read(intelMac)
    const source = 'system_profiler SPDisplaysDataType'
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source,
        index: 0,
        name: 'Intel UHD Graphics 630',
        kind: 'integrated',
        memoryTotalBytes: 1536 * mib,
        pciDeviceId: '0x3e9b',
        runtime: 'Metal',
      },
      {
        vendor: 'amd',
        source,
        index: 1,
        name: 'AMD Radeon Pro 5500M',
        kind: 'discrete',
        memoryTotalBytes: 8192 * mib,
        computeUnits: 24,
        pciDeviceId: '0x7340',
        pcie: { width: 16 },
        vbios: '113-D3220E-190',
        runtime: 'Metal 3',
      },
    ])
    expect(notes).toHaveLength(1)
  })

  it('refuses JSON of something else and JSON that is cut', () => {
    const [reader] = appleReaders
    expect(reader?.read('{"SPDisplaysDataType": 3}')).toMatchObject({ ok: false })
    expect(reader?.read(intelMac.slice(0, 90))).toMatchObject({ ok: false })
  })
})

describe('ioreg', () => {
  it('tells utilisation, memory and cores, not the figures beside them', () => {
    expect(read(accelerator).devices).toEqual([
      {
        vendor: 'apple',
        source: 'ioreg',
        index: 0,
        name: 'Apple M2 Max',
        kind: 'integrated',
        architecture: 'G14X',
        computeUnits: 38,
        sensors: { utilization: 0.55, memoryUsedBytes: mib },
      },
    ])
  })

  it("tells what AMD's driver on an Intel Mac says", () => {
    const text = `+-o AMDRadeonX6000_AMDNavi14GraphicsAccelerator  <class AMDRadeonX6000_AMDNavi14GraphicsAccelerator, id 0x1>
    {
      "PerformanceStatistics" = {"Temperature(C)"=61,"Total Power(W)"=23,"Core Clock(MHz)"=1300,"Fan Speed(RPM)"=0,"vramUsedBytes"=4096,"Device Utilization %"=100}
    }`
    expect(read(text).devices).toMatchObject([
      { vendor: 'amd', sensors: { temperatureC: 61, powerWatts: 23, utilization: 1 } },
    ])
  })

  it('refuses what is no accelerator', () => {
    expect(
      appleReaders.find((reader) => reader.tool === 'ioreg')?.read('+-o Root  <class IORegistryEntry>'),
    ).toMatchObject({
      ok: false,
    })
  })
})

describe('powermetrics and pmset', () => {
  it('tell the last sample, of which a share may begin with its point', () => {
    expect(sensorsOf(power('.69'))).toEqual({
      powerWatts: 0.25,
      utilization: 0.0069,
      graphicsClockMhz: 612,
      graphicsClockMaxMhz: 1398,
      throttle: ['sw_thermal'],
    })
  })

  it('refuse a log without the GPU, saying which sampler to add', () => {
    const text = '*** Sampled system activity (Mon) (1000ms elapsed) ***\nCPU Power: 947 mW\n'
    expect(appleReaders.find((reader) => reader.matches(text))?.read(text)).toEqual({
      ok: false,
      reason: expect.stringContaining('--samplers gpu_power'),
    })
  })

  it.each([
    ['Note: No thermal warning level has been recorded\nNote: No CPU power status has been recorded\n', []],
    [
      '2020-11-24 13:10:40 +0100 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Speed_Limit \t= 35\n',
      ['sw_thermal'],
    ],
    ['2020-11-24 13:10:40 +0100 CPU Power notify\n\tCPU_Speed_Limit \t= 100\n', []],
    ['Thermal Warning Level = 5\n', ['sw_thermal']],
  ])('tell from %j that the machine is slowed by %j', (text, throttle) => {
    expect(sensorsOf(text)).toEqual({ throttle })
  })
})

describe('any text at all', () => {
  it('is read or refused, and every number in it is finite', () => {
    const lines = [
      ...accelerator.split('\n'),
      ...power('99999').split('\n'),
      'CPU_Speed_Limit = 1e9',
      '"model" = ""',
    ]
    const texts = fc.oneof(
      fc.string(),
      fc.json().map((json) => `{"SPDisplaysDataType": [${json}]}`),
      fc.array(fc.constantFrom(...lines), { maxLength: 30 }).map((at) => at.join('\n')),
    )
    fc.assert(
      fc.property(texts, (text) => {
        for (const reader of appleReaders) {
          reader.matches(text)
          const result = reader.read(text)
          if (result.ok) expect(JSON.stringify(result.reading)).not.toMatch(/:null|NaN|Infinity/)
          else expect(result.reason).not.toBe('')
        }
      }),
    )
  })
})

const folder = sharedData('gpu-fixtures')

if (folder !== undefined) {
  describe('recorded outputs', () => {
    const spots: readonly [name: string, expected: object[]][] = [
      [
        'ioreg-AGXAccelerator/m3-pro.txt',
        [
          {
            name: 'Apple M3 Pro',
            computeUnits: 14,
            sensors: { utilization: 0.42, memoryUsedBytes: 3221225472 },
          },
        ],
      ],
      [
        'ioreg-AGXAccelerator/m4.txt',
        [{ name: 'Apple M4', computeUnits: 10, sensors: { utilization: 0.3, memoryUsedBytes: 356089856 } }],
      ],
      ['pmset/therm-nominal.txt', [{ sensors: { throttle: [] } }]],
      ['powermetrics/m1-air-cpu_power-log.txt', [{ sensors: { powerWatts: 0.009 } }]],
      [
        'powermetrics/m4-gpu-section.txt',
        [
          {
            sensors: {
              powerWatts: 0.028,
              utilization: 0.0163,
              graphicsClockMhz: 338,
              graphicsClockMaxMhz: 1578,
            },
          },
        ],
      ],
      [
        'system_profiler-json/intel-mac-dual-gpu-shape.json',
        [
          { vendor: 'intel', kind: 'integrated', memoryTotalBytes: 1536 * mib },
          {
            vendor: 'nvidia',
            kind: 'discrete',
            memoryTotalBytes: 2048 * mib,
            name: 'NVIDIA GeForce GT 750M',
          },
        ],
      ],
      [
        'system_profiler-json/m3-max-headless.json',
        [{ vendor: 'apple', name: 'Apple M3 Max', computeUnits: 40, runtime: 'Metal', kind: 'integrated' }],
      ],
    ]
    it.each(spots)('of %s are told field by field', (name, expected) => {
      const { devices } = read(readFileSync(join(folder, 'apple', name), 'utf8'))
      expect(devices).toHaveLength(expected.length)
      expect(devices).toMatchObject(expected)
    })
  })
}
