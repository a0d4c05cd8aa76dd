import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { Reading } from '../contract.ts'
import { pciReaders } from './index.ts'

/** The text by the first reader that takes it. */
function read(text: string): Reading {
  const result = pciReaders.find((reader) => reader.matches(text))?.read(text)
  if (result?.ok !== true) throw new Error(`not read: ${result?.reason ?? 'no reader takes it'}`)
  return result.reading
}

const oneLineEach = `00:00.0 Host bridge [0600]: Intel Corporation Device [8086:a700] (rev 01)
00:02.0 VGA compatible controller [0300]: Intel Corporation Raptor Lake-S GT1 [UHD Graphics 770] [8086:a780] (rev 04)
01:00.0 VGA compatible controller [0300]: NVIDIA Corporation AD102 [GeForce RTX 4090] [10de:2684] (rev a1)
01:00.1 Audio device [0403]: NVIDIA Corporation AD102 High Definition Audio Controller [10de:22ba] (rev a1)
02:00.0 3D controller [0302]: NVIDIA Corporation Device [10de:2330] (rev ff) (prog-if ff)
03:00.0 Processing accelerators [1200]: Advanced Micro Devices, Inc. [AMD/ATI] Aqua Vanjaram [Instinct MI300X] [1002:74a1]
04:00.0 VGA compatible controller [0300]: ASPEED Technology, Inc. ASPEED Graphics Family [1a03:2000] (rev 52)
`

const verbose = `40:01.1 PCI bridge: Advanced Micro Devices, Inc. [AMD] Starship/Matisse GPP Bridge (prog-if 00 [Normal decode])
	NUMA node: 1
	Bus: primary=40, secondary=41, subordinate=44, sec-latency=0
	Kernel driver in use: pcieport

41:00.0 PCI bridge: Broadcom / LSI PEX890xx PCIe Gen 5 Switch (rev b0)
	Bus: primary=41, secondary=42, subordinate=44, sec-latency=0
	Kernel driver in use: pcieport

42:00.0 PCI bridge: Broadcom / LSI PEX890xx PCIe Gen 5 Switch (rev b0)
	Bus: primary=42, secondary=43, subordinate=43, sec-latency=0

42:01.0 PCI bridge: Broadcom / LSI PEX890xx PCIe Gen 5 Switch (rev b0)
	Bus: primary=42, secondary=44, subordinate=44, sec-latency=0

43:00.0 3D controller: NVIDIA Corporation GA100 [A100 PCIe 40GB] (rev a1)
	NUMA node: 1
		LnkCap:	Port #0, Speed 16GT/s, Width x16, ASPM not supported
		LnkSta:	Speed 8GT/s (downgraded), Width x8 (downgraded)
	Kernel driver in use: nvidia

44:00.0 3D controller: NVIDIA Corporation Device 20f1 (rev a1)
	NUMA node: 1
		LnkCap:	Port #0, Speed 16GT/s, Width x16
		LnkSta:	Speed 16GT/s, Width x16
	Kernel modules: nouveau, nvidia
`

