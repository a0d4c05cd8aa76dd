import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ProgramResult } from '../contract.ts'
import { createDeviceFinder } from '../inventory.ts'
import { pciProbe } from '../pci/index.ts'
import { intelProbe } from './index.ts'
import { bridge, drmCard, type Files, insideLink, machine } from './machine.fixture.ts'

const gib = 1024 ** 3

const root = 'pci0000:00/0000:00:01.0'
const arcPath = `${root}/0000:01:00.0/0000:02:01.0/0000:03:00.0`

/** An Arc B580 on xe behind the switch that it carries, in a slot of 8 lanes. */
const arc: Files = {
  ...bridge(root, '0x8086', ['16.0 GT/s PCIe', '8', '32.0 GT/s PCIe', '16']),
  ...bridge(`${root}/0000:01:00.0`, '0x8086', ['16.0 GT/s PCIe', '8', '16.0 GT/s PCIe', '8']),
  ...bridge(`${root}/0000:01:00.0/0000:02:01.0`, '0x8086', ['2.5 GT/s PCIe', '1', '2.5 GT/s PCIe', '1']),
  ...drmCard({
    number: 1,
    path: arcPath,
    driver: 'xe',
    deviceId: 'e20b',
    values: {
      ...insideLink,
      'device/numa_node': '-1',
      'device/tile0/vram0/total_bytes': '12809404416',
      'device/tile0/vram0/used_bytes': '1048576000',
      'device/tile0/gt0/freq0/act_freq': '2450',
      'device/tile0/gt0/freq0/rp0_freq': '2850',
      'device/tile0/gt0/freq0/throttle/status': '1',
      'device/tile0/gt0/freq0/throttle/reason_pl1': '1',
      'device/tile0/gt0/freq0/throttle/reason_thermal': '0',
      'device/tile0/gt0/gtidle/idle_residency_ms': '5000',
      'device/hwmon/hwmon4/name': 'xe',
      'device/hwmon/hwmon4/energy1_input': '100000000',
      'device/hwmon/hwmon4/power1_max': '0',
      'device/hwmon/hwmon4/power1_rated_max': '190000000',
      'device/hwmon/hwmon4/temp2_input': '51000',
      'device/hwmon/hwmon4/temp3_input': '58000',
      'device/hwmon/hwmon4/fan1_input': '1210',
      'device/hwmon/hwmon4/fan2_input': '0',
    },
  }),
}

/** Graphics of a processor on i915. */
const processor: Files = {
  ...drmCard({
    number: 0,
    path: 'pci0000:00/0000:00:02.0',
    driver: 'i915',
    deviceId: 'a780',
    values: {
      'gt/gt0/rps_act_freq_mhz': '350',
      'gt/gt0/rps_RP0_freq_mhz': '1550',
      'gt/gt0/throttle_reason_status': '0',
      'gt/gt0/rc6_residency_ms': '900',
    },
  }),
  '/proc/meminfo': 'MemTotal:       32768000 kB\nMemFree:        1000 kB\nMemAvailable:   20000000 kB\n',
  '/proc/sys/kernel/osrelease': '6.14.2\n',
}

const open = { '/dev/dri/renderD128': true, '/dev/dri/renderD129': true }

