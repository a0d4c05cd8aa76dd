import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { amdReaders } from './index.ts'
import { numbersIn, read, whyRefused } from './testing/read.ts'
import {
  amdgpuTopJson,
  metricText,
  monitorText,
  partitionJson,
  rocmCsv,
  rocminfoText,
  rocmJson,
  rocmLines,
  rocmTable,
  samples,
  staticJson,
  tableText,
  topologyText,
} from './testing/samples.ts'

const mib = 1024 ** 2

describe('amd-smi', () => {
  it('tells a card in JSON with values as numbers, as texts and with units, after a warning', () => {
    const { devices, places } = read(staticJson)
    expect(devices).toEqual([
      {
        vendor: 'amd',
        source: 'amd-smi static',
        index: 0,
        uuid: '0x1a2b3c4d5e6f7081',
        pciAddress: '0000:c6:00.0',
        pciVendorId: '0x1002',
        pciDeviceId: '0x74a1',
        gfx: 'gfx942',
        name: 'AMD Instinct MI300X',
        serial: '692300000001',
        kind: 'discrete',
        partitioned: false,
        memoryTotalBytes: 196592 * mib,
        driverVersion: '6.10.5',
        computeUnits: 304,
        vbios: '113-M3000100-102',
        numaNode: 1,
        pcie: { maxGeneration: 5, maxWidth: 16 },
        sensors: { slowdownC: 100, shutdownC: 110, powerLimitWatts: 700 },
      },
    ])
    expect(places).toEqual([
      { index: 0, pciAddress: '0000:c6:00.0', numaNode: 1, cpuAffinity: '48-63,64-95' },
    ])
  })

  it('tells partitions with the card that they are parts of', () => {
    expect(
      read(partitionJson).devices.map(({ kind, partitionProfile, pciAddress, parent }) => [
        kind,
        partitionProfile,
        pciAddress,
        parent,
      ]),
    ).toEqual([
      ['partition', 'CPX', '0000:c6:00.0', { pciAddress: '0000:c6:00.0' }],
      ['partition', 'CPX', '0000:c6:00.1', { pciAddress: '0000:c6:00.0' }],
    ])
  })

  it('tells sensors as text, values that are not told left out', () => {
    const { devices, notes } = read(metricText)
    expect(devices[0]?.sensors).toEqual({
      utilization: 0.37,
      memoryUtilization: 0.12,
      memoryUsedBytes: 1024 * mib,
      memoryTotalBytes: 16368 * mib,
      temperatureC: 44,
      hotspotC: 51,
      memoryTemperatureC: 48,
      powerWatts: 41,
      graphicsClockMhz: 1810,
      graphicsClockMaxMhz: 2100,
      memoryClockMhz: 900,
      memoryClockMaxMhz: 1300,
      throttle: ['power_cap', 'sw_thermal'],
      ecc: { corrected: 5, uncorrected: 1 },
      fanRatio: 0.4,
      fanRpm: 1400,
      pcie: { generation: 4, width: 8 },
      pcieReplays: 3,
    })
    expect(devices[0]).toMatchObject({ memoryFreeBytes: 15344 * mib, pcie: { generation: 4, width: 8 } })
    expect(devices[1]).toEqual({ vendor: 'amd', source: 'amd-smi metric', index: 1 })
    expect(notes).toEqual([expect.stringContaining('shortened')])
  })

  it('tells ways between cards, one link where both directions agree', () => {
    const { links, devices } = read(topologyText)
    expect(devices.map(({ pciAddress }) => pciAddress)).toEqual([
      '0000:0a:00.0',
      '0000:2a:00.0',
      '0000:aa:00.0',
    ])
    const [a, b, c] = ['0000:0a:00.0', '0000:2a:00.0', '0000:aa:00.0'].map((pciAddress) => ({ pciAddress }))
    expect(links).toEqual([
      { a, b, class: 'xgmi', label: 'XGMI', gbPerSecond: 75, peerAccess: true },
      { a, b: c, class: 'sys', label: 'PCIE', peerAccess: false },
      { a: c, b: a, class: 'sys', label: 'PCIE', peerAccess: true },
      { a: b, b: c, class: 'phb', label: 'PCIE', peerAccess: true },
    ])
  })

  it('says that a table of ways ends too early', () => {
    const cut = topologyText.slice(0, topologyText.indexOf('0000:aa:00.0 PCIE'))
    expect(read(cut)).toMatchObject({
      links: [{ class: 'xgmi' }, { class: 'unknown' }, { class: 'unknown' }],
    })
    expect(read(cut).notes).toEqual([expect.stringContaining('link type table')])
  })

  it('is watched in a table of columns, odd rows left out and told', () => {
    const { devices, notes } = read(monitorText)
    expect(devices).toEqual([
      {
        vendor: 'amd',
        source: 'amd-smi monitor',
        index: 0,
        memoryTotalBytes: 192 * 1024 * mib,
        sensors: {
          utilization: 0.88,
          memoryUtilization: 0.09,
          memoryUsedBytes: 12.5 * 1024 * mib,
          memoryTotalBytes: 192 * 1024 * mib,
          temperatureC: 46,
          hotspotC: 46,
          powerWatts: 201,
          graphicsClockMhz: 2107,
        },
      },
    ])
    expect(notes).toEqual([expect.stringContaining('1 rows')])
  })

  it('is read in the table for people', () => {
    const { devices } = read(tableText)
    expect(devices[0]).toEqual({
      vendor: 'amd',
      source: 'amd-smi',
      index: 0,
      pciAddress: '0000:2d:00.0',
      name: 'AMD Radeon RX 9070 XT',
      driverVersion: '6.16.6',
      runtime: 'ROCm 7.1.0',
      memoryTotalBytes: 16304 * mib,
      sensors: {
        utilization: 1,
        memoryUtilization: 0.06,
        memoryUsedBytes: 11541 * mib,
        memoryTotalBytes: 16304 * mib,
        temperatureC: 62,
        hotspotC: 62,
        powerWatts: 189,
        powerLimitWatts: 266,
        ecc: { uncorrected: 2 },
        fanRatio: 0.298,
        processes: [{ pid: 36750, name: 'python3.12', memoryBytes: 9.5 * 1024 ** 3 }],
      },
    })
    expect(devices[1]).toMatchObject({ kind: 'integrated', name: 'AMD Radeon Graphics' })
    expect(devices[1]?.sensors).toEqual({
      memoryUsedBytes: 161 * mib,
      memoryTotalBytes: 98304 * mib,
      ecc: { uncorrected: 0 },
    })
  })

  it('is refused with a reason where no GPU is in the text', () => {
    expect(whyRefused('CPU: 0\n    SMU:\n        FW_VERSION: 85.90.0\n')).toContain('processors')
    expect(whyRefused('...\n        FCLK_0:\n          MIN_CLK: 601 MHz\n')).toContain('"GPU: 0"')
    expect(whyRefused('usage: amd-smi [-h]  ...\n')).toContain('help')
    expect(whyRefused('[\n  {"gpu": 0, "asic": {')).toContain('ends too early')
  })
})

