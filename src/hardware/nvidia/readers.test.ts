import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DeviceReading, Reading } from '../contract.ts'
import { nvidiaReaders } from './readers.ts'

const MiB = 1024 ** 2

/** What the first reader that knows the text makes of it. */
function read(text: string): { tool: string; reading?: Reading; reason?: string } {
  const reader = nvidiaReaders.find(({ matches }) => matches(text))
  if (reader === undefined) throw new Error('no reader knows this text')
  const result = reader.read(text)
  return result.ok
    ? { tool: reader.tool, reading: result.reading }
    : { tool: reader.tool, reason: result.reason }
}

function devicesOf(text: string): DeviceReading[] {
  return read(text).reading?.devices ?? []
}

const xml = `<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>550.54.15</driver_version>
  <cuda_version>12.4</cuda_version>
  <attached_gpus>2</attached_gpus>
  <gpu id="00000000:3B:00.0">
    <product_name>NVIDIA A100-SXM4-80GB</product_name>
    <persistence_mode>Enabled</persistence_mode>
    <mig_mode><current_mig>Enabled</current_mig></mig_mode>
    <mig_devices>
      <mig_device>
        <index>0</index><gpu_instance_id>3</gpu_instance_id><compute_instance_id>0</compute_instance_id>
        <device_attributes><shared><multiprocessor_count>42</multiprocessor_count></shared></device_attributes>
        <fb_memory_usage><total>40192 MiB</total><used>100 MiB</used><free>40092 MiB</free></fb_memory_usage>
      </mig_device>
    </mig_devices>
    <uuid>GPU-aaaaaaaa-1111-2222-3333-444444444444</uuid>
    <pci>
      <pci_device_id>20B210DE</pci_device_id>
      <pci_gpu_link_info>
        <pcie_gen><max_link_gen>4</max_link_gen><current_link_gen>1</current_link_gen></pcie_gen>
        <link_widths><max_link_width>16x</max_link_width><current_link_width>8x</current_link_width></link_widths>
      </pci_gpu_link_info>
    </pci>
    <fan_speed>N/A</fan_speed>
    <clocks_throttle_reasons>
      <clocks_throttle_reason_gpu_idle>Not Active</clocks_throttle_reason_gpu_idle>
      <clocks_throttle_reason_hw_thermal_slowdown>Active</clocks_throttle_reason_hw_thermal_slowdown>
    </clocks_throttle_reasons>
    <fb_memory_usage><total>81920 MiB</total><used>1000 MiB</used><free>80920 MiB</free></fb_memory_usage>
    <ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode>
    <ecc_errors>
      <volatile><sram_uncorrectable>1</sram_uncorrectable><dram_correctable>3</dram_correctable><dram_uncorrectable>2</dram_uncorrectable></volatile>
      <aggregate><dram_correctable>9</dram_correctable><dram_uncorrectable>2</dram_uncorrectable></aggregate>
    </ecc_errors>
    <remapped_rows>
      <remapped_row_corr>1</remapped_row_corr><remapped_row_unc>2</remapped_row_unc>
      <remapped_row_pending>Yes</remapped_row_pending><remapped_row_failure>No</remapped_row_failure>
    </remapped_rows>
    <temperature><gpu_temp>60 C</gpu_temp><gpu_temp_tlimit>20 C</gpu_temp_tlimit><gpu_temp_slow_tlimit_threshold>-2 C</gpu_temp_slow_tlimit_threshold></temperature>
    <processes>
      <process_info>
        <gpu_instance_id>3</gpu_instance_id><compute_instance_id>0</compute_instance_id>
        <pid>77</pid><type>C</type><process_name>llama &amp; co</process_name><used_memory>64 MiB</used_memory>
      </process_info>
    </processes>
  </gpu>
  <gpu id="00000000:AF:00.0">
    <product_name>NVIDIA A100-SXM4-80GB</product_name>
    <uuid>GPU-bbbbbbbb-1111-2222-3333-444444444444</uuid>
    <fb_memory_usage><total>GPU is lost</total></fb_memory_usage>
  </gpu>
</nvidia_smi_log>`

