import { describe, expect, it } from 'vitest'
import type { ProgramResult } from '../contract.ts'
import { createDeviceFinder } from '../inventory.ts'
import { pciProbe } from '../pci/index.ts'
import { arc, open, processor } from './cards.fixture.ts'
import { intelProbe } from './index.ts'
import { drmCard, machine } from './machine.fixture.ts'

const gib = 1024 ** 3

/** Two Max cards with two tiles each, as the tool tells them. */
const listed = {
  device_list: [0, 1].map((device_id) => ({
    device_id,
    device_name: 'Intel(R) Data Center GPU Max 1550',
    device_type: 'GPU',
    device_function_type: 'physical',
    pci_bdf_address: `0000:${device_id === 0 ? '18' : '2a'}:00.0`,
    pci_device_id: '0xbd5',
    uuid: '00000000-0000-0000-0000-002f0bd58086',
    vendor_name: 'Intel(R) Corporation',
  })),
}
const detail = (device_id: number) =>
  JSON.stringify({
    ...listed.device_list[device_id],
    driver_version: '1.6.33578',
    memory_physical_size_byte: String(128 * gib),
    memory_free_size_byte: String(100 * gib),
    number_of_eus: '1024',
    number_of_tiles: '2',
    pcie_generation: '5',
    pcie_max_link_width: '16',
  })
const matrix = `         GPU 0/0|GPU 0/1|GPU 1/0|GPU 1/1|CPU Affinity
GPU 0/0 |S      |MDF    |XL*    |XL8    |0-47
GPU 0/1 |MDF    |S      |XL8    |XL*    |0-47
GPU 1/0 |XL*    |XL8    |S      |MDF    |48-95
GPU 1/1 |XL8    |XL*    |MDF    |S      |48-95
`
const answers = {
  'xpu-smi discovery -j': JSON.stringify(listed),
  'xpu-smi discovery -d 0 -j': detail(0),
  'xpu-smi discovery -d 1 -j': detail(1),
  'xpu-smi topology -m': matrix,
}

describe('the list with the tool', () => {
  it('joins the tool and the folders by address, and believes the driver on what is negotiated', async () => {
    const files = drmCard({
      number: 0,
      path: 'pci0000:17/0000:17:01.0/0000:18:00.0',
      driver: 'i915',
      deviceId: '0bd5',
      values: {
        'device/numa_node': '0',
        'device/current_link_speed': '16.0 GT/s PCIe',
        'device/current_link_width': '16',
        'device/max_link_speed': '32.0 GT/s PCIe',
        'device/max_link_width': '16',
      },
    })
    const { system } = machine({
      files,
      answers,
      devices: open,
      env: { ZE_FLAT_DEVICE_HIERARCHY: 'COMPOSITE' },
    })
    const { devices, links, places, problems } = await intelProbe.list(system)
    expect(problems).toEqual([])
    expect(devices).toHaveLength(2)
    expect(devices[0]).toMatchObject({
      source: 'xpu-smi',
      index: 0,
      pciAddress: '0000:18:00.0',
      pciDeviceId: '0x0bd5',
      kind: 'discrete',
      memoryTotalBytes: 128 * gib,
      memoryFreeBytes: 100 * gib,
      driverVersion: '1.6.33578',
      computeUnits: 1024,
      numaNode: 0,
      pcie: { generation: 4, width: 16, maxGeneration: 5, maxWidth: 16 },
    })
    // Both cards have the same UUID, so it names neither.
    expect(devices.map(({ uuid }) => uuid)).toEqual([undefined, undefined])
    expect(links).toEqual([
      {
        a: { index: 0, tile: 0, pciAddress: '0000:18:00.0' },
        b: { index: 1, tile: 1, pciAddress: '0000:2a:00.0' },
        class: 'xelink',
        label: 'XL8',
      },
    ])
    expect(places).toEqual([
      { index: 0, pciAddress: '0000:18:00.0', cpuAffinity: '0-47' },
      { index: 1, pciAddress: '0000:2a:00.0', cpuAffinity: '48-95' },
    ])
  })

  it('tells tiles as partitions where the runtime shows them as devices, which it does unless told otherwise', async () => {
    const { devices } = await intelProbe.list(machine({ answers }).system)
    expect(devices.map(({ kind, partitionProfile, index }) => [kind, partitionProfile, index])).toEqual([
      ['discrete', undefined, 0],
      ['partition', 'tile 0', 0],
      ['partition', 'tile 1', 1],
      ['discrete', undefined, 1],
      ['partition', 'tile 0', 2],
      ['partition', 'tile 1', 3],
    ])
    expect(devices[0]).toMatchObject({ partitioned: true })
    expect(devices[4]).toMatchObject({
      parent: { pciAddress: '0000:2a:00.0', index: 1 },
      memoryTotalBytes: 64 * gib,
      computeUnits: 512,
    })
  })

  it('gives a card that the tool has no name for the name behind its id', async () => {
    const list = {
      device_list: [
        { device_id: 0, device_name: 'Intel(R) Graphics [0xe223]', pci_bdf_address: '0000:03:00.0' },
      ],
    }
    const { system } = machine({
      answers: {
        'xpu-smi discovery -j': JSON.stringify(list),
        'xpu-smi discovery -d 0 -j': JSON.stringify(list.device_list[0]),
      },
    })
    expect((await intelProbe.list(system)).devices).toMatchObject([
      { name: 'Intel(R) Arc(TM) Pro B70 Graphics', pciDeviceId: '0xe223', kind: 'discrete' },
    ])
  })

  it('goes on with the service in front of the tool where only that is installed', async () => {
    const { system, runs } = machine({
      files: arc,
      devices: open,
      answers: { 'xpumcli discovery -j': '{"device_list": []}' },
    })
    const { devices, problems } = await intelProbe.list(system)
    expect(runs).toEqual(['xpu-smi discovery -j', 'xpumcli discovery -j'])
    expect(devices).toHaveLength(1)
    expect(problems).toEqual([
      expect.stringMatching(/xpumcli shows no card where the kernel has 1: install the Level Zero driver/),
    ])
  })

  it.each<[string, ProgramResult, RegExp]>([
    ['hangs', { outcome: 'timeout', stdout: '', stderr: '' }, /did not answer within 2000 ms.*dmesg/],
    [
      'has no library',
      {
        outcome: 'failed',
        stdout: '{"error": "Level Zero Initialization Error", "errno": 1}',
        stderr: '',
        exitCode: 1,
      },
      /Level Zero Initialization Error; install the Level Zero loader/,
    ],
    [
      'has no service',
      { outcome: 'ok', stdout: 'Error: XPUM Service is not started\n', stderr: '', exitCode: 0 },
      /systemctl start xpum/,
    ],
    [
      'may not look',
      { outcome: 'failed', stdout: '', stderr: 'permission denied on /dev/dri', exitCode: 13 },
      /exit code 13: permission denied.*groups "render"/,
    ],
    ['says nothing', { outcome: 'failed', stdout: '', stderr: '', exitCode: 2 }, /it printed nothing/],
  ])('says what to do where the tool %s, and keeps the card', async (_, result, expected) => {
    const { system } = machine({ files: arc, devices: open, answers: { 'xpu-smi discovery -j': result } })
    const { devices, problems } = await intelProbe.list(system)
    expect(devices).toHaveLength(1)
    expect(problems).toEqual([expect.stringMatching(expected)])
    const elsewhere = machine({ answers: { 'xpu-smi discovery -j': result } })
    expect((await intelProbe.list(elsewhere.system)).problems).toEqual([])
  })

  it('keeps a card of which the details fail, and says so', async () => {
    const { system } = machine({
      answers: { 'xpu-smi discovery -j': JSON.stringify(listed), 'xpu-smi discovery -d 0 -j': detail(0) },
    })
    const { devices, problems } = await intelProbe.list(system)
    expect(devices.filter(({ kind }) => kind !== 'partition')).toHaveLength(2)
    expect(problems).toEqual([
      expect.stringMatching(/unknown argument.*details of card 1 \(0000:2a:00\.0\)/),
      expect.stringContaining('(topology -m)'),
    ])
  })
})

