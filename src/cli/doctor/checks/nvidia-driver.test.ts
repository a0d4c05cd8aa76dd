import { describe, expect, it } from 'vitest'
import { createDeviceFinder, deviceProbes, factsOf, type ProgramResult } from '../../../hardware/index.ts'
import type { DoctorFacts } from '../contract.ts'
import { card, codesOf, cpuDevice, drivers, findingOf, host, machine, recordedSystem } from '../testing.ts'

const moduleFile = {
  '/proc/driver/nvidia/version': 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06',
}

/** A card on the bus, as the kernel shows it. */
function cardOnBus(driver?: string): Record<string, string> {
  const folder = '/sys/bus/pci/devices/0000:01:00.0'
  return {
    [`${folder}/vendor`]: '0x10de\n',
    [`${folder}/device`]: '0x2204\n',
    [`${folder}/class`]: '0x030000\n',
    ...(driver !== undefined && { [`${folder}/driver/${driver}`]: '' }),
  }
}

/** The facts of a machine on which `nvidia-smi` answers so, by way of the real probes. */
async function probed(
  answer: Partial<ProgramResult>,
  files: Record<string, string>,
  changes: Partial<DoctorFacts> = {},
): Promise<DoctorFacts> {
  const system = recordedSystem(files, { 'nvidia-smi': answer })
  // A link's target is its folder's only entry here.
  const realPath = (path: string) => {
    const [target] = path.endsWith('/driver') ? system.list(path) : []
    return target === undefined ? system.realPath(path) : `/sys/bus/pci/drivers/${target}`
  }
  const finder = createDeviceFinder({ system: { ...system, realPath }, probes: deviceProbes, factsOf })
  const { devices, problems } = await finder.find()
  const gpus = devices.filter(({ kind }) => kind !== 'cpu')
  return machine({
    devices: [
      ...gpus.map((device) =>
        card({ ...device, ...(device.persistence === undefined && { persistence: true }) }),
      ),
      cpuDevice(),
    ],
    problems,
    ...changes,
  })
}

const failed = (stdout: string, exitCode: number) => ({ outcome: 'failed' as const, stdout, exitCode })

describe('a driver that was updated while the old one is loaded', () => {
  const words = 'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n'

  it('is told with both versions, and how to go on without a reboot', async () => {
    const facts = await probed(failed(words, 18), moduleFile, {
      drivers: drivers({ nvidiaModule: '570.124.06' }),
    })
    const found = findingOf(facts, 'nvidia_library_mismatch')
    expect(found.level).toBe('error')
    expect(found.detail).toContain('The library is 580.95, the kernel module that is loaded 570.124.06')
    expect(found.command).toMatch(/^sudo reboot\n.*\nsudo modprobe -r nvidia_uvm/)
    expect(codesOf(facts)).toEqual(['nvidia_library_mismatch'])
  })

  it('is told once, however many cards it concerns', async () => {
    const cards = Object.fromEntries(
      ['0000:01:00.0', '0000:02:00.0'].map((at) => [
        `/proc/driver/nvidia/gpus/${at}/information`,
        `Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 98\nBus Location: \t ${at}\n`,
      ]),
    )
    const facts = await probed(failed(words, 18), { ...moduleFile, ...cards })
    expect(facts.devices.filter(({ state }) => state === 'error')).toHaveLength(2)
    expect(codesOf(facts)).toEqual(['nvidia_library_mismatch'])
  })

  it('is a matter of the host within a container', async () => {
    const facts = await probed(failed(words, 18), moduleFile, { host: host({ container: 'Docker' }) })
    const found = findingOf(facts, 'nvidia_library_mismatch')
    expect(found.advice).toContain('Reboot the host')
    expect(found.command).toBeUndefined()
  })
})

