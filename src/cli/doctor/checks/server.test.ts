import { describe, expect, it } from 'vitest'
import type { ServerLook } from '../contract.ts'
import { card, codesOf, config, findingOf, machine } from '../testing.ts'

const gib = 2 ** 30
const look = (state: ServerLook['state'], isLocal = true): ServerLook => ({
  url: 'http://127.0.0.1:11434',
  isLocal,
  state,
  version: '0.12.3',
})
const report = { devices: [], links: [], problems: [] }

describe('the address of the server', () => {
  it('that Ollama has is a warning with both ways out', () => {
    const found = findingOf(machine({ server: look('ollama') }), 'port_taken_by_ollama')
    expect(found.level).toBe('warning')
    expect(found.command).toMatch(/systemctl disable --now ollama[\s\S]*OLLAMA_HOST=127.0.0.1:11435/)
  })

  it('that something else has is an error with how to find it', () => {
    expect(findingOf(machine({ server: look('other') }), 'port_taken')).toMatchObject({
      level: 'error',
      command: "ss -ltnp 'sport = :11434'",
    })
  })

  it('where nothing answers is told by whether somebody listens', () => {
    expect(codesOf(machine({ server: look('silent') }))).toEqual(['server_silent'])
    expect(codesOf(machine({ server: look('free') }))).toEqual([])
  })

  it('of another machine may have Ollama, and should have somebody', () => {
    expect(codesOf(machine({ server: look('ollama', false) }))).toEqual([])
    expect(codesOf(machine({ server: look('free', false) }))).toEqual(['server_unreachable'])
    expect(codesOf(machine({ server: look('silent', false) }))).toEqual(['server_unreachable'])
  })
})

describe('Ollama beside Drover', () => {
  const service = [{ pid: 901, command: '/usr/local/bin/ollama serve', parent: '/sbin/init' }]
  const running = { ...look('drover'), report }

  it('is a warning while both run', () => {
    const found = findingOf(machine({ server: running, ollamas: service }), 'ollama_beside_drover')
    expect(found).toMatchObject({ level: 'warning', detail: expect.stringContaining('process 901') })
    expect(codesOf(machine({ ollamas: service }))).toEqual([])
  })

  it('is as it should be where Ollama is the engine', () => {
    const own = [{ pid: 901, command: 'ollama serve', parent: 'node /opt/drover/bin/drover.js serve' }]
    expect(codesOf(machine({ server: running, ollamas: own }))).toEqual([])
    const configured = { config: config({ engine: 'ollama' }), warnings: [] }
    const facts = machine({ server: running, ollamas: service, config: configured })
    expect(codesOf(facts)).not.toContain('ollama_beside_drover')
  })
})

describe('memory of a card that other programs hold', () => {
  const holding = (name: string, memoryBytes: number, pid = 5) => ({
    pid,
    name,
    memoryBytes,
    kind: 'compute' as const,
  })
  const facts = (
    processes: ReturnType<typeof holding>[],
    instances: ReturnType<typeof card>['instances'] = [],
  ) => machine({ devices: [card({ sensors: { processes }, instances })] })

  it('is a note where it is much', () => {
    const found = findingOf(facts([holding('/usr/bin/python3', 10 * gib)]), 'memory_taken')
    expect(found).toMatchObject({
      level: 'note',
      title: 'Other programs hold 10 GiB of GPU0 (NVIDIA GeForce RTX 3090)',
      detail: 'python3 (5) 10 GiB of 24 GiB.',
    })
    expect(codesOf(facts([holding('/usr/bin/python3', gib)]))).toEqual([])
  })

  it('is told once for all cards', () => {
    const devices = ['a', 'b'].map((id, index) =>
      card({ id, uuid: id, index, sensors: { processes: [holding('/usr/bin/python3', 10 * gib, index)] } }),
    )
    expect(findingOf(machine({ devices }), 'memory_taken')).toMatchObject({
      title: 'Other programs hold 20 GiB of GPU0 and GPU1',
      detail: 'GPU0: python3 (0) 10 GiB of 24 GiB; GPU1: python3 (1) 10 GiB of 24 GiB.',
    })
  })

  it('has a word of its own where it is Ollama', () => {
    const found = findingOf(facts([holding('/usr/local/lib/ollama/llama-server', 8 * gib)]), 'memory_taken')
    expect(found.advice).toContain('Ollama keeps models loaded')
  })

  it("does not count Drover's own instances", () => {
    const own = {
      instance: 1,
      model: 'm',
      engine: 'llama.cpp',
      pid: 5,
      state: 'ready',
      slots: 1,
      running: 0,
      bytes: 1,
    } as const
    expect(codesOf(facts([holding('/usr/bin/llama-server', 10 * gib)], [own]))).toEqual([])
  })
})
