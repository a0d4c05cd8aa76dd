import { describe, expect, it } from 'vitest'
import { card, codesOf, findingOf, machine } from '../testing.ts'

describe('a problem of a probe that no rule knows', () => {
  it('is told in its own words, what to do after what is wrong', () => {
    const problem =
      '/dev/kfd is missing, so that ROCm cannot run (Vulkan can): load the driver with compute ("modprobe amdgpu")'
    expect(findingOf(machine({ problems: [problem] }), 'probe_problem')).toEqual({
      code: 'probe_problem',
      level: 'warning',
      title: '/dev/kfd is missing, so that ROCm cannot run (Vulkan can)',
      detail: '',
      advice: 'Load the driver with compute ("modprobe amdgpu")',
    })
  })

  it('has advice even where its words have none', () => {
    const { title, advice } = findingOf(machine({ problems: ['something broke.'] }), 'probe_problem')
    expect(title).toBe('something broke')
    expect(advice).toMatch(/by hand/)
  })

  it('of a single card is left to what is told of the card', () => {
    const problem =
      'NVIDIA card 0000:01:00.0 is lost (GPU is lost). Reset it (sudo nvidia-smi --gpu-reset) or reboot.'
    expect(codesOf(machine({ problems: [problem] }))).toEqual([])
  })
})

describe('a part of the machine that does not answer', () => {
  it('is named, and how to find the culprit', () => {
    const found = findingOf(machine({ late: ['the engines'] }), 'no_answer')
    expect(found.title).toContain('the engines')
    expect(found.advice).toContain('drover engine list')
  })
})

describe('recorded outputs', () => {
  const recorded = (problems: string[]) => ({
    nowMs: 0,
    devices: [],
    recorded: ['smi.txt'],
    problems,
    late: [],
  })

  it('that cannot be read are named with the reason', () => {
    expect(findingOf(recorded(['smi.txt: the text is empty']), 'not_read')).toMatchObject({
      level: 'warning',
      title: 'smi.txt was not read',
      detail: 'The text is empty.',
    })
  })

  it('that hold a known complaint are told what it means', () => {
    const problem =
      'smi.txt: The NVIDIA library (580.95) does not match the kernel module that is loaded, as after an upgrade of the driver. Reboot, or stop all that uses the cards.'
    expect(findingOf(recorded([problem]), 'nvidia_library_mismatch').detail).toContain(
      'The library is 580.95',
    )
  })

  it('have remarks, which are no faults', () => {
    const facts = recorded(['smi.txt (nvidia-smi (message)): WARNING: infoROM is corrupted'])
    expect(findingOf(facts, 'remark')).toEqual({
      code: 'remark',
      level: 'note',
      title: 'WARNING: infoROM is corrupted',
      detail: 'smi.txt, nvidia-smi (message)',
    })
  })

  it('have no remark on a card that is told of itself', () => {
    const problem =
      'smi.txt (nvidia-smi (message)): Unable to determine the device handle for GPU0000:02:00.0: Unknown Error'
    const devices = [card({ state: 'error', stateReason: 'Unknown Error' })]
    expect(codesOf({ ...recorded([problem]), devices })).toEqual(['card_error'])
  })

  it('say nothing of this machine', () => {
    expect(codesOf(recorded([]))).toEqual([])
  })
})