const topo = `\t\u001b[4mGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\u001b[0m
GPU0\t X \tNV4\tSYS\tPIX\t0-7,16-23\t0\t\tN/A
GPU1\tNV4\t X \tPHB\tSYS\t0-7,16-23\t0\t\tN/A
GPU2\tSYS\tPXB\t X \tSYS\t8-15\t1\t\tN/A
NIC0\tPIX\tSYS\tSYS\t X \t\t\t

Legend:
  X    = Self
`

const table = `+-----------------------------------------------------------------------------+
| NVIDIA-SMI 470.82.01    Driver Version: 470.82.01    CUDA Version: 11.4     |
|-------------------------------+----------------------+----------------------+
|   0  NVIDIA TITAN RTX    Off  | 00000000:41:00.0 Off |                  N/A |
| 41%   55C    P2   120W / 280W |   2048MiB / 24220MiB |     37%      Default |
|                               |                      |                  N/A |
+-------------------------------+----------------------+----------------------+
|   1  NVIDIA TITAN RTX    On   | 00000000:42:00.0 Off |                  N/A |
|ERR!   55C    P2   ERR! / 280W |   2048MiB / 24220MiB |     37%      Default |
|                               |                      |                  N/A |
+-----------------------------------------------------------------------------+
| Processes:                                                                  |
|    0   N/A  N/A      1201      C   python my script.py              2000MiB |
+-----------------------------------------------------------------------------+`

describe('nvidia-smi -q -x', () => {
  it('tells a card, its MIG instance, and a card that is lost', () => {
    const [card, part, lost] = devicesOf(xml)
    expect(card).toMatchObject({
      index: 0,
      pciAddress: '0000:3b:00.0',
      pciDeviceId: '0x20b2',
      kind: 'discrete',
      partitioned: true,
      persistence: true,
      driverVersion: '550.54.15',
      runtime: 'CUDA 12.4',
      pcie: { generation: 1, maxGeneration: 4, width: 8, maxWidth: 16 },
    })
    expect(part).toMatchObject({
      kind: 'partition',
      index: 0,
      computeUnits: 42,
      memoryTotalBytes: 40192 * MiB,
      parent: { uuid: card?.uuid, pciAddress: '0000:3b:00.0', index: 0 },
      sensors: { processes: [{ pid: 77 }] },
    })
    expect(lost).toMatchObject({
      index: 1,
      state: 'lost',
      stateReason: 'GPU is lost',
      pciAddress: '0000:af:00.0',
    })
    expect(card?.state).toBeUndefined()
  })

  it('adds up memory errors since the driver was loaded, and notes those over the life', () => {
    const { reading } = read(xml)
    expect(reading?.devices[0]?.sensors?.ecc).toEqual({
      enabled: true,
      corrected: 3,
      uncorrected: 3,
      retired: 3,
      pending: true,
      remapFailed: false,
    })
    expect(reading?.notes.join()).toContain('9 corrected memory errors over its life')
  })

  it('reads throttle reasons by their older name, and limits by what is left to them', () => {
    const sensors = devicesOf(xml)[0]?.sensors
    expect(sensors?.throttle).toEqual(['hw_thermal'])
    expect(sensors?.slowdownC).toBe(82)
    expect(sensors?.processes).toEqual([
      { pid: 77, name: 'llama & co', memoryBytes: 64 * MiB, kind: 'compute' },
    ])
    expect(sensors).not.toHaveProperty('fanRatio')
  })

  it('gives no numbers to cards where some are left out', () => {
    const cut = xml.replace('<attached_gpus>2<', '<attached_gpus>3<')
    expect(
      devicesOf(cut)
        .filter(({ kind }) => kind !== 'partition')
        .map(({ index }) => index),
    ).toEqual([undefined, undefined])
    expect(read(cut).reading?.notes).toContain('nvidia-smi -q -x: 2 of 3 attached cards are listed')
  })
})

describe('nvidia-smi topo -m', () => {
  it('gives each pair once, both ways where they differ, and no network cards', () => {
    const { reading } = read(topo)
    expect(reading?.links).toEqual([
      { a: { index: 0 }, b: { index: 1 }, class: 'nvlink', label: 'NV4', links: 4 },
      { a: { index: 0 }, b: { index: 2 }, class: 'sys', label: 'SYS' },
      { a: { index: 1 }, b: { index: 2 }, class: 'phb', label: 'PHB' },
      { a: { index: 2 }, b: { index: 1 }, class: 'pxb', label: 'PXB' },
    ])
    expect(reading?.places).toEqual([
      { index: 0, numaNode: 0, cpuAffinity: '0-7,16-23' },
      { index: 1, numaNode: 0, cpuAffinity: '0-7,16-23' },
      { index: 2, numaNode: 1, cpuAffinity: '8-15' },
    ])
  })
})

