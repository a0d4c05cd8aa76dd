import { describe, expect, it } from 'vitest'
import type { HostSystem, ProgramResult } from '../contract.ts'
import type { Nvml } from './nvml.ts'
import { createNvidiaProbe } from './probe.ts'

const uuids = ['GPU-aaaaaaaa-0000-0000-0000-000000000000', 'GPU-bbbbbbbb-0000-0000-0000-000000000000']

const gpu = (
  at: number,
  more = '',
) => `<gpu id="00000000:0${at + 1}:00.0"><product_name>NVIDIA A100</product_name>
  <uuid>${uuids[at]}</uuid><fb_memory_usage><total>40960 MiB</total></fb_memory_usage>${more}</gpu>`
const log = (...gpus: string[]) =>
  `<nvidia_smi_log><driver_version>550.54</driver_version><attached_gpus>${gpus.length}</attached_gpus>${gpus.join('')}</nvidia_smi_log>`

const topo = '\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV4\t0-7\t0\nGPU1\tNV4\t X \t0-7\t0\n'
const nvlink = uuids
  .map((uuid, at) => `GPU ${at}: NVIDIA A100 (UUID: ${uuid})\n\t Link 0: 25 GB/s\n`)
  .join('')
const capability = `uuid, pci.bus_id, compute_cap\n${uuids.map((uuid, at) => `${uuid}, 00000000:0${at + 1}:00.0, 8.0`).join('\n')}`

const ok = (stdout: string): ProgramResult => ({ outcome: 'ok', stdout, stderr: '', exitCode: 0 })
const failed = (stderr: string, exitCode = 255, stdout = ''): ProgramResult => ({
  outcome: 'failed',
  stdout,
  stderr,
  exitCode,
})
const missing: ProgramResult = { outcome: 'missing', stdout: '', stderr: '' }

type Answer = ProgramResult | ((args: readonly string[]) => ProgramResult)

interface Machine {
  system: HostSystem
  /** What was run, in order. */
  ran: string[]
}

/** A machine whose nvidia-smi answers by its first argument; whatever has no answer fails. */
function machine(answers: Record<string, Answer> | 'missing', files: Record<string, string> = {}): Machine {
  const ran: string[] = []
  return {
    ran,
    system: {
      platform: 'linux',
      env: {},
      run(program, args) {
        ran.push([program, ...args].join(' '))
        if (answers === 'missing') return Promise.resolve(missing)
        const answer = answers[(args[0] ?? '').split('=')[0] ?? '']
        return Promise.resolve(typeof answer === 'function' ? answer(args) : (answer ?? failed('')))
      },
      readText: (path) => files[path],
      list: (path) => [
        ...new Set(
          Object.keys(files)
            .filter((file) => file.startsWith(`${path}/`))
            .map((file) => file.slice(path.length + 1).split('/')[0] ?? ''),
        ),
      ],
      realPath: (path) => files[`link:${path}`],
      mayUse: (path) => (files[path] === 'denied' ? false : undefined),
    },
  }
}

const withoutNvml = () => createNvidiaProbe(() => Promise.resolve(undefined))
const working = (...gpus: string[]): Record<string, Answer> => ({
  '-q': ok(log(...gpus)),
  topo: ok(topo),
  nvlink: ok(nvlink),
  '--query-gpu': ok(capability),
})
const information = (address: string) =>
  `Model: NVIDIA A100\nGPU UUID: ${uuids[0]}\nBus Location: ${address}\nDevice Minor: 0\n`
const kernelFiles = {
  '/proc/driver/nvidia/version': 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\n',
  '/proc/driver/nvidia/gpus/0000:01:00.0/information': information('0000:01:00.0'),
}

