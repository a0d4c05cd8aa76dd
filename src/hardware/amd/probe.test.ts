import { describe, expect, it } from 'vitest'
import { amdProbe } from './index.ts'
import { card, node, nodes, processor } from './testing/machine.ts'
import { replay } from './testing/replay.ts'

describe("AMD's cards without any tool", () => {
  const files = {
    ...processor,
    ...card('card0', '03'),
    ...node(1, { location_id: 0x0300, unique_id: '3' }),
    '/usr/share/libdrm/amdgpu.ids': '744C,\tC8,\tAMD Radeon RX 7900 XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n',
    '/proc/sys/kernel/osrelease': '6.12.4\n',
  }

  it('are found by the driver, each once, with its name from libdrm', async () => {
    const system = replay({ files })
    const { devices, problems } = await amdProbe.list(system)
    expect(problems).toEqual([])
    expect(devices).toHaveLength(1)
    expect(devices[0]).toMatchObject({
      source: 'sysfs + kfd',
      name: 'AMD Radeon RX 7900 XT',
      kind: 'discrete',
      index: 0,
      uuid: '0x0000000000000003',
      pciAddress: '0000:03:00.0',
      pciDeviceId: '0x744c',
      gfx: 'gfx1100',
      computeUnits: 84,
      memoryTotalBytes: 21458059264,
      driverVersion: '6.12.4',
      numaNode: 0,
    })
    expect(devices[0]?.state).toBeUndefined()
  })

  it('tell the link of the slot and not the one behind the switch on the board', async () => {
    const { devices } = await amdProbe.list(replay({ files }))
    expect(devices[0]?.pcie).toEqual({ generation: 3, width: 4, maxGeneration: 4, maxWidth: 16 })
  })

  it('are sampled without running a program', async () => {
    const system = replay({ files })
    await amdProbe.list(system)
    system.commands.length = 0
    const readings = await amdProbe.sample(system)
    expect(system.commands).toEqual([])
    expect(readings).toEqual([
      {
        vendor: 'amd',
        source: 'sysfs',
        index: 0,
        uuid: '0x0000000000000003',
        pciAddress: '0000:03:00.0',
        sensors: {
          utilization: 0.07,
          memoryUtilization: 0.03,
          memoryUsedBytes: 27856896,
          memoryTotalBytes: 21458059264,
          temperatureC: 47,
          hotspotC: 55,
          memoryTemperatureC: 62,
          powerWatts: 19,
          powerLimitWatts: 257,
          graphicsClockMhz: 2525,
          fanRatio: 0.2,
          fanRpm: 1200,
          pcie: { generation: 3, width: 4 },
        },
      },
    ])
  })

  it('say where they slow down and go off', async () => {
    const { devices } = await amdProbe.list(replay({ files }))
    expect(devices[0]?.sensors).toMatchObject({ slowdownC: 100, shutdownC: 105 })
  })

  it('tell errors of their memory, and pages that were taken out of use', async () => {
    const faulty = card('card0', '03', {
      'ras/umc_err_count': 'ue: 1\nce: 4',
      'ras/gpu_vram_bad_pages':
        '0x00001000 : 0x00001000 : R\n0x00002000 : 0x00001000 : R\n0x00003000 : 0x00001000 : P',
    })
    const [reading] = await amdProbe.sample(replay({ files: faulty }))
    expect(reading?.sensors?.ecc).toEqual({ corrected: 4, uncorrected: 1, retired: 2, pending: true })
  })

  it('in two PCI domains are two, though old kernels tell no domain', async () => {
    const old = (id: number, minor: number) => {
      const told = node(id, { location_id: 0x0300, unique_id: String(id), drm_render_minor: minor })
      const path = `${nodes}/${id}/properties`
      return { ...told, [path]: (told[path] ?? '').replace('domain 0\n', '') }
    }
    const domains = {
      ...processor,
      ...old(1, 128),
      ...old(2, 129),
      '/sys/class/drm/renderD129/device': { symlink: '../../../devices/pci0001:00/0001:03:00.0' },
      '/sys/devices/pci0001:00/0001:03:00.0/vendor': '0x1002',
    }
    const { devices } = await amdProbe.list(replay({ files: domains }))
    expect(devices.map(({ pciAddress }) => pciAddress)).toEqual(['0000:03:00.0', '0001:03:00.0'])
  })

  it('are not woken to be sampled', async () => {
    const asleep = { ...files, ...card('card0', '03', { 'power/runtime_status': 'suspended' }) }
    const [reading] = await amdProbe.sample(replay({ files: asleep }))
    expect(reading?.pciAddress).toBe('0000:03:00.0')
    expect(reading?.sensors).toBeUndefined()
    expect(reading?.state).toBeUndefined()
  })

  it('that were there and are gone are lost', async () => {
    const gone = replay({ files })
    await amdProbe.list(gone)
    gone.readText = () => undefined
    expect(await amdProbe.sample(gone)).toEqual([
      expect.objectContaining({ pciAddress: '0000:03:00.0', state: 'lost' }),
    ])
  })

  it('whose driver does not answer are in error', async () => {
    const hung = { ...files }
    for (const path of Object.keys(hung))
      if (path.endsWith('mem_info_vram_total')) delete (hung as { [path: string]: unknown })[path]
    const [reading] = await amdProbe.sample(replay({ files: hung }))
    expect(reading).toMatchObject({ state: 'error', stateReason: expect.stringContaining('dmesg') })
  })

  it('are no permission away from use, and the reason says which groups to join', async () => {
    const usable = { '/dev/kfd': true, '/dev/dri/renderD103': false }
    const { devices } = await amdProbe.list(replay({ files, usable }))
    expect(devices[0]).toMatchObject({ state: 'no_permission' })
    expect(devices[0]?.stateReason).toMatch(/renderD103.*render.*video/)
    const closed = await amdProbe.list(
      replay({ files, usable: { '/dev/kfd': false, '/dev/dri/renderD103': true } }),
    )
    expect(closed.devices[0]?.stateReason).toContain('/dev/kfd')
    const container = await amdProbe.list(replay({ files, usable: {} }))
    expect(container.devices[0]?.stateReason).toContain('--device /dev/kfd')
  })

  it('run by Vulkan only where compute is not loaded, which is told', async () => {
    const { devices, problems } = await amdProbe.list(
      replay({ files, usable: { '/dev/dri/renderD103': true } }),
    )
    expect(devices[0]?.state).toBeUndefined()
    expect(problems).toEqual([expect.stringContaining('/dev/kfd is missing')])
  })
})

