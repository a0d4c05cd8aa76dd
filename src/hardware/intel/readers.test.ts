import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { Reading, ReadResult } from '../contract.ts'
import { readOutput } from '../read-output.ts'
import { intelReaders } from './index.ts'

function read(text: string): Reading {
  const result = readOutput(text, intelReaders)
  if (!result.ok) throw new Error(`not read: ${result.reason}`)
  return result.reading
}

function reasonOf(text: string): string {
  const result = readOutput(text, intelReaders)
  if (result.ok) throw new Error(`read as ${result.reading.tool}`)
  return result.reason
}

const box = (...lines: string[]) => ['+-----+-----+', ...lines, '+-----+-----+', ''].join('\n')

describe('xpu-smi discovery', () => {
  it('tells one card in JSON, numbers written as text', () => {
    const card = {
      device_id: 3,
      device_name: 'Intel(R) Arc(TM) A770 Graphics',
      core_clock_rate_mhz: '2400',
      driver_version: '1.3.27642',
      memory_physical_size_byte: '16704737280',
      memory_free_size_byte: '16000000000',
      memory_ecc_state: 'disabled',
      number_of_eus: '512',
      number_of_tiles: '1',
      pci_bdf_address: '0000:03:00.0',
      pci_device_id: '0x56a0',
      pci_vendor_id: '0x8086',
      pcie_generation: '1',
      pcie_max_link_width: '1',
      serial_number: 'unknown',
      uuid: '00000000-0000-0003-0000-000856a08086',
    }
    const expected = {
      vendor: 'intel',
      source: 'xpu-smi',
      index: 3,
      uuid: '00000000-0000-0003-0000-000856a08086',
      pciAddress: '0000:03:00.0',
      pciDeviceId: '0x56a0',
      pciVendorId: '0x8086',
      name: 'Intel(R) Arc(TM) A770 Graphics',
      memoryTotalBytes: 16704737280,
      memoryFreeBytes: 16000000000,
      driverVersion: '1.3.27642',
      computeUnits: 512,
      sensors: { graphicsClockMaxMhz: 2400, ecc: { enabled: false } },
    }
    expect(read(JSON.stringify(card)).devices).toEqual([expected])
    expect(read(`$ xpu-smi discovery -d 3 -j\n${JSON.stringify(card, null, 4)}\n`.slice(28)).devices).toEqual(
      [expected],
    )
  })

  it('leaves shares of listed cards out, and UUIDs that two cards bear', () => {
    const card = (device_id: number, kind: string) => ({
      device_id,
      device_name: 'Intel(R) Data Center GPU Flex 170',
      device_function_type: kind,
      pci_bdf_address: `0000:4d:00.${device_id}`,
      uuid: 'aaaa',
    })
    const all = read(
      JSON.stringify({ device_list: [card(0, 'physical'), card(1, 'virtual'), card(2, 'virtual')] }),
    )
    expect(all.devices.map(({ pciAddress, uuid }) => [pciAddress, uuid])).toEqual([
      ['0000:4d:00.0', undefined],
    ])
    expect(all.notes).toEqual(['2 virtual functions are left out: they are shares of the other cards'])
    const inside = read(JSON.stringify({ device_list: [card(1, 'virtual')] }))
    expect(inside.devices).toMatchObject([{ index: 1, uuid: 'aaaa' }])
  })

  it('tells several cards of a table, and nothing for cells that are empty', () => {
    const { devices } = read(
      box(
        '| Device ID | Device Information |',
        '| 0 | Device Name: Intel(R) Arc(TM) B580 Graphics |',
        '|   | PCI BDF Address: 0000:03:00.0 |',
        '|   | Memory Physical Size: 12216.00 MiB |',
        '|   | Driver Version: |',
        '| 1 | Device Name: Intel(R) Graphics [0x56a5] |',
        '|   | PCI BDF Address: 0000:07:00.0 |',
      ),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 0,
        name: 'Intel(R) Arc(TM) B580 Graphics',
        pciAddress: '0000:03:00.0',
        memoryTotalBytes: 12216 * 1024 ** 2,
      },
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        name: 'Intel(R) Graphics [0x56a5]',
        pciDeviceId: '0x56a5',
        pciAddress: '0000:07:00.0',
      },
    ])
  })

  it('tells cards of CSV with commas in quotes', () => {
    const text =
      'Device ID,Device Name,PCI BDF Address,Memory Physical Size\n0,"Intel(R) Flex, 170","0000:4d:00.0","14248.00 MiB"\n1,,"0000:8a:00.0",""\n'
    expect(read(text).devices).toMatchObject([
      {
        index: 0,
        name: 'Intel(R) Flex, 170',
        pciAddress: '0000:4d:00.0',
        memoryTotalBytes: 14248 * 1024 ** 2,
      },
      { index: 1, pciAddress: '0000:8a:00.0' },
    ])
  })

  it('says why a failed answer is none', () => {
    expect(reasonOf('{"error": "Level Zero Initialization Error", "errno": 3}')).toBe(
      'xpu-smi: Level Zero Initialization Error',
    )
    expect(reasonOf('{"device_list": [{"pci_bdf_address"')).toContain('cut short')
  })
})

