import { describe, expect, it } from 'vitest'
import type { HostSystem, ProgramResult } from '../contract.ts'
import { pciProbe } from './index.ts'
import { recordedSysfs } from './sysfs-record.ts'

type Files = Record<string, string | { symlink: string }>

/** One function in the form of sysfs, below the bridges that are named in `folder`. */
function device(folder: string, values: Record<string, string>, driver?: string): Files {
  const address = folder.split('/').at(-1) ?? ''
  const files: Files = { [`/sys/bus/pci/devices/${address}`]: { symlink: `/sys/devices/${folder}` } }
  for (const [name, value] of Object.entries(values)) files[`/sys/devices/${folder}/${name}`] = `${value}\n`
  if (driver !== undefined)
    files[`/sys/devices/${folder}/driver`] = { symlink: `/sys/bus/pci/drivers/${driver}` }
  return files
}

const speed = (now: string, width: string) => ({
  current_link_speed: now,
  current_link_width: width,
  max_link_speed: '16.0 GT/s PCIe',
  max_link_width: '16',
})

/** A machine with every sort of display, and its programs' answers. */
function machine(files: Files, lspci = ''): { system: HostSystem; files: Files; runs: string[] } {
  const runs: string[] = []
  const view = () => {
    const read = recordedSysfs(JSON.stringify({ files }))
    if (read === undefined) throw new Error('the sample is no record')
    return read
  }
  const run = (program: string, args: readonly string[]): Promise<ProgramResult> => {
    runs.push([program, ...args].join(' '))
    return Promise.resolve(
      lspci === ''
        ? { outcome: 'missing', stdout: '', stderr: '' }
        : { outcome: 'ok', stdout: lspci, stderr: '', exitCode: 0 },
    )
  }
  const system: HostSystem = {
    platform: 'linux',
    env: {},
    run,
    readText: (path) => view().readText(path),
    list: (path) => view().list(path),
    realPath: (path) => view().realPath(path),
    mayUse: () => undefined,
  }
  return { system, files, runs }
}

const nvidia = {
  class: '0x030200',
  vendor: '0x10de',
  device: '0x2684',
  numa_node: '-1',
  local_cpulist: '0-15',
}
const root = { class: '0x060400', vendor: '0x1022', device: '0x1453' }

