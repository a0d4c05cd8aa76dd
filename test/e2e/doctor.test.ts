import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DeviceReport } from '../../src/api/index.ts'
import { isAlive, runDrover, startDrover, until } from '../support/drover.ts'
import { createFakeHost, eightCards, sickCard, story } from '../support/fake-nvidia-smi/index.ts'
import { freePort } from '../support/free-port.ts'

interface Report {
  ok: boolean
  errors: number
  warnings: number
  notes: number
  findings: {
    code: string
    level: string
    title: string
    detail: string
    advice?: string
    command?: string
  }[]
}

let home: string
let env: Record<string, string>
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-doctor-'))
})
beforeEach(async () => {
  env = {
    HOME: home,
    DROVER_HOME: join(home, 'drover'),
    OLLAMA_MODELS: join(home, 'models'),
    OLLAMA_HOST: `127.0.0.1:${await freePort()}`,
  }
})
afterAll(() => rm(home, { recursive: true }))

/** Both forms of what the doctor says, which must agree. */
async function examine(changes: Record<string, string> = {}, args: string[] = []) {
  const told = await runDrover(['doctor', ...args], { ...env, ...changes })
  const json = await runDrover(['doctor', '--json', ...args], { ...env, ...changes })
  const report = JSON.parse(json.stdout) as Report
  expect([told.stderr, json.stderr]).toEqual(['', ''])
  expect(told.code).toBe(report.errors > 0 ? 1 : 0)
  expect(json.code).toBe(told.code)
  // Free memory is not the same twice.
  const plain = (text: string) => text.replace(/\s+/g, ' ').replace(/[\d.]+ [GM]iB/g, 'SIZE')
  for (const { title } of report.findings) expect(plain(told.stdout)).toContain(plain(title))
  return { report, text: told.stdout, code: told.code, codes: report.findings.map(({ code }) => code) }
}

/** A folder for PATH in which `nvidia-smi` is this script. */
async function withSmi(name: string, script: string): Promise<Record<string, string>> {
  const bin = join(home, name)
  await mkdir(bin)
  await writeFile(join(bin, 'nvidia-smi'), `#!/bin/sh\n${script}\n`)
  await chmod(join(bin, 'nvidia-smi'), 0o755)
  return { PATH: `${bin}:${process.env['PATH']}` }
}