describe('xpu-smi stats', () => {
  const metric = (name: string, value: number) => ({ metrics_type: `XPUM_STATS_${name}`, value })

  it('takes MiB and bytes of used memory for what they are', () => {
    const of = (value: number) =>
      read(JSON.stringify({ device_id: 0, device_level: [metric('MEMORY_USED', value)] }))
    expect(of(229.1875).devices[0]?.sensors?.memoryUsedBytes).toBe(240320512)
    expect(of(134410240).devices[0]?.sensors?.memoryUsedBytes).toBe(134410240)
    expect(of(0).devices[0]?.sensors?.memoryUsedBytes).toBe(0)
  })

  it('makes one figure of those of the tiles, where the card itself has none', () => {
    const tile = (tile_id: number, clock: number, degrees: number) => ({
      tile_id,
      data_list: [
        metric('GPU_UTILIZATION', 20 * (tile_id + 1)),
        metric('GPU_FREQUENCY', clock),
        metric('GPU_CORE_TEMPERATURE', degrees),
        metric('MEMORY_USED', 1000),
        metric('POWER', 100),
        metric('RAS_ERROR_CAT_CACHE_ERRORS_CORRECTABLE', 2),
        metric('RAS_ERROR_CAT_NON_COMPUTE_ERRORS_CORRECTABLE', 1),
      ],
    })
    const json = {
      device_id: 1,
      device_level: [metric('POWER', 230)],
      tile_level: [tile(0, 1000, 50), tile(1, 1400, 61)],
    }
    expect(read(JSON.stringify(json)).devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        sensors: {
          utilization: 0.3,
          memoryUsedBytes: 2000 * 1024 ** 2,
          powerWatts: 230,
          graphicsClockMhz: 1200,
          temperatureC: 61,
          ecc: { corrected: 6 },
        },
      },
    ])
  })

  it('tells the current figures of a table with two tiles', () => {
    const { devices } = read(
      box(
        '| Device ID | 2 |',
        '+---+---+',
        '| Average % utilization of | Tile 0: 40 |',
        '| all GPU Engines | Tile 1: 60 |',
        '| Mem Errors Correctable | Tile 0: 1, total: 5 |',
        '|  | Tile 1: 4, total: 5 |',
        '| GPU Power (W) | Tile 0: avg: 1, min: 1, max: 1, current: 150 |',
        '|  | Tile 1: avg: 1, min: 1, max: 1, current: 151.5 |',
        '| GPU Core Temperature | Tile 0: avg: 1, min: 1, max: 1, current: 70 |',
        '| (Celsius Degree) | Tile 1: avg: 1, min: 1, max: 1, current: 68 |',
        '| GPU Memory Temperature | Tile 0: avg: , min: , max: , current: |',
        '| GPU Memory Util (%) | Tile 0: avg: 9, min: 9, max: 9, current: 9 |',
        '| Compute Engine Util (%) | Engine 0: 99, Engine 1: 98 |',
      ),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 2,
        sensors: { utilization: 0.5, powerWatts: 301.5, temperatureC: 70, ecc: { corrected: 5 } },
      },
    ])
  })

  it('reads the flags of Level Zero for why a card is slowed', () => {
    const of = (value: number) =>
      read(JSON.stringify({ device_id: 0, device_level: [metric('FREQUENCY_THROTTLE_REASON_GPU', value)] }))
        .devices[0]?.sensors?.throttle
    expect(of(0)).toEqual([])
    expect(of(9)).toEqual(['power_cap', 'hw_thermal'])
    expect(of(512)).toEqual(['other'])
  })
})

