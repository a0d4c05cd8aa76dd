import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { HostSystem, ProgramResult, Reading } from '../contract.ts'
import { vulkanProbe, vulkanReaders } from './index.ts'

function read(text: string): Reading {
  const result = vulkanReaders.find((reader) => reader.matches(text))?.read(text)
  if (result?.ok !== true) throw new Error(`not read: ${result?.reason ?? 'no reader takes it'}`)
  return result.reading
}

const summary = `Devices:
========
GPU0:
	apiVersion         = 1.4.318
	driverVersion      = 25.2.8
	vendorID           = 0x1002
	deviceID           = 0x7550
	deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName         = AMD Radeon RX 9070 XT (RADV GFX1201)
	driverID           = DRIVER_ID_MESA_RADV
	driverName         = radv
	driverInfo         = Mesa 25.2.8
	deviceUUID         = 00000000-0300-0000-0000-000000000000
GPU1:
	apiVersion         = 1.4.305
	vendorID           = 0x10005
	deviceID           = 0x0000
	deviceType         = PHYSICAL_DEVICE_TYPE_CPU
	deviceName         = llvmpipe (LLVM 20.1.2, 256 bits)
	driverID           = DRIVER_ID_MESA_LLVMPIPE
`

const long = `Device Properties and Extensions:
=================================
GPU0:
VkPhysicalDeviceProperties:
---------------------------
	apiVersion        = 1.4.318 (4211006)
	driverVersion     = 25.2.8 (104865800)
	vendorID          = 0x1002
	deviceID          = 0x7550
	deviceType        = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName        = AMD Radeon RX 9070 XT (RADV GFX1201)
VkPhysicalDevicePCIBusInfoPropertiesEXT:
----------------------------------------
	pciDomain   = 0
	pciBus      = 28
	pciDevice   = 0
	pciFunction = 0
VkPhysicalDeviceMemoryProperties:
=================================
memoryHeaps: count = 3
	memoryHeaps[0]:
		size   = 17095983104 (0x3fb000000) (15.92 GiB)
		budget = 16000000000 (0x3b9aca000) (14.90 GiB)
		usage  = 1000000000 (0x3b9aca00) (953.67 MiB)
		flags: count = 1
			MEMORY_HEAP_DEVICE_LOCAL_BIT
	memoryHeaps[1]:
		size   = 67219730432 (0xfa6000000) (62.60 GiB)
		flags: count = 0
			None
	memoryHeaps[2]:
		size   = 268435456 (0x10000000) (256.00 MiB)
		flags: count = 1
			MEMORY_HEAP_DEVICE_LOCAL_BIT
memoryTypes: count = 1
	memoryTypes[0]:
		heapIndex     = 0
		propertyFlags = 0x0001: count = 1
			MEMORY_PROPERTY_DEVICE_LOCAL_BIT
`

describe('vulkaninfo', () => {
  it("tells AMD's card with the PCI address that its UUID holds, and leaves llvmpipe out", () => {
    const { devices, notes } = read(summary)
    expect(devices).toEqual([
      {
        vendor: 'amd',
        source: 'vulkaninfo',
        index: 0,
        pciAddress: '0000:03:00.0',
        pciVendorId: '0x1002',
        pciDeviceId: '0x7550',
        name: 'AMD Radeon RX 9070 XT (RADV GFX1201)',
        kind: 'discrete',
        driverVersion: 'Mesa 25.2.8',
        runtime: 'Vulkan 1.4.318',
        gfx: 'gfx1201',
        state: 'ok',
      },
    ])
    expect(notes).toEqual([expect.stringContaining('llvmpipe')])
  })

  it('tells memory of the largest local heap, what is free of it, and the address in the long form', () => {
    expect(read(long).devices).toMatchObject([
      { pciAddress: '0000:1c:00.0', memoryTotalBytes: 17095983104, memoryFreeBytes: 15000000000 },
    ])
  })

  it.each([
    [
      'DRIVER_ID_NVIDIA_PROPRIETARY',
      '0x10de',
      '3d28c8d2-dcc3-dcb6-1da6-5a521f0bcd6d',
      { uuid: 'GPU-3d28c8d2-dcc3-dcb6-1da6-5a521f0bcd6d' },
    ],
    [
      'DRIVER_ID_INTEL_OPEN_SOURCE_MESA',
      '0x8086',
      '8680a056-0800-0100-0300-000000000000',
      { pciAddress: '0001:03:00.0' },
    ],
    [
      'DRIVER_ID_INTEL_OPEN_SOURCE_MESA',
      '0x8086',
      'ffffa056-0800-0100-0300-000000000000',
      { uuid: 'ffffa056-0800-0100-0300-000000000000' },
    ],
    [
      'DRIVER_ID_AMD_PROPRIETARY',
      '0x1002',
      '01000000-c300-0000-0000-000000000000',
      { pciAddress: '0001:c3:00.0' },
    ],
    [
      'DRIVER_ID_MESA_RADV',
      '0x1002',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      { uuid: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
    ],
    [
      'DRIVER_ID_MESA_NVK',
      '0x10de',
      '01020304-0506-0708-090a-0b0c0d0e0f10',
      { uuid: '01020304-0506-0708-090a-0b0c0d0e0f10' },
    ],
  ])('knows the card of driver %s (%s) by %s', (driver, vendor, uuid, expected) => {
    const text = `GPU0:\n vendorID = ${vendor}\n deviceName = x\n driverID = ${driver}\n deviceUUID = ${uuid}\n`
    const [device] = read(text).devices
    expect(device).toMatchObject(expected)
    expect(Object.keys(device ?? {}).filter((key) => /uuid|pciAddress/.test(key))).toEqual(
      Object.keys(expected),
    )
  })

  it('reads the form of older versions, where ids stand in brackets', () => {
    const text =
      'GPU0\n\tapiVersion     = 4198490 (1.1.90)\n\tdriverVersion  = 1816723456 (0x6c490000)\n\tvendorID       = 0x10de\n\tdeviceID       = 0x1b06\n\tdeviceType     = DISCRETE_GPU\n\tdeviceName     = GeForce GTX 1080 Ti\n'
    expect(read(text).devices).toMatchObject([
      { name: 'GeForce GTX 1080 Ti', kind: 'discrete', runtime: 'Vulkan 1.1.90' },
    ])
    expect(read(text).devices[0]).not.toHaveProperty('driverVersion')
  })

  it('refuses a text without devices, in the words of its error', () => {
    const text = 'Cannot create Vulkan instance.\nvkCreateInstance failed with ERROR_INCOMPATIBLE_DRIVER\n'
    expect(vulkanReaders[0]?.read(text)).toEqual({ ok: false, reason: 'Cannot create Vulkan instance.' })
  })

  it('is read or refused whatever the text, and every number in it is finite', () => {
    const lines = [
      ...summary.split('\n'),
      ...long.split('\n'),
      '\t\tsize = 99999999999999999999',
      'pciBus = 1e999',
    ]
    const texts = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...lines), { maxLength: 40 }).map((at) => at.join('\n')),
    )
    fc.assert(
      fc.property(texts, (text) => {
        for (const reader of vulkanReaders) {
          reader.matches(text)
          const result = reader.read(text)
          if (result.ok) expect(JSON.stringify(result.reading)).not.toMatch(/:null|NaN|Infinity/)
          else expect(result.reason).not.toBe('')
        }
      }),
    )
  })
})