describe('a driver that does not run', () => {
  const words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
  const none = drivers({ files: [] })
  delete (none as { nvidiaModule?: string }).nvidiaModule

  it('is told to be loaded, or installed as the distribution does', async () => {
    const facts = await probed(failed(words, 9), cardOnBus(), { drivers: none })
    const found = findingOf(facts, 'nvidia_driver_missing')
    expect(found).toMatchObject({
      level: 'error',
      command: 'sudo ubuntu-drivers install\nsudo modprobe nvidia',
    })
    expect(codesOf(facts)).toEqual(['nvidia_driver_missing'])
  })

  it('is told where only its tools are here', async () => {
    const facts = await probed(failed(words, 9), {}, { drivers: { ...none, secureBoot: true } })
    expect(findingOf(facts, 'nvidia_driver_missing').detail).toContain('Secure Boot is on')
    expect(codesOf(facts)).toEqual(['nvidia_driver_missing'])
  })

  it('because nouveau holds the card is told so, with nouveau shut out', async () => {
    const fedora = host({ distribution: 'fedora' })
    for (const answer of [failed(words, 9), { outcome: 'missing' as const }]) {
      const facts = await probed(answer, cardOnBus('nouveau'), { drivers: none, host: fedora })
      const found = findingOf(facts, 'nvidia_nouveau')
      expect(found.command).toMatch(/^sudo dnf install akmod-nvidia.*\nprintf 'blacklist nouveau/)
      expect(codesOf(facts)).toEqual(['nvidia_nouveau'])
    }
  })

  it('where nothing of it is installed is told by the card on the bus', async () => {
    const facts = await probed({ outcome: 'missing' }, cardOnBus(), { drivers: none })
    expect(codesOf(facts)).toEqual(['nvidia_driver_missing'])
  })
})

describe('the rest of what NVIDIA says', () => {
  const cases: [string, Partial<ProgramResult>, string][] = [
    [
      'NVML shared library not found',
      failed("couldn't find libnvidia-ml.so library", 12),
      'nvidia_library_missing',
    ],
    ['no devices', failed('No devices were found', 6), 'nvidia_no_card'],
    ['unknown error', failed('Failed to initialize NVML: Unknown Error', 255), 'nvidia_library_failed'],
    ['permissions', failed('Failed to initialize NVML: Insufficient Permissions', 4), 'no_permission'],
    ['silence', { outcome: 'timeout' }, 'nvidia_slow'],
  ]
  it.each(cases)('%s has a cure of its own', async (_, answer, code) => {
    const facts = await probed(answer, moduleFile)
    expect(codesOf(facts)).toEqual([code])
    expect(findingOf(facts, code)).toMatchObject({ level: 'error', advice: expect.stringMatching(/\w+/) })
  })

  it('that its tools are missing is a warning: engines compute without them', async () => {
    const facts = await probed({ outcome: 'missing' }, moduleFile)
    expect(codesOf(facts)).toEqual(['nvidia_tools_missing'])
    expect(findingOf(facts, 'nvidia_tools_missing').level).toBe('warning')
  })

  it('that a card is left out is told unless the card itself is', () => {
    const problems = ['nvidia-smi -q -x: 7 of 8 attached cards are listed']
    expect(codesOf(machine({ problems }))).toEqual(['nvidia_card_unlisted'])
    const lost = card({ id: 'pci:0000:02:00.0', state: 'lost' })
    expect(codesOf(machine({ problems, devices: [card(), lost] }))).toEqual(['card_lost'])
  })

  it('in words that are not known is passed on with its advice', async () => {
    const facts = await probed(failed('Failed to initialize NVML: Gremlins', 200), moduleFile)
    expect(findingOf(facts, 'probe_problem')).toMatchObject({
      title: expect.stringContaining('The NVIDIA library could not start'),
      advice: expect.stringContaining('Reload the driver or reboot'),
    })
  })
})

describe('a loaded driver to which no device file leads', () => {
  const bare = drivers({ files: [] })

  it('was not passed into the container', async () => {
    const facts = await probed({ outcome: 'missing' }, moduleFile, {
      drivers: bare,
      host: host({ container: 'Docker' }),
    })
    expect(codesOf(facts)).toEqual(['container_without_gpu'])
    expect(findingOf(facts, 'container_without_gpu').command).toBe('docker run --gpus all ...')
  })

  it('wants them made on a host', () => {
    const facts = machine({ drivers: bare })
    expect(findingOf(facts, 'nvidia_device_files_missing').command).toBe('sudo nvidia-modprobe -u -c=0')
  })

  it('is as it should be under WSL', () => {
    const facts = machine({ drivers: { ...bare, hasDxg: true }, host: host({ wsl: 2 }) })
    expect(codesOf(facts)).toEqual(['wsl'])
  })
})
