import { describe, expect, it } from 'vitest'
import { box, read, reasonOf } from './readers.fixture.ts'

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