describe('a GPU that is part of a processor', () => {
  const apu = card('card1', '0c', {
    device: '0x15bf',
    mem_info_vram_total: '536870912',
    mem_info_vram_used: '100000000',
    mem_info_gtt_total: '16792432640',
    mem_info_gtt_used: '300000000',
  })

  it('is integrated, and may use what the driver maps of the host memory', async () => {
    const { devices } = await amdProbe.list(replay({ files: apu }))
    expect(devices[0]).toMatchObject({
      kind: 'integrated',
      memoryTotalBytes: 536870912 + 16792432640,
      sensors: { memoryUsedBytes: 400000000 },
    })
  })

  it('is integrated by the lack of memory of its own too', async () => {
    const bare = {
      ...processor,
      [`${nodes}/1/properties`]:
        'simd_count 16\nsimd_per_cu 4\nlocation_id 1280\nunique_id 0\nvendor_id 4098\n',
    }
    const { devices } = await amdProbe.list(replay({ files: bare }))
    expect(devices).toEqual([expect.objectContaining({ kind: 'integrated', pciAddress: '0000:05:00.0' })])
  })
})

describe('a card that is cut into partitions', () => {
  const cut = (id: number, part: number) =>
    node(id, {
      location_id: 0x0300 + part,
      unique_id: '3',
      drm_render_minor: 128 + part,
      gfx_target_version: 90402,
    })
  const link = (id: number, n: number, to: number) => ({
    [`${nodes}/${id}/io_links/${n}/properties`]: `type 11\nnode_to ${to}\nweight 13\nmax_bandwidth 819200\nflags 1\n`,
  })
  const files = {
    ...processor,
    ...card('card0', '03', { current_compute_partition: 'CPX', device: '0x74a1' }),
    ...cut(1, 0),
    ...cut(2, 1),
    ...link(1, 0, 2),
    ...link(2, 0, 1),
  }

  it('is told with its partitions, which carry the work', async () => {
    const { devices, links } = await amdProbe.list(replay({ files }))
    expect(
      devices.map(({ kind, index, uuid, partitionProfile }) => ({ kind, index, uuid, partitionProfile })),
    ).toEqual([
      { kind: 'discrete', index: undefined, uuid: '0x0000000000000003', partitionProfile: undefined },
      { kind: 'partition', index: 0, uuid: '0x0000000000000003/0', partitionProfile: 'CPX' },
      { kind: 'partition', index: 1, uuid: '0x0000000000000003/1', partitionProfile: 'CPX' },
    ])
    expect(devices[0]?.partitioned).toBe(true)
    expect(devices[1]).toMatchObject({
      gfx: 'gfx942',
      memoryTotalBytes: 21458059264,
      parent: { uuid: '0x0000000000000003', pciAddress: '0000:03:00.0' },
    })
    expect(links).toEqual([
      {
        a: { index: 0, pciAddress: '0000:03:00.0' },
        b: { index: 1, pciAddress: '0000:03:00.0' },
        class: 'same_board',
        label: 'XGMI',
        gbPerSecond: 819.2,
        peerAccess: true,
      },
    ])
  })

  it('has its heat sampled once, and the memory of each partition', async () => {
    const readings = await amdProbe.sample(replay({ files }))
    expect(
      readings.map(({ kind, index, sensors }) => [
        kind,
        index,
        sensors?.temperatureC,
        sensors?.memoryUsedBytes,
      ]),
    ).toEqual([
      [undefined, undefined, 47, 27856896],
      ['partition', 0, undefined, 1000000],
      ['partition', 1, undefined, 1000000],
    ])
  })
})