describe('xpu-smi dump', () => {
  it('takes the newest row of each card, and nothing for cells that are empty or not available', () => {
    const { devices, notes } = read(
      [
        'Timestamp, DeviceId, GPU Utilization (%), GPU Power (W), GPU Core Temperature (Celsius Degree), GPU Memory Used (MiB), Throttle reason',
        '06:14:46.000,    0, 0.00, 14.61, 40, 10, Not Throttled',
        '06:14:46.000,    1, 50.00, N/A,    , 10.5, Thermal Limit | Average Power',
        '06:14:47.000,    0, 12.50, 30.00, 41, 11, Not Throttled',
        '06:14:48.000,    0, 12.5',
      ].join('\n'),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 0,
        sensors: {
          utilization: 0.125,
          powerWatts: 30,
          temperatureC: 41,
          memoryUsedBytes: 11 * 1024 ** 2,
          throttle: [],
        },
      },
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        sensors: {
          utilization: 0.5,
          memoryUsedBytes: 10.5 * 1024 ** 2,
          throttle: ['hw_thermal', 'power_cap'],
        },
      },
    ])
    expect(notes).toHaveLength(2)
  })
})

describe('xpu-smi health', () => {
  const table = box(
    '| Device ID | 1 |',
    '+---+---+',
    '| 1. GPU Core Temperature | Status: Warning |',
    '|  | Description: Temperature is 108. |',
    '|  | Throttle Threshold: 105 Celsius Degree |',
    '|  | Shutdown Threshold: 130 Celsius Degree |',
    '+---+---+',
    '| 2. GPU Memory Temperature | Status: Unknown |',
    '|  | Throttle Threshold: 85 Celsius Degree |',
    '+---+---+',
    '| 3. GPU Power | Status: Ok |',
    '|  | Throttle Threshold: 300 watts |',
    '+---+---+',
    '| 6. GPU Frequency | Status: Warning |',
    '|  | Description: The device frequency is throttled by thermal limit. |',
  )

  it('tells limits, throttling and what is not well', () => {
    const { devices, notes } = read(table)
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 1,
        sensors: { slowdownC: 105, shutdownC: 130, powerLimitWatts: 300, throttle: ['hw_thermal'] },
      },
    ])
    expect(notes).toEqual([
      'card 1: GPU Core Temperature is Warning: Temperature is 108.',
      'card 1: GPU Frequency is Warning: The device frequency is throttled by thermal limit.',
    ])
  })

  it('tells the same from JSON, where -1 is no threshold', () => {
    const json = {
      device_list: [
        {
          device_id: 0,
          core_temperature: {
            status: 'Ok',
            throttle_threshold: 105,
            shutdown_threshold: 130,
            custom_threshold: -1,
          },
          power: { status: 'Ok', throttle_threshold: -1 },
          memory: { status: 'Critical', description: 'Memory needs repair.' },
          frequency: { status: 'OK' },
        },
      ],
    }
    const { devices, notes } = read(JSON.stringify(json))
    expect(devices[0]?.sensors).toEqual({ slowdownC: 105, shutdownC: 130, throttle: [] })
    expect(notes).toEqual(['card 0: memory is Critical: Memory needs repair.'])
  })
})

describe('xpu-smi ps and config', () => {
  it('tells processes of each card with names that hold blanks', () => {
    const { devices } = read(
      'PID       Command             DeviceID       SHR            MEM\n77        llama server        0              0              4096\n78        b                   0              1              8\n77        llama server        1              0              0\n',
    )
    expect(devices.map(({ index, sensors }) => [index, sensors?.processes])).toEqual([
      [
        0,
        [
          { pid: 77, name: 'llama server', memoryBytes: 4096000 },
          { pid: 78, name: 'b', memoryBytes: 8000 },
        ],
      ],
      [1, [{ pid: 77, name: 'llama server', memoryBytes: 0 }]],
    ])
    const list = {
      device_util_by_proc_list: [
        { device_id: 0, process_id: 9, process_name: 'x', mem_size: 5, shared_mem_size: 0 },
      ],
    }
    expect(read(JSON.stringify(list)).devices[0]?.sensors?.processes).toEqual([
      { pid: 9, name: 'x', memoryBytes: 5000 },
    ])
    expect(read('{"device_util_by_proc_list": []}').notes).toEqual(['no process uses a card'])
  })

  it('tells the settings of a card and the highest clock of its tiles', () => {
    const { devices } = read(
      box(
        '| Device Type | Device ID/Tile ID | Configuration |',
        '+---+---+---+',
        '| GPU | 4 | Power Limit (w): 0 |',
        '|  |  | Memory ECC: |',
        '|  |  |   Current: disabled |',
        '|  |  |   Pending: enabled |',
        '+---+---+---+',
        '| GPU | 4/0 | GPU Max Frequency (MHz): 1500 |',
        '|  |  | Standby Mode: |',
        '| GPU | 4/1 | GPU Max Frequency (MHz): 1600 |',
      ),
    )
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'xpu-smi',
        index: 4,
        sensors: { graphicsClockMaxMhz: 1600, ecc: { enabled: false } },
      },
    ])
    const json = {
      device_id: 0,
      power_limit: 300,
      memory_ecc_current_state: 'enabled',
      tile_config_data: [{ tile_id: '0/0', max_frequency: 1300 }],
    }
    expect(read(JSON.stringify(json)).devices[0]?.sensors).toEqual({
      powerLimitWatts: 300,
      graphicsClockMaxMhz: 1300,
      ecc: { enabled: true },
    })
  })
})

