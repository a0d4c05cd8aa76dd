import { describe, expect, it } from 'vitest'
import { cpuListOf } from './cpu-list.ts'
import {
  cutsCard,
  driverVersionOf,
  gfxOf,
  gfxOfVersion,
  isIntegrated,
  numaNodeOf,
  uniqueIdOf,
  uniqueIdOfDecimal,
} from './identity.ts'

describe("a chip's own id", () => {
  it('is one number in the forms of all tools', () => {
    for (const form of [
      '0xde8287300da37c72',
      'DE8287300DA37C72',
      'GPU-de8287300da37c72',
      'deff740f-0000-1000-8082-87300da37c72',
      '  0xDE8287300DA37C72\n',
    ]) {
      expect(uniqueIdOf(form), form).toBe('0xde8287300da37c72')
    }
    expect(uniqueIdOfDecimal('16033526263849385074')).toBe('0xde8287300da37c72')
    expect(uniqueIdOf('0x2f048617326b1ea')).toBe('0x02f048617326b1ea')
  })

  it('is absent where the tool has none', () => {
    for (const form of [undefined, 'N/A', 'GPU-XX', '0x0000000000000000', '0', '<redacted>', 'XXXX-XXXX']) {
      expect(uniqueIdOf(form), form).toBeUndefined()
    }
    expect(uniqueIdOfDecimal('0')).toBeUndefined()
    expect(uniqueIdOfDecimal('-1')).toBeUndefined()
  })
})

describe('the name of an instruction set', () => {
  it("is worked out from KFD's number", () => {
    const names = {
      90010: 'gfx90a',
      90402: 'gfx942',
      100304: 'gfx1034',
      110000: 'gfx1100',
      90012: 'gfx90c',
      120001: 'gfx1201',
    }
    for (const [version, name] of Object.entries(names)) expect(gfxOfVersion(Number(version))).toBe(name)
    expect(gfxOfVersion(0)).toBeUndefined()
  })

  it('is found with its features behind it', () => {
    expect(gfxOf('gfx90a:sramecc+:xnack-')).toBe('gfx90a')
    expect(gfxOf('N/A')).toBeUndefined()
  })
})

describe('a GPU that shares the memory of the host', () => {
  it('is told by its id, else by its instruction set or name', () => {
    for (const pciDeviceId of ['0x1586', '0x15bf', '0x164e', '0x13c0', '0x1681', '0x9874', '0x74a0']) {
      expect(isIntegrated({ pciDeviceId }), pciDeviceId).toBe(true)
    }
    for (const pciDeviceId of [
      '0x744c',
      '0x73bf',
      '0x66a1',
      '0x687f',
      '0x67df',
      '0x740f',
      '0x74a1',
      '0x7590',
    ]) {
      expect(isIntegrated({ pciDeviceId }), pciDeviceId).toBe(false)
    }
    expect(isIntegrated({ gfx: 'gfx1151' })).toBe(true)
    for (const name of [
      'Rembrandt [Radeon 680M]',
      'AMD Radeon Graphics',
      'AMD Radeon 780M',
      'AMD Radeon 8060S',
      'Radeon RX Vega 11 Graphics',
      'AMD Instinct MI300A',
    ]) {
      expect(isIntegrated({ name }), name).toBe(true)
    }
    for (const name of [
      'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
      'AMD Radeon RX 7900 XT',
      'AMD Instinct MI300X',
      'Vega 20',
      'Radeon RX 550',
    ]) {
      expect(isIntegrated({ name }), name).toBe(false)
    }
  })
})

describe('what else tools write of a card', () => {
  it('is a NUMA node only where there is one', () => {
    expect(numaNodeOf('3')).toBe(3)
    for (const none of ['-1', '4294967295', 'N/A', undefined]) expect(numaNodeOf(none)).toBeUndefined()
  })

  it('is the version of the kernel where the driver is its own', () => {
    expect(driverVersionOf('Linuxversion6.14.0-24-generic(buildd@lcy02)(gcc-13)')).toBe('6.14.0-24-generic')
    expect(driverVersionOf('6.10.5')).toBe('6.10.5')
  })

  it('is a mode that cuts it, or does not', () => {
    expect(['CPX', 'dpx', 'SPX', 'N/A', undefined].map(cutsCard)).toEqual([true, true, false, false, false])
  })

  it('is a list of CPUs near it, from masks of 64', () => {
    expect(cpuListOf('0xffffff 0xffffff00000000 0x0')).toBe('0-23,96-119')
    expect(cpuListOf('0x0')).toBeUndefined()
    expect(cpuListOf('N/A')).toBeUndefined()
  })
})