describe('the table', () => {
  it('tells cards of the narrow form, and one whose values fail', () => {
    const [first, second] = devicesOf(table)
    expect(first).toMatchObject({
      name: 'NVIDIA TITAN RTX',
      persistence: false,
      driverVersion: '470.82.01',
      memoryTotalBytes: 24220 * MiB,
      sensors: {
        fanRatio: 0.41,
        temperatureC: 55,
        powerWatts: 120,
        powerLimitWatts: 280,
        utilization: 0.37,
        processes: [{ pid: 1201, name: 'python my script.py', memoryBytes: 2000 * MiB, kind: 'compute' }],
      },
    })
    expect(second).toMatchObject({ state: 'error', persistence: true })
    expect(second?.sensors).not.toHaveProperty('powerWatts')
  })
})

describe('CSV', () => {
  it('takes columns in any order, with and without units', () => {
    const rows = [
      'memory.used [MiB], index, name, utilization.gpu [%], clocks_event_reasons.active, temperature.gpu, power.draw [W]',
      '512, 0, Tesla T4, 50, 0x0000000000000204, 40, [Not Supported]',
      '1024 MiB, 1, Tesla T4, 25 %, 0x0000000000000000, 41, 20.50 W',
    ]
    const [a, b] = devicesOf(rows.join('\n'))
    expect(a).toMatchObject({
      index: 0,
      name: 'Tesla T4',
      sensors: { memoryUsedBytes: 512 * MiB, utilization: 0.5 },
    })
    expect(a?.sensors?.throttle).toEqual(['power_cap', 'other'])
    expect(a?.sensors).not.toHaveProperty('powerWatts')
    expect(b?.sensors).toMatchObject({ memoryUsedBytes: 1024 * MiB, powerWatts: 20.5, throttle: [] })
  })

  it('makes a device of a message in the middle, and leaves rows of other width out', () => {
    const { reading } = read(`index, uuid
0, GPU-aaaaaaaa-0000-0000-0000-000000000000
Unable to determine the device handle for GPU0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU
2, GPU-cccccccc-0000-0000-0000-000000000000, 7`)
    expect(reading?.devices.map(({ index, pciAddress, state }) => [index, pciAddress, state])).toEqual([
      [0, undefined, undefined],
      [undefined, '0000:02:00.0', 'lost'],
    ])
    expect(reading?.notes).toHaveLength(2)
  })

  it('takes one failed value for a sensor, and several for a card in error', () => {
    const head = 'index, temperature.gpu, fan.speed [%], power.draw [W]\n'
    expect(devicesOf(`${head}0, 30, [Unknown Error], 20 W`)[0]?.state).toBeUndefined()
    expect(devicesOf(`${head}0, [Unknown Error], [Unknown Error],[Unknown Error]`)[0]?.state).toBe('error')
  })

  it('refuses rows without a header', () => {
    expect(read('0, NVIDIA A10, 45, 19676, 23028').reason).toContain('no header')
  })

  it('groups processes by card, with commas in their names', () => {
    const [card] = devicesOf(`gpu_uuid, pid, process_name, used_gpu_memory [MiB]
GPU-aaaaaaaa-0000-0000-0000-000000000000, 12, C:\\a, b.exe, 5 MiB
GPU-aaaaaaaa-0000-0000-0000-000000000000, 13, ollama, [N/A]`)
    expect(card?.sensors?.processes).toEqual([
      { pid: 12, name: 'C:\\a, b.exe', memoryBytes: 5 * MiB, kind: 'compute' },
      { pid: 13, name: 'ollama', kind: 'compute' },
    ])
  })
})