describe('the list from the kernel alone', () => {
  it('tells a card with the link of its slot, its memory, sensors and driver', async () => {
    const { system } = machine({ files: { ...arc, '/proc/sys/kernel/osrelease': '6.14.2\n' }, devices: open })
    const { devices, problems } = await intelProbe.list(system)
    expect(problems).toEqual([])
    expect(devices).toEqual([
      {
        vendor: 'intel',
        source: 'sysfs xe',
        index: 0,
        pciAddress: '0000:03:00.0',
        pciVendorId: '0x8086',
        pciDeviceId: '0xe20b',
        name: 'Intel(R) Arc(TM) B580 Graphics',
        kind: 'discrete',
        memoryTotalBytes: 12809404416,
        memoryFreeBytes: 11760828416,
        driverVersion: 'xe 6.14.2',
        pcie: { generation: 4, width: 8, maxGeneration: 4, maxWidth: 8 },
        sensors: {
          temperatureC: 51,
          memoryTemperatureC: 58,
          powerLimitWatts: 190,
          fanRpm: 1210,
          graphicsClockMhz: 2450,
          graphicsClockMaxMhz: 2850,
          throttle: ['power_cap'],
          memoryUsedBytes: 1048576000,
          memoryTotalBytes: 12809404416,
        },
      },
    ])
  })

  it('tells the graphics of a processor as integrated, with its share of the memory, after the cards', async () => {
    const { system } = machine({ files: { ...arc, ...processor }, devices: open })
    const { devices } = await intelProbe.list(system)
    const [igpu, card] = devices
    expect(igpu).toMatchObject({
      pciAddress: '0000:00:02.0',
      name: 'Intel(R) UHD Graphics 770',
      kind: 'integrated',
      index: 1,
      memoryTotalBytes: 32768000 * 1024 * 0.75,
      memoryFreeBytes: 20000000 * 1024,
      sensors: { graphicsClockMhz: 350, graphicsClockMaxMhz: 1550, throttle: [] },
    })
    expect(igpu).not.toHaveProperty('pcie')
    expect(card).toMatchObject({ kind: 'discrete', index: 0 })
  })

  it('takes the memory of a card from the window to it, and from its specification where that is small', async () => {
    const card = (number: number, bus: string, deviceId: string, window: string) =>
      drmCard({
        number,
        path: `pci0000:00/0000:${bus}:00.0`,
        driver: 'i915',
        deviceId,
        values: { 'device/resource': `0x0 0x0 0x0\n0x0 0x0 0x0\n${window} 0x14220c\n` },
      })
    const wide = '0x0000004000000000 0x00000043ffffffff'
    const small = '0x0000004000000000 0x000000400fffffff'
    const files = {
      ...card(0, '03', '56a0', wide),
      ...card(1, '04', '56a0', '0x0000004000000000 0x00000041ffffffff'),
      ...card(2, '05', '56a5', small),
      ...card(3, '06', 'e20b', wide),
      ...card(4, '07', '5691', small),
    }
    const { devices } = await intelProbe.list(machine({ files }).system)
    expect(devices.map(({ memoryTotalBytes = 0 }) => memoryTotalBytes / gib)).toEqual([16, 8, 6, 12, 0])
    expect(devices[4]).not.toHaveProperty('memoryTotalBytes')
  })

  it('leaves a link out that only says what is inside of the card', async () => {
    const files = drmCard({
      number: 0,
      path: 'pci0000:00/0000:00:06.0',
      driver: 'i915',
      deviceId: '56a0',
      values: insideLink,
    })
    const [card] = (await intelProbe.list(machine({ files, devices: open }).system)).devices
    expect(card).toMatchObject({ kind: 'discrete', name: 'Intel(R) Arc(TM) A770 Graphics' })
    expect(card).not.toHaveProperty('pcie')
  })

  it("leaves other vendors' cards, shares of cards and other drivers out", async () => {
    const share = drmCard({ number: 2, path: 'pci0000:4d/0000:4d:00.1', driver: 'i915', deviceId: '56c0' })
    const files: Files = {
      ...share,
      '/sys/devices/pci0000:4d/0000:4d:00.1/physfn': { symlink: '/sys/devices/pci0000:4d/0000:4d:00.0' },
      '/sys/devices/pci0000:4d/0000:4d:00.0/vendor': '0x8086\n',
      '/sys/class/drm/card3/device/uevent': 'DRIVER=amdgpu\nPCI_ID=1002:73BF\nPCI_SLOT_NAME=0000:09:00.0\n',
      '/sys/class/drm/card4/device/uevent': 'DRIVER=vfio-pci\nPCI_ID=8086:56A0\nPCI_SLOT_NAME=0000:0a:00.0\n',
      '/sys/class/drm/card3-DP-1/status': 'connected\n',
    }
    expect((await intelProbe.list(machine({ files }).system)).devices).toEqual([])
  })

  it('says what to do where this user may not compute on a card, or the container has no door to it', async () => {
    const denied = await intelProbe.list(
      machine({ files: arc, devices: { '/dev/dri/renderD129': false } }).system,
    )
    expect(denied.devices).toMatchObject([
      { state: 'no_permission', stateReason: expect.stringMatching(/renderD129.*usermod -aG render/) },
    ])
    const absent = await intelProbe.list(machine({ files: arc }).system)
    expect(absent.devices).toMatchObject([
      { state: 'no_permission', stateReason: expect.stringContaining('--device /dev/dri') },
    ])
  })

  it('finds nothing on a Mac, and runs nothing there', async () => {
    const { system, runs } = machine({
      files: arc,
      platform: 'darwin',
      answers: { 'xpu-smi discovery -j': '{}' },
    })
    expect((await intelProbe.list(system)).devices).toEqual([])
    expect(await intelProbe.sample(system)).toEqual([])
    expect(runs).toEqual([])
  })
})

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
    const gpus = devices.filter(({ vendor }) => vendor === 'intel')
    expect(
      gpus.map(({ id, kind, partitionProfile, unifiedMemory }) => [
        id,
        kind,
        partitionProfile,
        unifiedMemory,
      ]),
    ).toEqual([
      ['pci:0000:00:02.0', 'integrated', undefined, true],
      ['pci:0000:18:00.0', 'discrete', undefined, false],
      ['intel:0000:18:00.0/tile 0#0', 'partition', 'tile 0', false],
      ['intel:0000:18:00.0/tile 1#1', 'partition', 'tile 1', false],
      ['pci:0000:2a:00.0', 'discrete', undefined, false],
      ['intel:0000:2a:00.0/tile 0#2', 'partition', 'tile 0', false],
      ['intel:0000:2a:00.0/tile 1#3', 'partition', 'tile 1', false],
    ])
    expect(gpus.map(({ partitioned, parentId }) => [partitioned, parentId])).toEqual([
      [undefined, undefined],
      [true, undefined],
      [undefined, 'pci:0000:18:00.0'],
      [undefined, 'pci:0000:18:00.0'],
      [true, undefined],
      [undefined, 'pci:0000:2a:00.0'],
      [undefined, 'pci:0000:2a:00.0'],
    ])
    expect(links).toContainEqual({
      a: 'pci:0000:18:00.0',
      b: 'pci:0000:2a:00.0',
      class: 'xelink',
      label: 'XL8',
    })
  })
})