describe('this machine', () => {
  it('is examined within seconds, and summed up in the last line', async () => {
    const startedMs = performance.now()
    const { text, report, codes } = await examine()
    expect(performance.now() - startedMs).toBeLessThan(14_000)
    const { errors, warnings } = report
    const last = text.trimEnd().split('\n').at(-1)
    expect(last).toMatch(
      errors + warnings === 0 ? /^All well/ : /^(\d+ errors?)?(, )?(\d+ warnings?)?( \(|$)/,
    )
    const { devices } = JSON.parse((await runDrover(['gpus', '--json'], env)).stdout) as DeviceReport
    expect(codes.includes('no_gpu')).toBe(devices.every(({ kind }) => kind === 'cpu'))
    expect(codes).toContain('server_well')
  })

  it('with a running Drover is told so', async () => {
    const drover = await startDrover({ demo: false })
    try {
      const { text } = await examine({ OLLAMA_HOST: drover.url })
      expect(text).toContain(`Drover answers at ${drover.url}`)
    } finally {
      await drover.stop()
    }
  })

  it('with a configuration that cannot be used is told what is wrong in it', async () => {
    const { code, report } = await examine({ DROVER_ENGINE: 'steam' })
    expect(code).toBe(1)
    expect(report.findings[0]).toMatchObject({
      code: 'configuration_refused',
      detail: expect.stringContaining('DROVER_ENGINE: "steam" is not allowed'),
    })
  })

  it('with slips in the environment is told of each', async () => {
    const { report } = await examine({ DROVER_DEVICE: 'gpus', DROVER_DEVICES: 'GPU-nobodys' })
    const of = (code: string) => report.findings.find((finding) => finding.code === code)
    expect(of('unknown_variable')?.title).toContain('DROVER_DEVICE is set')
    expect(of('configured_device_missing')).toMatchObject({
      level: 'error',
      title: 'The configuration names a GPU "GPU-nobodys", and there is none',
    })
  })
})

describe('a driver of another version than its library', () => {
  it('is the first thing that is told, with how to mend it', async () => {
    const words = 'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95'
    const smi = await withSmi('mismatch', `echo '${words}'\nexit 18`)
    const { code, text, report } = await examine(smi)
    expect(code).toBe(1)
    expect(report.findings[0]).toMatchObject({
      code: 'nvidia_library_mismatch',
      detail: expect.stringContaining('580.95'),
      advice: expect.stringContaining('Reboot'),
    })
    expect(text).toMatch(/^ERROR {4}NVIDIA's driver and its library have different versions\n/)
    expect(text.trimEnd().split('\n').at(-1)).toMatch(/^\d+ errors?/)
  })
})

describe('a host of eight cards', () => {
  let folder: string
  let host: ReturnType<typeof createFakeHost>
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drover-doctor-eight-'))
    host = createFakeHost(folder)
  })
  afterAll(() => rm(folder, { recursive: true }))
  const smi = () => ({ PATH: `${host.bin}:${process.env['PATH']}` })

  it('that are well wants only an engine that computes on them', async () => {
    const blind = await llamaServer('blind', [])
    const { codes, report } = await examine({ ...smi(), DROVER_LLAMA_SERVER: blind })
    expect(codes[0]).toBe('engine_without_backend')
    expect(report.errors).toBe(1)
    expect(report.findings[0]?.title).toBe(
      'The engine llama.cpp does not compute on GPU0, GPU1, GPU2 and 5 more',
    )
    const seeing = await llamaServer('seeing', eightCards())
    const mended = await examine({ ...smi(), DROVER_LLAMA_SERVER: seeing })
    expect(mended.report).toMatchObject({ ok: true, errors: 0 })
    expect(mended.text).toContain('8 GPUs are well: NVIDIA RTX A6000')
  })

  it('of which one gets hot and throttles is warned of that one', async () => {
    host.at(story.throttles)
    const { report } = await examine(smi())
    const warned = report.findings.filter(({ code }) => ['hot', 'throttled'].includes(code))
    expect(warned.map(({ level }) => level)).toEqual(['warning', 'warning'])
    for (const { title } of warned) expect(title).toContain(`GPU${sickCard} (NVIDIA RTX A6000)`)
  })

  it('of which one is gone names it, and how to get it back', async () => {
    host.at(story.vanishes)
    const { report, code } = await examine(smi())
    expect(code).toBe(1)
    expect(report.findings[0]).toMatchObject({
      code: 'card_error',
      title: `GPU${sickCard} (at 0000:4b:00.0) does not answer its driver`,
      detail: expect.stringContaining('Unknown Error'),
      command: expect.stringContaining('nvidia-smi --gpu-reset -i 0000:4b:00.0'),
    })
    expect(
      report.findings.filter(({ code }) => code.startsWith('card_') && code !== 'card_well'),
    ).toHaveLength(1)
  })

  it('are read from a recorded output as well', async () => {
    host.at(story.throttles)
    const recorded = join(folder, 'query.xml')
    await writeFile(recorded, await readFile(join(folder, 'state/query.xml')))
    const { report, codes } = await examine({}, ['--from', recorded])
    expect(codes).toContain('throttled')
    // Nothing of this machine is among it.
    expect(codes.filter((code) => /engine|server|memory|cpu|models/.test(code))).toEqual([])
    expect(report.errors).toBe(0)
    await writeFile(join(folder, 'poem.txt'), 'Roses are red\n')
    const poem = await examine({}, ['--from', join(folder, 'poem.txt')])
    expect(poem.codes).toEqual(['not_read'])
  })

  it('whose tool and engine hang are told so in good time, and nothing is left behind', async () => {
    host.hang(true)
    const hanging = join(home, 'hanging-server')
    await writeFile(hanging, `#!/bin/sh\necho $$ >> ${hanging}.pids\nexec sleep 600\n`)
    await chmod(hanging, 0o755)
    const startedMs = performance.now()
    const { stdout, code } = await runDrover(['doctor'], { ...env, ...smi(), DROVER_LLAMA_SERVER: hanging })
    host.hang(false)
    // About 5 s on a machine that does nothing else; the engine would hold it for 15.
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(stdout).toContain('nvidia-smi does not answer')
    expect(stdout).toContain('No answer in time from the engines')
    expect(code).toBe(1)
    const pids = (await readFile(`${hanging}.pids`, 'utf8')).trim().split('\n').map(Number)
    expect(pids.length).toBeGreaterThan(0)
    await until('they are gone', 2000, () => !pids.some(isAlive))
  })
})

/** A program that says of itself what a `llama-server` with these cards says. */
async function llamaServer(name: string, cards: readonly { index: number }[]): Promise<string> {
  const path = join(home, `llama-server-${name}`)
  const list = cards.map(({ index }) => `echo '  CUDA${index}: NVIDIA RTX A6000 (48513 MiB, 27000 MiB free)'`)
  const lines = [
    '#!/bin/sh',
    'case $1 in',
    '  --version) echo "version: 6000 (abcdef0)" ;;',
    '  --help) printf -- "--host HOST  ip address\\n--list-devices  print the devices\\n" ;;',
    `  --list-devices) echo 'Available devices:'; ${list.join('; ') || ':'} ;;`,
    'esac',
  ]
  await writeFile(path, `${lines.join('\n')}\n`)
  await chmod(path, 0o755)
  return path
}