describe('list', () => {
  it('gives cards, capability, places, and links with their rates', async () => {
    const result = await withoutNvml().list(machine(working(gpu(0), gpu(1))).system)
    expect(
      result.devices.map(({ pciAddress, computeCapability }) => [pciAddress, computeCapability]),
    ).toEqual([
      ['0000:01:00.0', '8.0'],
      ['0000:02:00.0', '8.0'],
    ])
    expect(result.links).toEqual([
      { a: { index: 0 }, b: { index: 1 }, class: 'nvlink', label: 'NV4', links: 4, gbPerSecond: 100 },
    ])
    expect(result.places[1]).toEqual({ index: 1, numaNode: 0, cpuAffinity: '0-7' })
    expect(result.problems).toEqual([])
  })

  it('takes UUID and profile of MIG instances from the list of cards', async () => {
    const mig = `<mig_devices><mig_device><index>0</index></mig_device></mig_devices>`
    const list = `GPU 0: NVIDIA A100 (UUID: ${uuids[0]})\n  MIG 3g.20gb     Device  0: (UUID: MIG-cccc0000-0000-0000-0000-000000000000)\n`
    const { devices } = await withoutNvml().list(machine({ ...working(gpu(0, mig)), '-L': ok(list) }).system)
    expect(devices[1]).toMatchObject({
      kind: 'partition',
      uuid: 'MIG-cccc0000-0000-0000-0000-000000000000',
      partitionProfile: '3g.20gb',
      computeCapability: '8.0',
    })
  })

  it('says what to do about a lost card, and goes on with the others', async () => {
    const lost = gpu(1).replace('40960 MiB', 'GPU is lost')
    const { devices, problems } = await withoutNvml().list(machine(working(gpu(0), lost)).system)
    expect(devices.map(({ state }) => state)).toEqual([undefined, 'lost'])
    expect(problems).toEqual([expect.stringMatching(/0000:02:00\.0 is lost.*Reset it/)])
  })

  it('falls back to a short query, then to the list of cards', async () => {
    const query = ok(`index, uuid, name, memory.total [MiB]\n0, ${uuids[0]}, NVIDIA A100, 40960 MiB`)
    const broken = failed('Segmentation fault', 139)
    const short = await withoutNvml().list(machine({ '-q': broken, '--query-gpu': query }).system)
    expect(short.devices[0]).toMatchObject({ uuid: uuids[0], memoryTotalBytes: 40960 * 1024 ** 2 })
    expect(short.problems).toEqual([expect.stringContaining('Segmentation fault')])
    const shortest = await withoutNvml().list(
      machine({ '-q': broken, '-L': ok(`GPU 0: NVIDIA A100 (UUID: ${uuids[0]})`) }).system,
    )
    expect(shortest.devices[0]?.uuid).toBe(uuids[0])
  })

  it('tells the kernel’s cards in error where driver and library differ', async () => {
    const mismatch = failed(
      'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 560.1',
      18,
    )
    const { devices, problems } = await withoutNvml().list(machine({ '-q': mismatch }, kernelFiles).system)
    expect(devices).toEqual([expect.objectContaining({ pciAddress: '0000:01:00.0', state: 'error' })])
    expect(problems).toEqual([expect.stringMatching(/560\.1.*Reboot.*550\.54\.15/)])
  })

  it('tells a user without permission which file may not be opened', async () => {
    const { system } = machine(
      { '-q': failed('Failed to initialize NVML: Insufficient Permissions', 4) },
      {
        ...kernelFiles,
        '/dev/nvidiactl': 'denied',
      },
    )
    const { devices, problems } = await withoutNvml().list(system)
    expect(devices[0]?.state).toBe('no_permission')
    expect(problems).toEqual([expect.stringMatching(/groups "video".*\/dev\/nvidiactl/)])
  })

  it.each([
    ['No devices were found', 6, /has no card/],
    ["NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, /modprobe nvidia/],
    ["NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", 12, /compute libraries/],
  ])('tells "%s" apart', async (words, exitCode, advice) => {
    // nvidia-smi prints its failures where its answers go.
    const { problems, devices } = await withoutNvml().list(
      machine({ '-q': failed('', exitCode, words) }).system,
    )
    expect(problems).toEqual([expect.stringMatching(advice)])
    expect(devices).toEqual([])
  })

  it('says that the tool is slow, and takes the cards from the kernel', async () => {
    const slow: ProgramResult = { outcome: 'timeout', stdout: '', stderr: '' }
    const { system, ran } = machine({ '-q': slow, '--query-gpu': slow }, kernelFiles)
    const { devices, problems } = await withoutNvml().list(system)
    expect(devices[0]?.pciAddress).toBe('0000:01:00.0')
    expect(problems).toEqual([expect.stringContaining('Turn persistence on')])
    expect(ran).not.toContain('nvidia-smi -L')
  })

  it('tells a driver without its tool from a card without a driver, and from neither', async () => {
    const loaded = await withoutNvml().list(machine('missing', kernelFiles).system)
    expect(loaded.devices[0]).toMatchObject({ pciAddress: '0000:01:00.0', name: 'NVIDIA A100' })
    expect(loaded.problems).toEqual([expect.stringContaining('nvidia-utils')])
    const pci = '/sys/bus/pci/devices/0000:01:00.0'
    const bare = {
      [`${pci}/vendor`]: '0x10de\n',
      [`${pci}/class`]: '0x030000\n',
      [`link:${pci}/driver`]: '/x/nouveau',
    }
    const { problems } = await withoutNvml().list(machine('missing', bare).system)
    expect(problems).toEqual([expect.stringMatching(/0000:01:00\.0.*nouveau.*Install the driver/)])
    expect((await withoutNvml().list(machine('missing').system)).problems).toEqual([])
  })
})

describe('sample', () => {
  const row = (at: number, celsius: string) => (args: readonly string[]) => {
    const values: Record<string, string> = {
      index: String(at),
      uuid: uuids[at] ?? '',
      'temperature.gpu': celsius,
    }
    return (args[0] ?? '')
      .replace('--query-gpu=', '')
      .split(',')
      .map((field) => values[field] ?? '[N/A]')
      .join(', ')
  }

  it('asks once, without the fields that the driver does not know', async () => {
    const { system, ran } = machine({
      '--query-gpu': (args) =>
        args[0]?.includes('remapped_rows.pending')
          ? failed('', 2, 'Field "remapped_rows.pending" is not a valid field to query.\n')
          : ok(row(0, '55')(args)),
    })
    const probe = withoutNvml()
    expect(await probe.sample(system)).toEqual([
      expect.objectContaining({ index: 0, uuid: uuids[0], sensors: { temperatureC: 55 } }),
    ])
    expect(ran).toHaveLength(2)
    await probe.sample(system)
    expect(ran).toHaveLength(3)
  })

  it('does not run anything again once the tool is missing', async () => {
    const { system, ran } = machine('missing')
    const probe = withoutNvml()
    await probe.sample(system)
    const before = ran.length
    for (let look = 0; look < 5; look++) expect(await probe.sample(system)).toEqual([])
    expect(ran).toHaveLength(before)
  })

  it('tells all listed cards in error when the tool fails later', async () => {
    let works = true
    const { system } = machine({
      ...working(gpu(0), gpu(1)),
      '--query-gpu': (args) => (works ? ok(row(0, '50')(args)) : failed('', 255, 'Unable to talk')),
    })
    const probe = withoutNvml()
    await probe.list(system)
    expect((await probe.sample(system))[0]?.state).toBeUndefined()
    works = false
    const silent = await probe.sample(system)
    expect(silent.map(({ uuid, state }) => [uuid, state])).toEqual(uuids.map((uuid) => [uuid, 'error']))
    expect(silent[0]?.stateReason).toContain('Unable to talk')
  })

  it('makes a lost card of its message, and keeps reading the others', async () => {
    const { system } = machine({
      '--query-gpu': (args) =>
        failed(
          '',
          15,
          `${row(0, '50')(args)}\nUnable to determine the device handle for GPU0000:02:00.0: GPU is lost.\n`,
        ),
    })
    const readings = await withoutNvml().sample(system)
    expect(readings.map(({ index, pciAddress, state }) => [index, pciAddress, state])).toEqual([
      [0, undefined, undefined],
      [undefined, '0000:02:00.0', 'lost'],
    ])
  })

  it('does not open NVML where the environment says so, and lets go of it when a card is lost', async () => {
    const calls: string[] = []
    const nvml: Nvml = {
      async call(name, ...args) {
        calls.push(name)
        const out = args.find((arg) => Buffer.isBuffer(arg))
        if (name === 'nvmlDeviceGetCount_v2' && Buffer.isBuffer(out)) out.writeUInt32LE(1)
        return name.startsWith('nvmlDeviceGetHandle') ? 15 : 0
      },
    }
    const probe = createNvidiaProbe(() => Promise.resolve(nvml))
    const off = machine({ '--query-gpu': (args) => ok(row(0, '40')(args)) })
    await probe.sample({ ...off.system, env: { DROVER_NVML: '0' } })
    expect(calls).toEqual([])
    expect(await probe.sample(off.system)).toEqual([
      expect.objectContaining({ source: 'nvml', index: 0, state: 'lost' }),
    ])
    expect(calls.at(-1)).toBe('nvmlShutdown')
    expect((await probe.sample(off.system))[0]?.source).toBe('nvidia-smi --query-gpu')
  })
})