describe('the inventory', () => {
  it('has one device a card and one a tile, whoever else tells of the cards', async () => {
    const max = (number: number, bus: string, port: string) =>
      drmCard({
        number,
        path: `pci0000:17/0000:17:${port}.0/0000:${bus}:00.0`,
        driver: 'i915',
        deviceId: '0bd5',
        values: { 'device/class': '0x038000' },
      })
    const files = {
      ...processor,
      '/sys/devices/pci0000:00/0000:00:02.0/class': '0x030000\n',
      ...max(1, '18', '01'),
      ...max(2, '2a', '02'),
    }
    const { system } = machine({ files, answers, devices: { ...open, '/dev/dri/renderD130': true } })
    const finder = createDeviceFinder({
      system,
      probes: [intelProbe, pciProbe],
      factsOf: () => ({ tflops: {}, supports: {} }),
    })
    const { devices, links, problems } = await finder.find()
    expect(problems).toEqual([])
    const gpus = devices
      .filter(({ vendor }) => vendor === 'intel')
      .map(({ id, kind, unifiedMemory, partitioned, parentId }) =>
        [id, kind, unifiedMemory && 'unified', partitioned && 'partitioned', parentId]
          .filter(Boolean)
          .join(' '),
      )
    expect(gpus.toSorted()).toEqual([
      'intel:0000:18:00.0/tile 0#0 partition pci:0000:18:00.0',
      'intel:0000:18:00.0/tile 1#1 partition pci:0000:18:00.0',
      'intel:0000:2a:00.0/tile 0#2 partition pci:0000:2a:00.0',
      'intel:0000:2a:00.0/tile 1#3 partition pci:0000:2a:00.0',
      'pci:0000:00:02.0 integrated unified',
      'pci:0000:18:00.0 discrete partitioned',
      'pci:0000:2a:00.0 discrete partitioned',
    ])
    expect(links).toContainEqual({
      a: 'pci:0000:18:00.0',
      b: 'pci:0000:2a:00.0',
      class: 'xelink',
      label: 'XL8',
    })
  })
})