describe('xpu-smi topology', () => {
  it('tells every pair of tiles of a matrix in columns of blanks', () => {
    const { links, places } = read(
      [
        '            GPU 0/0             GPU 1/0             GPU 2/0             CPU Affinity',
        'GPU 0/0     S                   XL 1,2              SYS                 0-15',
        'GPU 1/0     XL 1,2              S                   NODE                16-31',
        'GPU 2/0     SYS                 NODE                S                   16-31',
      ].join('\n'),
    )
    expect(links.map(({ a, b, class: link, label }) => [a.index, b.index, link, label])).toEqual([
      [0, 1, 'xelink', 'XL 1,2'],
      [0, 2, 'sys', 'SYS'],
      [1, 2, 'node', 'NODE'],
    ])
    expect(places).toEqual([
      { index: 0, cpuAffinity: '0-15' },
      { index: 1, cpuAffinity: '16-31' },
      { index: 2, cpuAffinity: '16-31' },
    ])
  })

  it('knows the classes of newer versions, and says which row is cut short', () => {
    const text = [
      '        GPU 0/0|GPU 1/0|GPU 2/0|CPU Affinity',
      'GPU 0/0|S      |PIX    |PHB    |0-7',
      'GPU 1/0|PIX    |S',
      'GPU 2/0|PHB    |PXB    |S      |0-7',
    ].join('\n')
    const { links, notes } = read(text)
    expect(links.map(({ class: link }) => link)).toEqual(['pix', 'phb'])
    expect(notes).toEqual(['the row of GPU 1/0 is cut short'])
  })

  it('tells where a card stands from table and JSON', () => {
    const table = box(
      '| Device ID | Topology Information |',
      '| 0 | Local CPU List: 0-23,48-71 |',
      '|  | Local CPUs: 000000ff |',
      '|  | PCIe Switch Count: 1 |',
    )
    expect(read(table).places).toEqual([{ index: 0, cpuAffinity: '0-23,48-71' }])
    expect(read('{"device_id": 2, "affinity_localcpulist": "8-15", "switch_count": 0}').places).toEqual([
      { index: 2, cpuAffinity: '8-15' },
    ])
    const cell = (a: number, b: number) => ({
      local_device_id: a,
      local_subdevice_id: 0,
      local_numa_index: a,
      local_cpu_affinity: '0-3',
      remote_device_id: b,
      remote_subdevice_id: 0,
      link_type: a === b ? 'S' : 'XL',
      port_list: [1, 0, 1],
    })
    const { links, places } = read(
      JSON.stringify({ topo_list: [cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)] }),
    )
    expect(links).toEqual([
      { a: { index: 0, tile: 0 }, b: { index: 1, tile: 0 }, class: 'xelink', label: 'XL', links: 2 },
    ])
    expect(places).toEqual([
      { index: 0, numaNode: 0, cpuAffinity: '0-3' },
      { index: 1, numaNode: 1, cpuAffinity: '0-3' },
    ])
  })
})