describe('what the tools add', () => {
  const two = { ...card('card0', '03'), ...card('card1', '0c', { unique_id: '000000000000000c' }) }
  const statics = JSON.stringify({
    gpu_data: [
      {
        gpu: 0,
        asic: {
          market_name: 'AMD Radeon RX 7900 XT',
          device_id: '0x744c',
          num_compute_units: 84,
          target_graphics_version: 'gfx1100',
        },
        bus: { bdf: '0000:03:00.0', max_pcie_width: 16, max_pcie_speed: { value: 16, unit: 'GT/s' } },
        limit: {
          socket_power: { value: 257, unit: 'W' },
          slowdown_edge_temperature: { value: 99, unit: 'C' },
        },
        driver: { name: 'amdgpu', version: '6.12.12' },
        vram: { size: { value: 20464, unit: 'MB' } },
      },
      {
        gpu: 1,
        asic: { market_name: 'AMD Radeon RX 7900 XT', device_id: '0x744c' },
        bus: { bdf: '0000:0c:00.0' },
      },
    ],
  })
  const topology = JSON.stringify([
    {
      gpu: 0,
      bdf: '0000:03:00.0',
      links: [
        { gpu: 1, bdf: '0000:0c:00.0', weight: 40, num_hops: 2, link_type: 'PCIE', link_status: 'ENABLED' },
      ],
    },
    {
      gpu: 1,
      bdf: '0000:0c:00.0',
      links: [
        { gpu: 0, bdf: '0000:03:00.0', weight: 40, num_hops: 2, link_type: 'PCIE', link_status: 'ENABLED' },
      ],
    },
  ])

  it('is merged by PCI address, each card once', async () => {
    const system = replay({
      files: two,
      programs: { 'amd-smi static --json': statics, 'amd-smi topology --json': topology },
    })
    const { devices, links, problems } = await amdProbe.list(system)
    expect(system.commands).toEqual(['amd-smi static --json', 'amd-smi topology --json'])
    expect(problems).toEqual([])
    expect(devices.map(({ name, pciAddress, source }) => [name, pciAddress, source])).toEqual([
      ['AMD Radeon RX 7900 XT', '0000:03:00.0', 'sysfs + amd-smi static'],
      ['AMD Radeon RX 7900 XT', '0000:0c:00.0', 'sysfs + amd-smi static'],
    ])
    expect(devices[0]).toMatchObject({
      computeUnits: 84,
      memoryTotalBytes: 21458059264,
      driverVersion: '6.12.12',
    })
    expect(links).toEqual([
      {
        a: { pciAddress: '0000:03:00.0' },
        b: { pciAddress: '0000:0c:00.0' },
        // Both hang on one root port here, by switches of their own.
        class: 'pix',
        label: 'PCIE',
        peerAccess: true,
      },
    ])
  })

  it('comes from rocm-smi where amd-smi is missing', async () => {
    const programs = {
      'rocm-smi --showid --showuniqueid --showproductname --showbus --showvbios --showserial --showdriverversion --showmaxpower --showmeminfo vram --json':
        JSON.stringify({
          card0: { 'Device ID': '0x744c', 'Card Series': 'Radeon RX 7900 XT', 'PCI Bus': '0000:03:00.0' },
          card1: { 'Device ID': '0x744c', 'Card Series': 'Radeon RX 7900 XT', 'PCI Bus': '0000:0C:00.0' },
          system: { 'Driver version': '6.8.5' },
        }),
    }
    const { devices, problems } = await amdProbe.list(replay({ files: two, programs }))
    expect(problems).toEqual([])
    expect(devices.map(({ name, driverVersion }) => [name, driverVersion])).toEqual([
      ['Radeon RX 7900 XT', '6.8.5'],
      ['Radeon RX 7900 XT', '6.8.5'],
    ])
  })

  it('is all there is where the kernel shows nothing', async () => {
    const { devices } = await amdProbe.list(replay({ programs: { 'amd-smi static --json': statics } }))
    expect(devices.map(({ index, pciAddress }) => [index, pciAddress])).toEqual([
      [0, '0000:03:00.0'],
      [1, '0000:0c:00.0'],
    ])
  })

  it('is named as missing with what to do, and the cards are there all the same', async () => {
    const programs = {
      'amd-smi static --json': { outcome: 'timeout', stdout: '', stderr: '' },
      'amd-smi topology --json': { outcome: 'failed', stdout: '', stderr: 'Traceback\n', exitCode: 1 },
      'rocm-smi --showtopo --json': '{"card0": ',
    } as const
    const { devices, problems } = await amdProbe.list(replay({ files: two, programs }))
    expect(devices).toHaveLength(2)
    expect(problems[0]).toMatch(/"amd-smi static --json" gave no answer within 2 s.*dmesg/)
    expect(problems[1]).toMatch(/"amd-smi topology --json" failed with code 1 \("Traceback"\)/)
    expect(problems[2]).toMatch(/"rocm-smi --showtopo --json" printed what cannot be read/)
  })

  it('is no problem where there is neither a card nor a driver', async () => {
    const failed = {
      outcome: 'failed',
      stdout: '',
      stderr: 'AMDSMI_STATUS_NOT_INIT - Device not initialized',
      exitCode: 255,
    } as const
    const programs = { 'amd-smi static --json': failed, 'amd-smi topology --json': failed }
    expect(await amdProbe.list(replay({ programs }))).toMatchObject({ devices: [], links: [], problems: [] })
  })
})
