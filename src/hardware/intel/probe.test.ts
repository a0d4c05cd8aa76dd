import { describe, expect, it } from 'vitest'
import { arc, open, processor } from './cards.fixture.ts'
import { intelProbe } from './index.ts'
import { drmCard, type Files, insideLink, machine } from './machine.fixture.ts'

const gib = 1024 ** 3

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