describe('lspci', () => {
  it('tells ids, names and cards that fell off the bus from one line each', () => {
    const { devices, notes } = read(oneLineEach)
    expect(devices).toMatchObject([
      { vendor: 'intel', kind: 'integrated', name: 'UHD Graphics 770', pciDeviceId: '0xa780' },
      { vendor: 'nvidia', pciAddress: '0000:01:00.0', name: 'GeForce RTX 4090', pciDeviceId: '0x2684' },
      { vendor: 'nvidia', pciAddress: '0000:02:00.0', pciDeviceId: '0x2330', state: 'lost' },
      { vendor: 'amd', name: 'Instinct MI300X', pciDeviceId: '0x74a1' },
    ])
    expect(devices[2]).not.toHaveProperty('name')
    expect(notes).toEqual([expect.stringContaining('ASPEED')])
  })

  it('tells the same ids from numbers alone', () => {
    expect(read('01:00.0 0300: 10de:2684 (rev a1)\n').devices).toEqual([
      {
        vendor: 'nvidia',
        source: 'lspci -nn',
        pciAddress: '0000:01:00.0',
        pciVendorId: '0x10de',
        pciDeviceId: '0x2684',
      },
    ])
  })

  it('tells link, node, driver and the switch between cards from -vvv', () => {
    const { devices, links, places } = read(verbose)
    expect(devices).toMatchObject([
      {
        name: 'A100 PCIe 40GB',
        numaNode: 1,
        pcie: { generation: 3, width: 8, maxGeneration: 4, maxWidth: 16 },
      },
      { pciDeviceId: '0x20f1', state: 'error', stateReason: expect.stringContaining('no driver is bound') },
    ])
    expect(devices[0]).not.toHaveProperty('state')
    expect(links).toEqual([
      { a: { pciAddress: '0000:43:00.0' }, b: { pciAddress: '0000:44:00.0' }, class: 'pix', label: 'PIX' },
    ])
    expect(places).toHaveLength(2)
  })

  it('says that links need root where they were not shown', () => {
    const text =
      '01:00.0 3D controller: NVIDIA Corporation Device 2330 (rev a1)\n\tCapabilities: <access denied>\n'
    expect(read(text).notes).toEqual([expect.stringContaining('as root')])
  })

  it('reads records and quoted lines', () => {
    const record =
      'Slot:\t0000:65:00.0\nClass:\t3D controller [0302]\nVendor:\tNVIDIA Corporation [10de]\nDevice:\tGA102GL [A10] [2236]\nDriver:\tnvidia\nNUMANode:\t1\n\nSlot:\t0000:66:00.0\nClass:\t3D controller [0302]\nVendor:\tNVIDIA Corporation [10de]\nDevice:\tDevice [2237]\n'
    expect(read(record).devices).toMatchObject([
      { name: 'A10', pciDeviceId: '0x2236', numaNode: 1 },
      { pciDeviceId: '0x2237', state: 'error' },
    ])
    const line =
      '0001:00:00.0 "3D controller" "NVIDIA Corporation" "GM204GL [Tesla M60]" -rff "NVIDIA Corporation" ""\n'
    expect(read(line).devices).toMatchObject([
      { name: 'Tesla M60', pciAddress: '0001:00:00.0', state: 'lost' },
    ])
  })
})

const bridge = (busid: string, inside: string) =>
  `<object type="Bridge" bridge_type="1-1" pci_busid="${busid}" pci_type="0604 [10b5:8796] [0000:0000] ca 00">${inside}</object>`
const card = (busid: string, gp: number, uuid: string) =>
  `<object type="PCIDev" gp_index="${gp}" pci_busid="${busid}" pci_type="0302 [1002:738c] [1002:0c34] 01 00">
    <object type="OSDev" gp_index="${gp + 100}" name="rsmi${gp}" subtype="RSMI"><info name="GPUModel" value="MI100"/><info name="AMDUUID" value="${uuid}"/></object></object>`