describe('the PCI probe', () => {
  it('tells the cards, their link, place and the ways between them', async () => {
    const { system } = machine({
      ...device('pci0000:00/0000:00:01.0', root),
      ...device(
        'pci0000:00/0000:00:01.0/0000:01:00.0',
        { ...nvidia, ...speed('8.0 GT/s PCIe', '4') },
        'nvidia',
      ),
      ...device('pci0000:40/0000:40:01.0', root),
      ...device('pci0000:40/0000:40:01.0/0000:41:00.0', { ...nvidia, numa_node: '1' }, 'nvidia'),
    })
    const found = await pciProbe.list(system)
    expect(found.devices).toEqual([
      {
        vendor: 'nvidia',
        source: 'sysfs pci',
        pciAddress: '0000:01:00.0',
        pciVendorId: '0x10de',
        pciDeviceId: '0x2684',
        pcie: { generation: 3, width: 4, maxGeneration: 4, maxWidth: 16 },
      },
      {
        vendor: 'nvidia',
        source: 'sysfs pci',
        pciAddress: '0000:41:00.0',
        pciVendorId: '0x10de',
        pciDeviceId: '0x2684',
        numaNode: 1,
      },
    ])
    expect(found.places).toEqual([
      { pciAddress: '0000:01:00.0', cpuAffinity: '0-15' },
      { pciAddress: '0000:41:00.0', numaNode: 1, cpuAffinity: '0-15' },
    ])
    expect(found.links.map(({ class: link, label }) => [link, label])).toEqual([['sys', 'SYS']])
    expect(found.problems).toEqual([])
  })

  it.each([
    ['0x10de', undefined, /^no driver is bound: .*NVIDIA/],
    ['0x1002', undefined, /^no driver is bound: .*modprobe amdgpu/],
    ['0x8086', undefined, /^no driver is bound: .*modprobe xe/],
    ['0x1ed5', undefined, /^no driver is bound: install the vendor's/],
    ['0x10de', 'nouveau', /nouveau, which has no CUDA/],
    ['0x10de', 'vfio-pci', /held for a virtual machine by vfio-pci/],
  ] as const)('tells what a card of vendor %s under driver %s lacks', async (vendor, driver, reason) => {
    const { system } = machine(device('pci0000:00/0000:00:01.0/0000:01:00.0', { ...nvidia, vendor }, driver))
    const [card] = (await pciProbe.list(system)).devices
    expect(card).toMatchObject({ state: 'error', stateReason: expect.stringMatching(reason) })
  })

  it('believes a DRM node where the link to the driver is not to be seen', async () => {
    const folder = 'pci0000:00/0000:00:01.0/0000:01:00.0'
    const { system } = machine({
      ...device(folder, nvidia),
      [`/sys/devices/${folder}/drm/card0/dev`]: '226:0',
    })
    expect((await pciProbe.list(system)).devices[0]).not.toHaveProperty('state')
  })

  it.each([
    ['a virtio display', { class: '0x030000', vendor: '0x1af4', device: '0x1050' }],
    ['the display of an ASPEED controller', { class: '0x030000', vendor: '0x1a03', device: '0x2000' }],
    ['the display of a Matrox controller', { class: '0x030000', vendor: '0x102b', device: '0x0536' }],
    ['QXL', { class: '0x030000', vendor: '0x1b36', device: '0x0100' }],
    ['bochs', { class: '0x030000', vendor: '0x1234', device: '0x1111' }],
    ['cirrus', { class: '0x030000', vendor: '0x1013', device: '0x00b8' }],
    ["a neural processing unit of Intel's", { class: '0x120000', vendor: '0x8086', device: '0x7d1d' }],
    ['a sound function of a GPU', { class: '0x040300', vendor: '0x10de', device: '0x22ba' }],
  ])('leaves out %s', async (_, values) => {
    const { system, runs } = machine(device('pci0000:00/0000:00:02.0', values))
    expect((await pciProbe.list(system)).devices).toEqual([])
    expect(runs).toEqual([])
  })

  it('takes an accelerator of AMD for a GPU', async () => {
    const values = { class: '0x120000', vendor: '0x1002', device: '0x74a1' }
    const { system } = machine(device('pci0000:00/0000:00:01.0/0000:01:00.0', values, 'amdgpu'))
    expect((await pciProbe.list(system)).devices).toMatchObject([{ vendor: 'amd', pciDeviceId: '0x74a1' }])
  })

  it("reads the link of an Arc card where the slot's link ends", async () => {
    const bridge = { class: '0x060400', vendor: '0x8086' }
    const { system } = machine({
      ...device('pci0000:00/0000:00:01.0', { ...bridge, device: '0x460d' }),
      ...device('pci0000:00/0000:00:01.0/0000:01:00.0', { ...bridge, ...speed('16.0 GT/s PCIe', '8') }),
      ...device('pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0', bridge),
      ...device(
        'pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0',
        { class: '0x030000', vendor: '0x8086', device: '0x56a0', ...speed('2.5 GT/s PCIe', '1') },
        'i915',
      ),
    })
    const [card] = (await pciProbe.list(system)).devices
    expect(card).toMatchObject({ kind: 'discrete', pcie: { generation: 4, width: 8 } })
    expect(await pciProbe.sample(system)).toMatchObject([{ sensors: { pcie: { generation: 4, width: 8 } } }])
  })

  it('names cards by lspci where that is installed', async () => {
    const lspci =
      '0000:01:00.0 "VGA compatible controller [0300]" "NVIDIA Corporation [10de]" "AD102 [GeForce RTX 4090] [2684]" -ra1 "" ""'
    const { system } = machine(device('pci0000:00/0000:00:01.0/0000:01:00.0', nvidia, 'nvidia'), lspci)
    expect((await pciProbe.list(system)).devices[0]?.name).toBe('GeForce RTX 4090')
  })

  it('sees a card fall off the bus, and vanish', async () => {
    const folder = 'pci0000:00/0000:00:01.0/0000:01:00.0'
    const { system, files } = machine(
      device(folder, { ...nvidia, ...speed('16.0 GT/s PCIe', '16') }, 'nvidia'),
    )
    await pciProbe.list(system)
    expect((await pciProbe.sample(system))[0]).not.toHaveProperty('state')
    files[`/sys/devices/${folder}/current_link_width`] = '63\n'
    files[`/sys/devices/${folder}/current_link_speed`] = 'Unknown\n'
    expect(await pciProbe.sample(system)).toMatchObject([{ pciAddress: '0000:01:00.0', state: 'lost' }])
    for (const path of Object.keys(files)) delete files[path]
    expect(await pciProbe.sample(system)).toMatchObject([
      {
        vendor: 'nvidia',
        pciAddress: '0000:01:00.0',
        state: 'lost',
        stateReason: expect.stringContaining('gone'),
      },
    ])
  })

  it('leaves a sleeping card asleep: its registers are not read, and it is not lost', async () => {
    const sleeping = { ...nvidia, ...speed('Unknown', '63'), 'power/runtime_status': 'suspended' }
    const { system } = machine(device('pci0000:00/0000:00:01.0/0000:01:00.0', sleeping, 'nvidia'))
    const [card] = (await pciProbe.list(system)).devices
    expect(card).not.toHaveProperty('state')
    expect(card).not.toHaveProperty('pcie')
  })

  it('reads nothing on other systems', async () => {
    const { system, runs } = machine({})
    const windows: HostSystem = { ...system, platform: 'win32', list: () => expect.fail('a folder was read') }
    expect((await pciProbe.list(windows)).devices).toEqual([])
    expect(await pciProbe.sample(windows)).toEqual([])
    expect(runs).toEqual([])
  })
})