describe('rocm-smi', () => {
  it('tells cards in JSON, whatever the version calls things', () => {
    const { devices, links, places } = read(rocmJson)
    expect(devices).toEqual([
      {
        vendor: 'amd',
        source: 'rocm-smi --json',
        index: 3,
        uuid: '0x02f048617326b1ea',
        pciAddress: '0000:0b:00.0',
        pciDeviceId: '0x73df',
        name: 'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
        kind: 'discrete',
        driverVersion: '6.3.6',
        memoryTotalBytes: 12868124672,
        memoryFreeBytes: 12000000000,
        pcie: { generation: 4, width: 16 },
        sensors: {
          utilization: 0.205,
          memoryUtilization: 0.04,
          memoryUsedBytes: 868124672,
          memoryTotalBytes: 12868124672,
          temperatureC: 45,
          hotspotC: 47,
          powerLimitWatts: 211,
          graphicsClockMhz: 1725,
          pcie: { generation: 4, width: 16 },
        },
      },
      {
        vendor: 'amd',
        source: 'rocm-smi --json',
        index: 4,
        driverVersion: '6.3.6',
        sensors: { fanRatio: 0.13, fanRpm: 682 },
      },
    ])
    expect(links).toEqual([{ a: { index: 3 }, b: { index: 4 }, class: 'sys', label: 'PCIE' }])
    expect(places).toEqual([])
  })

  it('tells cards in CSV over several headers, a comma within quotes', () => {
    expect(
      read(rocmCsv).devices.map(({ index, name, pciDeviceId, pciAddress, sensors }) => [
        index,
        name,
        pciDeviceId,
        pciAddress,
        sensors?.utilization,
      ]),
    ).toEqual([
      [0, 'Radeon RX 6800, reference', '0x73bf', '0000:03:00.0', 0.11],
      [1, 'Radeon RX 6800', '0x73bf', '0000:43:00.0', 0.12],
    ])
    expect(whyRefused(rocmCsv.replaceAll('"', ''))).toContain('comma')
  })

  it('is read in the table for people, where the title says which temperature it is', () => {
    const { devices } = read(rocmTable)
    expect(devices[0]).toMatchObject({
      index: 0,
      pciDeviceId: '0x74a1',
      kind: 'discrete',
      sensors: {
        temperatureC: 43,
        hotspotC: 43,
        powerWatts: 155,
        powerLimitWatts: 750,
        utilization: 0.03,
        graphicsClockMhz: 94,
      },
    })
    expect(devices[1]).toMatchObject({ kind: 'partition', partitionProfile: 'CPX' })
    expect(devices[1]?.sensors?.powerWatts).toBeUndefined()
    const edge = read(rocmTable.replace('(Junction)', '(Edge)    ')).devices[0]?.sensors
    expect(edge).toMatchObject({ temperatureC: 43 })
    expect(edge?.hotspotC).toBeUndefined()
  })

  it('tells cards in lines, and ways that cross from one NUMA node to another', () => {
    const { devices, links, places } = read(rocmLines)
    expect(devices[0]).toMatchObject({
      name: 'AMD Instinct MI210',
      pciAddress: '0000:63:00.0',
      driverVersion: '6.7.0',
      sensors: { graphicsClockMhz: 137, hotspotC: 35 },
    })
    expect(places).toEqual([
      { index: 0, pciAddress: '0000:63:00.0', numaNode: 0 },
      { index: 1, pciAddress: '0000:43:00.0', numaNode: 1 },
    ])
    expect(links).toEqual([{ a: { index: 0 }, b: { index: 1 }, class: 'sys', label: 'PCIE' }])
  })
})