describe('the Vulkan probe', () => {
  const hostWith = (answer: (args: readonly string[]) => Partial<ProgramResult>) => {
    const runs: string[] = []
    const system: HostSystem = {
      platform: 'linux',
      env: {},
      run: (program, args) => {
        runs.push([program, ...args].join(' '))
        return Promise.resolve({ outcome: 'ok', stdout: '', stderr: '', ...answer(args) })
      },
      readText: () => undefined,
      list: () => [],
      realPath: () => undefined,
      mayUse: () => undefined,
    }
    return { system, runs }
  }

  it('adds memory from the long form to what the summary tells', async () => {
    const { system, runs } = hostWith((args) => ({ stdout: args.length > 0 ? summary : long }))
    const { devices, problems } = await vulkanProbe.list(system)
    expect(devices).toMatchObject([{ pciAddress: '0000:03:00.0', memoryTotalBytes: 17095983104 }])
    expect(problems).toEqual([])
    expect(runs).toEqual(['vulkaninfo --summary', 'vulkaninfo'])
  })

  it('keeps the devices where the long form does not come', async () => {
    const { system } = hostWith((args) => (args.length > 0 ? { stdout: summary } : { outcome: 'timeout' }))
    expect((await vulkanProbe.list(system)).devices).toHaveLength(1)
  })

  it.each(['missing', 'failed'] as const)(
    'finds nothing, without a problem, where vulkaninfo is %s',
    async (outcome) => {
      const { system, runs } = hostWith(() => ({ outcome }))
      expect(await vulkanProbe.list(system)).toMatchObject({ devices: [], problems: [] })
      expect(runs).toHaveLength(1)
      expect(await vulkanProbe.sample(system)).toEqual([])
    },
  )

  it('says so where vulkaninfo hangs', async () => {
    const { system } = hostWith(() => ({ outcome: 'timeout' }))
    expect((await vulkanProbe.list(system)).problems).toEqual([
      expect.stringContaining('did not answer within'),
    ])
  })

  it('does not ask for memory where the CPU is the only device', async () => {
    const { system, runs } = hostWith(() => ({ stdout: summary.slice(summary.indexOf('GPU1')) }))
    expect((await vulkanProbe.list(system)).devices).toEqual([])
    expect(runs).toHaveLength(1)
  })
})

const folder = sharedData('gpu-fixtures')

if (folder !== undefined) {
  describe('recorded outputs', () => {
    const spots: readonly [name: string, expected: object[]][] = [
      [
        'intel-igpu-mx570a-llvmpipe-linux-devices.txt',
        [
          { vendor: 'intel', pciAddress: '0000:00:02.0', kind: 'integrated', pciDeviceId: '0xa7ac' },
          {
            uuid: 'GPU-ffacb06a-ba56-5cc1-58da-90cadf3cc4e0',
            driverVersion: '570.133.07',
            runtime: 'Vulkan 1.4.303',
          },
        ],
      ],
      [
        'rtx3090-irisxe-llvmpipe-linux-devices.txt',
        [
          { vendor: 'intel', pciDeviceId: '0x46a6', runtime: 'Vulkan 1.3.274' },
          {
            vendor: 'nvidia',
            name: 'NVIDIA GeForce RTX 3090',
            driverVersion: '580.178.04',
            kind: 'discrete',
          },
        ],
      ],
      [
        'rtx4080-llvmpipe-linux.txt',
        [{ uuid: 'GPU-3d28c8d2-dcc3-dcb6-1da6-5a521f0bcd6d', driverVersion: '565.77' }],
      ],
      [
        'rtx4090-windows-devices.txt',
        [{ pciDeviceId: '0x2684', driverVersion: '560.70', runtime: 'Vulkan 1.3.280' }],
      ],
    ]
    it.each(spots)('of %s are told field by field', (name, expected) => {
      const { devices } = read(readFileSync(join(folder, 'vulkan', 'vulkaninfo-summary', name), 'utf8'))
      expect(devices).toHaveLength(expected.length)
      expect(devices).toMatchObject(expected)
    })
  })
}
