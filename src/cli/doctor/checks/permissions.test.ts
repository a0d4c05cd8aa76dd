import { describe, expect, it } from 'vitest'
import type { DeviceFile, DoctorFacts } from '../contract.ts'
import { card, codesOf, drivers, engines, findingOf, host, machine } from '../testing.ts'

const outsider = { name: 'ada', isRoot: false, groups: ['ada'], enteredIn: [] as string[] }
const rocm = engines({
  listed: [
    {
      name: 'llama.cpp',
      available: true,
      path: '/usr/bin/llama-server',
      devices: [{ name: 'ROCm0', description: 'AMD Radeon RX 7900 XTX', totalBytes: 1, freeBytes: 1 }],
    },
  ],
})

const denied = (path: string, group: string, groupMayUse = true): DeviceFile => ({
  path,
  mayUse: false,
  group,
  groupMayUse,
})

/** A machine with a card of AMD's behind these files. */
function barred(files: DeviceFile[], changes: Partial<DoctorFacts> = {}): DoctorFacts {
  const stateReason = `this user may not open ${files[0]?.path}`
  return machine({
    devices: [card({ vendor: 'amd', name: 'AMD Radeon RX 7900 XTX', state: 'no_permission', stateReason })],
    drivers: { files, hasDxg: false },
    engines: rocm,
    host: host({ user: outsider }),
    ...changes,
  })
}

describe('a device file that this user may not open', () => {
  it('is told with the group to join', () => {
    const facts = barred([denied('/dev/kfd', 'render'), denied('/dev/dri/renderD128', 'render')])
    expect(codesOf(facts)).toEqual(['no_permission'])
    expect(findingOf(facts, 'no_permission')).toMatchObject({
      level: 'error',
      title: 'This user (ada) may not open /dev/kfd and /dev/dri/renderD128',
      command: 'sudo usermod -aG render ada',
    })
  })

  it('of two groups is two steps', () => {
    const facts = barred([denied('/dev/kfd', 'render'), denied('/dev/dri/renderD128', 'video')])
    expect(codesOf(facts)).toEqual(['no_permission', 'no_permission'])
  })

  it('wants a new login where the group was joined just now', () => {
    const joined = host({ user: { ...outsider, enteredIn: ['render'] } })
    const found = findingOf(barred([denied('/dev/kfd', 'render')], { host: joined }), 'no_permission')
    expect(found.advice).toContain('log out and in again')
    expect(found.command).toBeUndefined()
  })

  it('wants the number of the group in a container', () => {
    const facts = barred([denied('/dev/kfd', '993'), denied('/dev/dri/renderD128', '993')], {
      host: host({ user: outsider, container: 'Podman' }),
    })
    expect(findingOf(facts, 'no_permission').command).toBe(
      'docker run --device /dev/kfd --device /dev/dri --group-add $(stat -c %g /dev/kfd) ...',
    )
  })

  it('that is for root alone has no group to join', () => {
    const files = [denied('/dev/nvidia0', 'root', false), denied('/dev/nvidiactl', 'root', false)]
    const facts = machine({ drivers: drivers({ files }), host: host({ user: outsider }) })
    const found = findingOf(facts, 'no_permission')
    expect(found.level).toBe('error')
    expect(found.command).toBe('ls -l /dev/nvidia0 /dev/nvidiactl')
  })

  it('of graphics that nobody computes on is a warning only', () => {
    const facts = machine({
      drivers: drivers({ files: [...drivers().files, denied('/dev/dri/renderD128', 'render')] }),
      host: host({ user: outsider }),
    })
    expect(findingOf(facts, 'no_permission').level).toBe('warning')
  })
})