describe('the sensors', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const device = `/sys/devices/${arcPath}`

  it('tell power and utilization from two looks, and run no program', async () => {
    const { system, files, runs, reads } = machine({ files: { ...arc }, devices: open })
    const [first] = await intelProbe.sample(system)
    expect(first?.sensors).not.toHaveProperty('powerWatts')
    vi.advanceTimersByTime(1000)
    files[`${device}/hwmon/hwmon4/energy1_input`] = '223500000\n'
    files[`${device}/tile0/gt0/gtidle/idle_residency_ms`] = '5250\n'
    reads.length = 0
    const [second] = await intelProbe.sample(system)
    expect(second).toMatchObject({
      pciAddress: '0000:03:00.0',
      sensors: { powerWatts: 123.5, utilization: 0.75, temperatureC: 51, pcie: { generation: 4, width: 8 } },
    })
    expect(second).not.toHaveProperty('state')
    expect(runs).toEqual([])
    expect(reads.length).toBeLessThan(30)
  })

  it('tell no power where the counter went back, and none from two looks at once', async () => {
    const { system, files } = machine({ files: { ...arc }, devices: open })
    await intelProbe.sample(system)
    const [atOnce] = await intelProbe.sample(system)
    expect(atOnce?.sensors).not.toHaveProperty('powerWatts')
    vi.advanceTimersByTime(1000)
    files[`${device}/hwmon/hwmon4/energy1_input`] = '5\n'
    const [later] = await intelProbe.sample(system)
    expect(later?.sensors).not.toHaveProperty('powerWatts')
    expect(later?.sensors).toHaveProperty('utilization', 1)
  })

  it('leave a card that sleeps asleep', async () => {
    const { system, files, reads } = machine({
      files: { ...arc, [`${device}/power/runtime_status`]: 'suspended\n' },
    })
    await intelProbe.list(system)
    reads.length = 0
    expect(await intelProbe.sample(system)).toMatchObject([{ pciAddress: '0000:03:00.0', sensors: {} }])
    expect(reads.filter((path) => /hwmon|freq|idle|link/.test(path))).toEqual([])
    files[`${device}/power/runtime_status`] = 'active\n'
    expect(await intelProbe.sample(system)).toMatchObject([{ sensors: { temperatureC: 51 } }])
  })

  it('say that a card is lost when it is gone, or no longer answers on the bus', async () => {
    const { system, files } = machine({ files: { ...arc } })
    await intelProbe.list(system)
    files[`${device}/current_link_width`] = '63\n'
    expect(await intelProbe.sample(system)).toMatchObject([
      { state: 'lost', stateReason: expect.stringContaining('does not answer') },
    ])
    delete files['/sys/class/drm/card1/device']
    expect(await intelProbe.sample(system)).toMatchObject([
      { state: 'lost', pciAddress: '0000:03:00.0', stateReason: expect.stringContaining('card1 is gone') },
    ])
  })

  it.each([
    ['none', []],
    ['pl1 thermal', ['power_cap', 'hw_thermal']],
    ['prochot', ['hw_thermal']],
    ['pl4', ['current_limit']],
    ['vr_thermalert vr_tdc', ['hw_thermal', 'current_limit']],
    ['something_new', ['other']],
  ])('read "%s" of the file that holds all reasons', async (text, expected) => {
    const { system } = machine({
      files: { ...arc, [`${device}/tile0/gt0/freq0/throttle/reasons`]: `${text}\n` },
    })
    expect(await intelProbe.sample(system)).toMatchObject([{ sensors: { throttle: expected } }])
  })
})