describe('intel_gpu_top', () => {
  const look = (busy: number) => ({
    period: { duration: 1000, unit: 'ms' },
    frequency: { requested: 1400, actual: 1350, unit: 'MHz' },
    rc6: { value: 10, unit: '%' },
    power: { GPU: 21.5, Package: 40, unit: 'W' },
    engines: {
      'Render/3D/0': { busy, sema: 0, wait: 0, unit: '%' },
      '[unknown]/0': { busy: 97.5, sema: 0, wait: 0, unit: '%' },
    },
    clients: {
      '4294': {
        name: 'llama',
        pid: '812',
        memory: { local0: { total: '900', resident: '800' }, system: { resident: '200' } },
      },
    },
  })

  it('takes the last whole measurement of a stream that is never closed', () => {
    const expected = {
      vendor: 'intel',
      source: 'intel_gpu_top',
      sensors: {
        utilization: 0.975,
        graphicsClockMhz: 1350,
        powerWatts: 21.5,
        processes: [{ pid: 812, name: 'llama', memoryBytes: 1000 }],
      },
    }
    const whole = JSON.stringify(look(5), null, '\t')
    for (const text of [
      `[\n${whole},\n${whole}`,
      `[\n[\n${whole}\n,\n{"period": {"duration": 3`,
      `${whole}\n${whole}\n`,
      `[${whole}]`,
    ]) {
      expect(read(text).devices).toEqual([expected])
    }
    const newer = {
      engines: { 'Render/3D': { busy: 130, unit: '%' }, Compute: { busy: 3, unit: '%' } },
      frequency: {},
    }
    expect(read(JSON.stringify(newer)).devices[0]?.sensors).toEqual({ utilization: 1 })
    expect(reasonOf('[\n{"period": {}, "engines": {"Render/3D": {"busy": 1')).toContain(
      'no whole measurement',
    )
  })

  it('takes the last row of the text, with or without its columns of power', () => {
    const rows = [
      ' Freq MHz      IRQ RC6     Power W             RCS             CCS',
      ' req  act       /s   %   gpu   pkg       %  se  wa       %  se  wa',
      ' 900  880       10  50  3.00  9.00    1.00   0   0   80.00   0   0',
    ]
    expect(read(rows.join('\n')).devices[0]?.sensors).toEqual({
      utilization: 0.8,
      graphicsClockMhz: 880,
      powerWatts: 3,
    })
    const bare = [
      'Freq MHz      IRQ RC6             RCS',
      'req  act       /s   %       %  se  wa',
      '900  880       10  50    7.00   0   0',
    ]
    expect(read(bare.join('\n')).devices[0]?.sensors).toEqual({ utilization: 0.07, graphicsClockMhz: 880 })
  })
})

describe('recorded folders of the kernel', () => {
  it('are read from JSON and from lines of path and value', () => {
    const files = {
      '/sys/class/drm/card0/device/uevent': 'DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0\n',
      '/sys/class/drm/card0/device/tile0/gt0/freq0/act_freq': '1200\n',
      '/sys/class/drm/card0/device/hwmon/hwmon2/temp2_input': '49000\n',
    }
    const expected = {
      pciAddress: '0000:03:00.0',
      name: 'Intel(R) Arc(TM) B580 Graphics',
      sensors: { graphicsClockMhz: 1200, temperatureC: 49 },
    }
    expect(read(JSON.stringify({ files })).devices).toMatchObject([expected])
    const lines = Object.entries(files).flatMap(([path, text]) =>
      text
        .trim()
        .split('\n')
        .map((line) => `${path}:${line}`),
    )
    expect(read(lines.join('\n')).devices).toMatchObject([expected])
  })
})

describe('texts without a card', () => {
  it.each([
    ['Usage: xpu-smi dump [Options]\n', /help of xpu-smi dump/],
    ['Succeed to change the scheduler mode on GPU 1 tile 0.\n', /confirms a setting/],
    ['Export topology to /tmp/t.xml sucessfully.\n', /read that file/],
    ['Failed to initialize PMU! (Permission denied)\n', /cap_perfmon/],
    ['Error: device not found\n', /xpu-smi: device not found/],
    ['', /empty/],
    ['hello', /nothing that a tool/],
  ])('%j is refused with a reason', (text, reason) => {
    expect(reasonOf(text)).toMatch(reason)
  })

  it('of versions and controllers are told as notes', () => {
    expect(
      read('CLI:\n    Version: 1.2.42\n    Build ID: x\n\nService:\n    Level Zero Version: 1.16.0\n').notes,
    ).toEqual(['xpu-smi 1.2.42, Level Zero 1.16.0'])
    expect(
      read(box('| AMC ID | Sensors |', '| AMC 1 | |', '|  | total_brd_pwr (Watts): 38 |')).notes,
    ).toEqual(['AMC 1: total_brd_pwr 38 Watts'])
  })
})

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
