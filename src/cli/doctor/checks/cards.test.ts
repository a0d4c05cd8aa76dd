import { describe, expect, it } from 'vitest'
import { card, codesOf, cpuDevice, findingOf, host, machine } from '../testing.ts'

const second = { id: 'GPU-b', uuid: 'GPU-b', index: 1, pciAddress: '0000:02:00.0' }
const cuda = (changes: Parameters<typeof card>[0]) => machine({ devices: [card(changes), cpuDevice()] })

describe('a card that is gone', () => {
  it('is told with what the tool and the kernel say, once', () => {
    const facts = cuda({
      state: 'lost',
      stateReason: 'Unknown Error',
      health: {
        state: 'lost',
        reasons: [
          { code: 'lost', state: 'lost', text: 'the card is gone: Unknown Error' },
          { code: 'xid', state: 'lost', text: 'Xid 79: the card has fallen off the bus, 7300 s ago' },
          { code: 'fallen_off_bus', state: 'lost', text: 'the kernel said 7300 s ago: gone' },
        ],
      },
    })
    expect(codesOf(facts)).toEqual(['card_lost'])
    expect(findingOf(facts, 'card_lost')).toMatchObject({
      level: 'error',
      title: 'GPU0 (NVIDIA GeForce RTX 3090) is lost',
      detail: 'Unknown Error. Xid 79: the card has fallen off the bus, 2 h ago.',
      command: expect.stringContaining('nvidia-smi --gpu-reset -i 0'),
    })
  })
})

describe('a card that the driver cannot use', () => {
  it('since it gives no handle is told by where it is, which is all that is known of it', () => {
    const facts = cuda({ state: 'error', stateReason: 'Unknown Error', name: 'nvidia GPU' })
    expect(findingOf(facts, 'card_error')).toMatchObject({
      title: 'GPU0 (at 0000:01:00.0) does not answer its driver',
      detail: expect.stringContaining('nvidia-smi says: Unknown Error. Mostly'),
    })
  })

  it('is told with where to look', () => {
    const facts = cuda({ vendor: 'amd', state: 'error', stateReason: 'ring gfx timeout' })
    expect(findingOf(facts, 'card_error')).toMatchObject({
      detail: 'ring gfx timeout',
      command: "sudo dmesg | grep -iE 'amdgpu|kfd'",
    })
  })

  it('because no driver is bound is told to load it', () => {
    const stateReason = 'no driver is bound: load it by "modprobe amdgpu"'
    expect(findingOf(cuda({ vendor: 'amd', state: 'error', stateReason }), 'card_error').advice).toContain(
      'Load the driver',
    )
  })

  it('since a virtual machine has it is no fault', () => {
    const stateReason = 'the card is held for a virtual machine by vfio-pci: unbind it there to use it here'
    expect(findingOf(cuda({ state: 'error', stateReason }), 'card_of_a_guest').level).toBe('note')
  })

  it('is left out of the driver by an option, which is a note', () => {
    expect(findingOf(cuda({ state: 'excluded', stateReason: 'GPU excluded' }), 'card_excluded').level).toBe(
      'note',
    )
  })

  it('was not passed into the container', () => {
    const stateReason =
      '/dev/dri/renderD128 is missing: in a container pass "--device /dev/kfd --device /dev/dri"'
    const facts = {
      ...cuda({ vendor: 'amd', name: 'AMD Instinct MI210', state: 'no_permission', stateReason }),
      host: host({ container: 'Docker' }),
    }
    expect(findingOf(facts, 'container_without_gpu')).toMatchObject({
      title: 'The Docker container has not been given GPU0 (AMD Instinct MI210)',
      command: 'docker run --device /dev/kfd --device /dev/dri ...',
    })
  })
})

describe('cards that a variable hides', () => {
  const hidden = { state: 'hidden' as const, stateReason: 'CUDA_VISIBLE_DEVICES=0 hides it from Drover' }

  it('are a note, all of one variable together', () => {
    const facts = machine({
      devices: [
        card(),
        card({ ...second, ...hidden }),
        card({ ...second, ...hidden, id: 'GPU-c', uuid: 'GPU-c' }),
      ],
    })
    expect(findingOf(facts, 'card_hidden')).toMatchObject({
      level: 'note',
      title: 'CUDA_VISIBLE_DEVICES=0 hides GPU1 and GPU2',
      command: 'unset CUDA_VISIBLE_DEVICES',
    })
  })

  it('are a warning where none is left', () => {
    const facts = cuda(hidden)
    expect(findingOf(facts, 'card_hidden')).toMatchObject({
      level: 'warning',
      detail: expect.stringContaining('No GPU is left'),
    })
  })
})

describe('a card in MIG mode', () => {
  it('without instances does nothing, which is an error', () => {
    const found = findingOf(cuda({ partitioned: true }), 'mig_without_instances')
    expect(found.level).toBe('error')
    expect(found.command).toContain('nvidia-smi -i 0 -mig 0')
  })

  it('with instances is well', () => {
    const part = card({ id: 'MIG-1', uuid: 'MIG-1', kind: 'partition', parentId: card().id })
    const facts = machine({ devices: [card({ partitioned: true }), part] })
    expect(codesOf(facts)).toEqual([])
  })
})

describe('smaller things', () => {
  it('persistence that is off is told once for all cards, and not under WSL', () => {
    const off = { persistence: false }
    const devices = [card(off), card({ ...second, ...off })]
    const engine = machine().engines
    const facts = machine({ devices, ...(engine && { engines: twoCards(engine) }) })
    expect(codesOf(facts)).toEqual(['persistence_off'])
    expect(findingOf(facts, 'persistence_off')).toMatchObject({
      level: 'note',
      title: 'Persistence mode is off on GPU0 and GPU1',
      command: expect.stringContaining('sudo nvidia-smi -pm 1'),
    })
    expect(codesOf({ ...facts, host: host({ wsl: 2 }) })).not.toContain('persistence_off')
  })

  it('a card of before 2014 is too old for CUDA builds', () => {
    expect(findingOf(cuda({ computeCapability: '3.5' }), 'card_too_old').detail).toContain('3.5')
    expect(codesOf(cuda({ computeCapability: '12.0' }))).toEqual([])
  })
})

type Engines = NonNullable<ReturnType<typeof machine>['engines']>

function twoCards(engines: Engines): Engines {
  const [first, ...rest] = engines.listed
  const devices = ['CUDA0', 'CUDA1'].map((name) => ({
    name,
    description: 'NVIDIA GeForce RTX 3090',
    totalBytes: 1,
    freeBytes: 1,
  }))
  return { ...engines, listed: first ? [{ ...first, devices }, ...rest] : rest }
}