describe('short outputs', () => {
  it('reads the list with MIG instances', () => {
    const [card, part] = devicesOf(`GPU 0: NVIDIA H200 (UUID: GPU-11111111-0000-0000-0000-000000000000)
  MIG 2g.35gb     Device  0: (UUID: MIG-22222222-0000-0000-0000-000000000000)`)
    expect(card).toMatchObject({ index: 0, name: 'NVIDIA H200', partitioned: true })
    expect(part).toMatchObject({ kind: 'partition', partitionProfile: '2g.35gb', parent: { index: 0 } })
  })

  it('tells which NVLinks are up and down', () => {
    const { reading } = read(`GPU 0: Tesla V100 (UUID: GPU-11111111-0000-0000-0000-000000000000)
\t Link 0: 25.781 GB/s
\t Link 1: <inactive>`)
    expect(reading?.notes).toEqual(['GPU 0: 1 NVLinks up, 1 down, 25.781 GB/s each way together'])
  })

  it('takes the last look of dmon and pmon', () => {
    const dmon = `# gpu    pwr  gtemp     sm    mclk
# Idx      W      C      %     MHz
    0     50     40     10    405
    0     90     60     99   7000`
    expect(devicesOf(dmon)[0]?.sensors).toEqual({
      powerWatts: 90,
      temperatureC: 60,
      utilization: 0.99,
      memoryClockMhz: 7000,
    })
    const pmon = `# gpu   pid  type  sm  command
# Idx     #   C/G   %  name
    0     10     C   1  gone
    0     11     C   1  NVIDIA Share.exe
    1      -     -   -  -
    0     11   C+G   1  NVIDIA Share.exe
    1      -     -   -  -`
    expect(devicesOf(pmon).map(({ sensors }) => sensors?.processes)).toEqual([
      [{ pid: 11, name: 'NVIDIA Share.exe', kind: 'both' }],
      [],
    ])
  })

  it('reads the kernel files, whose minor number is no index', () => {
    const [card] = devicesOf(`Model: \t\t NVIDIA A10G
GPU UUID: \t GPU-????????-????-????-????-????????????
Video BIOS: \t ??.??.??.??.??
Bus Location: \t 0000:00:1e.0
Device Minor: \t 3
GPU Excluded:\t Yes`)
    expect(card).toEqual({
      vendor: 'nvidia',
      source: '/proc/driver/nvidia/gpus',
      pciAddress: '0000:00:1e.0',
      name: 'NVIDIA A10G',
      kind: 'discrete',
      state: 'excluded',
      stateReason: expect.stringContaining('NVreg'),
    })
  })

  it.each([
    ['GPU0000:CB:00.0: Unknown Error', undefined, '0000:cb:00.0', 'error'],
    ['GPU0: 0000:01:00.0: Unknown Error', 0, '0000:01:00.0', 'error'],
    [
      'GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU',
      undefined,
      '0000:02:00.0',
      'lost',
    ],
    ['GPU1: Insufficient Permissions', 1, undefined, 'no_permission'],
  ])('knows the card behind "%s"', (rest, index, pciAddress, state) => {
    const [card] = devicesOf(`Unable to determine the device handle for ${rest}`)
    expect([card?.index, card?.pciAddress, card?.state]).toEqual([index, pciAddress, state])
  })

  it('says what to do about a driver that does not fit its library', () => {
    const { reason } = read(
      'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.183',
    )
    expect(reason).toContain('535.183')
    expect(reason).toContain('Reboot')
  })
})

/** Every number in a value, however deep. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : []
}

describe('any text', () => {
  const samples = [xml, topo, table]
  const broken = fc
    .record({
      sample: fc.constantFrom(...samples),
      from: fc.nat(4000),
      length: fc.nat(60),
      put: fc.oneof(fc.string(), fc.constantFrom('N/A', 'NaN', '-1', '1e999', '<gpu>', '\t', '\n', ', ')),
    })
    .map(({ sample, from, length, put }) => sample.slice(0, from) + put + sample.slice(from + length))

  it('is read or refused by every reader, and holds finite numbers only', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), broken), (text) => {
        for (const reader of nvidiaReaders) {
          reader.matches(text)
          const result = reader.read(text)
          if (result.ok) expect(numbersIn(result.reading).every(Number.isFinite)).toBe(true)
          else expect(result.reason.length).toBeGreaterThan(10)
        }
      }),
      { numRuns: 300 },
    )
  })
})