describe('other tools', () => {
  it('rocminfo tells GPUs among its agents, those of processors as such', () => {
    expect(read(rocminfoText).devices).toEqual([
      {
        vendor: 'amd',
        source: 'rocminfo',
        index: 0,
        pciAddress: '0000:c5:00.0',
        gfx: 'gfx1103',
        name: 'AMD Radeon 780M',
        pciDeviceId: '0x15bf',
        kind: 'integrated',
        computeUnits: 12,
        memoryTotalBytes: 8 * 1024 ** 3,
        sensors: { graphicsClockMaxMhz: 2700 },
      },
    ])
  })

  it('amdgpu_top tells a look at each card', () => {
    expect(read(amdgpuTopJson).devices).toEqual([
      {
        vendor: 'amd',
        source: 'amdgpu_top',
        index: 0,
        pciAddress: '0000:0b:00.0',
        pciDeviceId: '0x7480',
        name: 'AMD Radeon RX 7600',
        kind: 'discrete',
        memoryTotalBytes: 8573157376,
        memoryFreeBytes: 8573157376 - 512 * mib,
        sensors: {
          utilization: 0.5,
          memoryUsedBytes: 512 * mib,
          memoryTotalBytes: 8573157376,
          temperatureC: 40,
          powerWatts: 12,
          throttle: ['power_cap', 'sw_thermal'],
        },
      },
    ])
  })
})

describe('any text at all', () => {
  const isSound = (text: string) => {
    for (const reader of amdReaders) {
      reader.matches(text)
      const result = reader.read(text)
      if (!result.ok) expect(result.reason).not.toBe('')
      else for (const number of numbersIn(result.reading)) expect(Number.isFinite(number)).toBe(true)
    }
  }

  it('is read or refused, and gives finite numbers only', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), isSound))
    fc.assert(fc.property(fc.json(), isSound))
  })

  it('is read or refused where it is cut or damaged', () => {
    const damaged = fc
      .tuple(fc.constantFrom(...samples), fc.nat(), fc.nat(40), fc.string({ maxLength: 12 }))
      .map(([text, at, length, put]) => {
        const start = at % text.length
        return text.slice(0, start) + put + text.slice(start + length)
      })
    fc.assert(fc.property(damaged, isSound), { numRuns: 1000 })
    const cut = fc
      .tuple(fc.constantFrom(...samples), fc.nat())
      .map(([text, at]) => text.slice(0, at % text.length))
    fc.assert(fc.property(cut, isSound), { numRuns: 500 })
  })

  it('may be long or nested beyond all measure', () => {
    isSound('GPU  POWER\n'.repeat(50_000))
    isSound(`{"gpu_data":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)
    isSound(`{"gpu":${'{"links":'.repeat(50_000)}0${'}'.repeat(50_000)}}`)
  })
})
