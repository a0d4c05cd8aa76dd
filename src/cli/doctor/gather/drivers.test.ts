import { describe, expect, it } from 'vitest'
import { recordedSystem } from '../testing.ts'
import { lookAtDrivers } from './drivers.ts'

const variable = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c'

describe('a look at the drivers', () => {
  it('reads the version of the module, whichever kind it is', () => {
    const of = (text: string) =>
      lookAtDrivers(recordedSystem({ '/proc/driver/nvidia/version': text })).nvidiaModule
    expect(of('NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu')).toBe('550.54.14')
    expect(of('NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release')).toBe(
      '580.95.05',
    )
  })

  it('reads whether the machine starts only what is signed', () => {
    const of = (value: string) => lookAtDrivers(recordedSystem({ [variable]: value })).secureBoot
    expect(of('\u0006\0\0\0\u0001')).toBe(true)
    expect(of('\u0006\0\0\0\0')).toBe(false)
    expect(lookAtDrivers(recordedSystem({})).secureBoot).toBeUndefined()
  })

  it('leaves files out that are gone since the folder was listed, and sees the way to Windows', () => {
    const system = recordedSystem({ '/dev/nvidia987': '', '/dev/dxg': '' })
    expect(lookAtDrivers(system)).toEqual({ files: [], hasDxg: true })
  })
})
