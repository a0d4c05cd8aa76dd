import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countLevels, diagnose } from './checks.ts'
import { card, codesOf, cpuDevice, drivers, engines, findingOf, host, machine } from './testing.ts'

describe('a machine on which all is well', () => {
  it('has nothing to mend, and is told what is well', () => {
    const findings = diagnose(machine())
    expect(countLevels(findings)).toMatchObject({ error: 0, warning: 0, note: 0 })
    expect(findings.map(({ code }) => code)).toEqual([
      'card_well',
      'engine_well',
      'models_well',
      'server_well',
      'memory_well',
      'cpu_well',
    ])
  })

  it('without a GPU has a friendly word on that, and no fault', () => {
    const facts = machine({
      devices: [cpuDevice()],
      drivers: { files: [], hasDxg: false },
      engines: engines({
        listed: [{ name: 'embedded', available: true, version: 'b1', path: '/opt/embedded', devices: [] }],
        servers: [],
      }),
    })
    expect(codesOf(facts)).toEqual(['no_gpu'])
    expect(findingOf(facts, 'no_gpu')).toMatchObject({
      level: 'note',
      command: expect.stringMatching('lspci'),
    })
    expect(findingOf(facts, 'engine_well').title).toContain('embedded b1 is ready')
  })
})

describe('what is told', () => {
  it('comes with the worst first, and every warning and error with advice', () => {
    const facts = machine({
      devices: [card({ state: 'lost', stateReason: 'GPU is lost', persistence: false }), cpuDevice()],
      host: host({ openFiles: 256 }),
      late: ['the engines'],
    })
    const findings = diagnose(facts)
    const levels = findings.map(({ level }) => level)
    const gravity = ['error', 'warning', 'note', 'ok']
    expect(levels).toEqual(levels.toSorted((a, b) => gravity.indexOf(a) - gravity.indexOf(b)))
    expect(levels[0]).toBe('error')
    for (const { level, advice } of findings) {
      if (level === 'error' || level === 'warning') expect(advice).toBeTruthy()
    }
  })

  it('spares root the sudo', () => {
    const lost = { devices: [card({ state: 'lost' })] }
    expect(findingOf(machine(lost), 'card_lost').command).toContain('sudo nvidia-smi --gpu-reset -i 0')
    const root = { name: 'root', isRoot: true, groups: ['root'], enteredIn: [] }
    const facts = machine({ ...lost, host: host({ user: root }) })
    expect(findingOf(facts, 'card_lost').command).not.toContain('sudo')
  })

  it('concludes nothing from what could not be looked at', () => {
    const bare = { nowMs: 0, devices: [cpuDevice()], problems: [], late: [] }
    expect(codesOf(bare)).toEqual(['no_gpu'])
    expect(codesOf({ ...bare, late: ['the devices'] })).toEqual(['no_answer'])
  })

  it('is told whatever the probes say and however the cards are', () => {
    const device = fc.record({
      state: fc.constantFrom('ok', 'lost', 'error', 'no_permission', 'hidden', 'excluded'),
      vendor: fc.constantFrom('nvidia', 'amd', 'intel', 'apple', 'other'),
      stateReason: fc.string(),
      kind: fc.constantFrom('discrete', 'integrated', 'partition'),
      partitioned: fc.boolean(),
      persistence: fc.boolean(),
      numaNode: fc.nat(9),
    })
    fc.assert(
      fc.property(
        fc.array(device),
        fc.array(fc.string()),
        fc.constantFrom(undefined, 'Docker'),
        (found, problems, container) => {
          const devices = found.map((one, at) => card({ ...(one as object), id: `GPU-${at}`, index: at }))
          const facts = machine({
            devices,
            problems,
            drivers: drivers(),
            host: host({ ...(container !== undefined && { container }) }),
          })
          for (const { title, level, advice } of diagnose(facts)) {
            expect(title).toBeTruthy()
            expect(level === 'ok' || level === 'note' || advice).toBeTruthy()
          }
        },
      ),
    )
  })
})