const hwloc = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0"><object type="Machine" os_index="0">
<object type="Package"><object type="NUMANode" os_index="0"/><object type="Bridge" bridge_type="0-1">
${bridge('0000:10:00.0', bridge('0000:11:00.0', bridge('0000:12:00.0', card('0000:13:00.0', 1, 'aa')) + bridge('0000:12:01.0', card('0000:14:00.0', 2, 'bb'))))}
</object></object>
<object type="Package"><object type="NUMANode" os_index="1"/><object type="NUMANode" os_index="8" subtype="GPUMemory"/><object type="Bridge" bridge_type="0-1">
${bridge('0000:80:00.0', card('0000:81:00.0', 3, 'cc'))}
</object></object></object>
<distances2 type="NUMANode" nbobjs="2" kind="5" name="NUMALatency" indexing="os"><indexes length="4">0 1 </indexes><u64values length="12">10 32 32 10 </u64values></distances2>
<distances2 type="OSDev" nbobjs="3" kind="9" name="XGMIBandwidth" indexing="gp"><indexes>101 102 103 </indexes>
<u64values>1000000 100000 0 100000 1000000 </u64values><u64values>0 0 0 1000000 </u64values></distances2>
</topology>`

describe('lstopo', () => {
  it('tells cards, nodes, bridges of the vendor and of PCI from XML', () => {
    const { devices, links, notes } = read(hwloc)
    expect(devices.map(({ pciAddress, uuid, numaNode }) => [pciAddress, uuid, numaNode])).toEqual([
      ['0000:13:00.0', 'aa', 0],
      ['0000:14:00.0', 'bb', 0],
      ['0000:81:00.0', 'cc', 1],
    ])
    expect(
      links.map(({ a, b, label, gbPerSecond }) => [a.pciAddress, b.pciAddress, label, gbPerSecond]),
    ).toEqual([
      ['0000:13:00.0', '0000:14:00.0', 'XGMI', 100],
      ['0000:13:00.0', '0000:81:00.0', 'SYS', undefined],
      ['0000:14:00.0', '0000:81:00.0', 'SYS', undefined],
    ])
    expect(notes).toEqual(['distances between NUMA nodes 0, 1: 10 32 / 32 10'])
  })

  it('refuses XML that is cut, with the reason', () => {
    const cut = hwloc.slice(0, 700)
    const result = pciReaders.find((reader) => reader.matches(cut))?.read(cut)
    expect(result).toMatchObject({ ok: false, reason: expect.stringMatching(/XML/) })
  })

  it('tells cards and nodes from text', () => {
    const text = `Machine (P#0 total=64GiB)
  Package L#0 (P#0)
    NUMANode L#0 (P#0 local=32GiB)
    HostBridge L#0 (buses=0000:[00-02])
      PCIBridge L#1 (busid=0000:00:01.0 id=8086:1901 class=0604(PCIBridge) buses=0000:[01-01])
        PCI L#0 (busid=0000:01:00.0 id=10de:1db8 class=0302(3D))
      PCIBridge L#2 (busid=0000:00:02.0 id=8086:1905 class=0604(PCIBridge) buses=0000:[02-02])
        PCI 02:00.0 (VGA)
  Package L#1 (P#1)
    NUMANode L#1 (P#1 local=32GiB)
    HostBridge L#3 (buses=0000:[80-81])
      PCI L#2 (busid=0000:80:02.0 id=10de:1db8 class=0302(3D))
`
    const { devices, links } = read(text)
    expect(devices.map(({ pciAddress, numaNode }) => [pciAddress, numaNode])).toEqual([
      ['0000:01:00.0', 0],
      ['0000:02:00.0', 0],
      ['0000:80:02.0', 1],
    ])
    expect(links.map(({ label }) => label)).toEqual(['PHB', 'SYS', 'SYS'])
  })
})

describe('any text at all', () => {
  const pieces = fc.constantFrom(
    ...[
      ...oneLineEach.split('\n'),
      ...verbose.split('\n'),
      ...hwloc.split('>'),
      'Slot:\t01:00.0',
      'Machine (P#0)',
    ],
    '{"files": {"sys/bus/pci/devices/0000:01:00.0": {"symlink": "0000:01:00.0"}}}',
    '01:00.0 "3D controller" "NVIDIA" "x"',
  )
  const texts = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.array(fc.oneof(pieces, fc.string()), { maxLength: 30 }).map((parts) => parts.join('\n')),
  )

  it('is read or refused, and every number in it is finite', () => {
    fc.assert(
      fc.property(texts, (text) => {
        for (const reader of pciReaders) {
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
    const recorded = (name: string) => read(readFileSync(join(folder, 'pci', name), 'utf8'))
    const spots: readonly [name: string, devices: number, spots: object][] = [
      ['lspci-nn/gpud-a10.txt', 1, { pciAddress: '0000:06:00.0', pciDeviceId: '0x2236', name: 'A10' }],
      ['lspci-nn/gpud-a100-8gpu-nvswitch.txt', 8, { pciAddress: '0001:00:00.0', pciDeviceId: '0x20b2' }],
      ['lspci-vmm/laptop-intel-gtx1050ti.txt', 2, { vendor: 'intel', kind: 'integrated' }],
      [
        'lspci-vmm/laptop-intel-rtx4060-rx7600.txt',
        2,
        { vendor: 'nvidia', name: 'GeForce RTX 4060 Max-Q / Mobile' },
      ],
      ['lspci-vmm/laptop-vmmnnk.txt', 2, { pciDeviceId: '0x5917' }],
      ['lspci-vmm/lspci-mm-lines.txt', 5, { name: 'GeForce GT 640' }],
      [
        'lspci-vvv/gpud-lspci-vvv.txt',
        8,
        { pciAddress: '0000:19:00.0', pcie: { generation: 5, width: 16 }, numaNode: 0 },
      ],
      [
        'sysfs/ghw-linux-amd64-415ee03b8c4d1c4f07ae2e9d8b3d3d6d.json',
        1,
        { vendor: 'intel', pciDeviceId: '0x46a6' },
      ],
      [
        'sysfs/ghw-linux-amd64-61797caf7c0b6bca1725ad7975ed4773.json',
        1,
        { vendor: 'amd', pciDeviceId: '0x6758' },
      ],
      ['sysfs/ghw-linux-amd64-8581cf3a529e5d8b97ea876eade2f60d.json', 0, {}],
      ['sysfs/ghw-linux-amd64-accel-nvidia.json', 1, { pciAddress: '0000:06:00.0', pciDeviceId: '0x15f8' }],
      [
        'hwloc-xml/nvidia-dgx2.xml',
        16,
        { uuid: 'GPU-d3977428-7a30-086b-2e20-5c1eeed647c6', serial: '0321019030775' },
      ],
      ['hwloc-xml/nvidia-dgx-gb10.xml', 0, {}],
      ['hwloc-xml/power8-gpu-distances.xml', 4, { memoryTotalBytes: 16_671_616 * 1024, computeUnits: 56 }],
      ['hwloc-xml/nvidia-gpu-numa-nodes.console.txt', 6, { pciAddress: '0004:05:00.0', numaNode: 0 }],
    ]
    it.each(spots)('of %s hold %i GPUs', (name, count, first) => {
      const { devices } = recorded(name)
      expect(devices).toHaveLength(count)
      expect(devices[0] ?? {}).toMatchObject(first)
    })

    it.each(['hwloc-xml/nvidia-dgx2.xml'])('of %s join all by NVSwitch', (name) => {
      const { links } = recorded(name)
      expect(links).toHaveLength(120)
      expect(new Set(links.map(({ class: link, gbPerSecond }) => `${link} ${gbPerSecond}`))).toEqual(
        new Set(['nvlink 150']),
      )
    })

    it.each(['lspci-vvv/gpud-lspci-vvv.txt'])('of %s stand on two nodes', (name) => {
      const { links, devices } = recorded(name)
      const node = new Map(devices.map(({ pciAddress, numaNode }) => [pciAddress, numaNode]))
      for (const { a, b, label } of links) {
        expect(label).toBe(node.get(a.pciAddress) === node.get(b.pciAddress) ? 'NODE' : 'SYS')
      }
      expect(links).toHaveLength(28)
      expect(new Set(node.values())).toEqual(new Set([0, 1]))
    })

    it.each(['hwloc-xml/power8-gpu-distances.xml'])('of %s pair by NVLink', (name) => {
      const own = recorded(name).links.filter(({ class: link }) => link === 'nvlink')
      expect(own.map(({ a, b, gbPerSecond }) => [a.pciAddress, b.pciAddress, gbPerSecond])).toEqual([
        ['0002:01:00.0', '0003:01:00.0', 40],
        ['000a:01:00.0', '000b:01:00.0', 40],
      ])
    })
  })
}
