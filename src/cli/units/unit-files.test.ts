import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { installLines } from './install-lines.ts'
import { writeFiles } from './surroundings.ts'
import { type UnitPlan, unitsFor } from './unit-files.ts'

const folder = await mkdtemp(join(tmpdir(), 'drover-units-'))
afterAll(() => rm(folder, { recursive: true }))

const plan: UnitPlan = {
  engine: 'drover',
  devices: [],
  user: 'sheep',
  homeDir: '/home/sheep',
  modelsDir: '/home/sheep/.ollama/models',
  nodePath: process.execPath,
  droverPath: '/opt/drover/bin/drover.js',
  ollamaPath: '/bin/true',
  groups: ['video', 'render'],
  firstPort: 11_435,
}
const nvidia = { id: 'GPU-1', vendor: 'nvidia', uuid: 'GPU-aaaaaaaa-0000-0000-0000-000000000001' } as const
const amd = { id: 'pci:0000:03:00.0', vendor: 'amd', uuid: '0x00c0ffee00c0ffee' } as const
const intel = { id: 'pci:0000:04:00.0', vendor: 'intel', index: 1 } as const
const other = { id: 'vulkan-2', vendor: 'other', index: 2 } as const
const all = [nvidia, amd, intel, other]

describe('one service for all', () => {
  const { files, services, urls, folders } = unitsFor(plan)
  const text = files[0]?.text ?? ''

  it('runs Drover by absolute paths, as its user, for ever', () => {
    expect(files.map(({ path }) => path)).toEqual(['drover.service'])
    expect([services, urls]).toEqual([['drover.service'], ['http://127.0.0.1:11434']])
    expect(text).toContain(`\nExecStart=${process.execPath} /opt/drover/bin/drover.js serve\n`)
    for (const line of [
      'User=sheep',
      'SupplementaryGroups=video render',
      'Environment="OLLAMA_HOST=127.0.0.1:11434"',
      'Environment="OLLAMA_MODELS=/home/sheep/.ollama/models"',
      'After=network-online.target',
      'Restart=always',
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
    ]) {
      expect(text.split('\n')).toContain(line)
    }
  })

  it('may write where it keeps things, and its devices stay open to it', () => {
    expect(folders).toEqual(['/home/sheep/.drover', '/home/sheep/.ollama'])
    expect(text).toContain('\nReadWritePaths=/home/sheep/.drover /home/sheep/.ollama\n')
    expect(text).not.toMatch(
      /^(PrivateDevices|DeviceAllow|DevicePolicy|ProtectClock|MemoryDenyWriteExecute)=/m,
    )
    expect(unitsFor({ ...plan, modelsDir: '/data/models' }).folders).toContain('/data/models')
  })

  it('has Ollamas as its engine where that is asked for', () => {
    const [unit] = unitsFor({ ...plan, engine: 'ollama' }).files
    expect(unit?.text).toContain(
      'Environment="DROVER_ENGINE=ollama"\nEnvironment="DROVER_OLLAMA_PROGRAM=/bin/true"',
    )
  })
})

describe('a service for each GPU', () => {
  it('of Drover is an instance of one template, with what it sees beside it', () => {
    const { files, services, urls } = unitsFor({ ...plan, devices: [nvidia, amd] })
    expect(files.map(({ path }) => path)).toEqual([
      'drover-gpu@.service',
      'drover-gpu@0.service.d/device.conf',
      'drover-gpu@1.service.d/device.conf',
    ])
    expect(services).toEqual(['drover-gpu@0.service', 'drover-gpu@1.service'])
    expect(urls).toEqual(['http://127.0.0.1:11435', 'http://127.0.0.1:11436'])
    expect(files[0]?.text).toContain('Description=Drover on GPU %i\n')
    expect(files[0]?.text).not.toContain('OLLAMA_HOST')
    expect(files[1]?.text).toContain(`"CUDA_VISIBLE_DEVICES=${nvidia.uuid}"`)
    expect(files[2]?.text).toContain('"OLLAMA_HOST=127.0.0.1:11436"')
  })

  it('of Ollama shows each the one device, by the variable of its vendor, and hides the others', () => {
    const { files } = unitsFor({ ...plan, engine: 'ollama', devices: all })
    const names = [
      'CUDA_VISIBLE_DEVICES',
      'ROCR_VISIBLE_DEVICES',
      'ONEAPI_DEVICE_SELECTOR',
      'GGML_VK_VISIBLE_DEVICES',
    ]
    const seen = files.map(({ text }) => names.map((name) => new RegExp(`"${name}=(.*)"`).exec(text)?.[1]))
    expect(seen).toEqual([
      [nvidia.uuid, '-1', '!level_zero:*', '-1'],
      ['-1', 'GPU-00c0ffee00c0ffee', '!level_zero:*', '-1'],
      ['-1', '-1', 'level_zero:1', '-1'],
      ['-1', '-1', '!level_zero:*', '2'],
    ])
    // HIP reads CUDA's variable where it has none of its own.
    expect(files.map(({ text }) => text.includes('"HIP_VISIBLE_DEVICES=0"'))).toEqual([
      false,
      true,
      false,
      false,
    ])
    expect(files.map(({ path }) => path)).toEqual([0, 1, 2, 3].map((number) => `ollama-gpu${number}.service`))
    expect(files[3]?.text).toContain('\nExecStart=/bin/true serve\n')
  })

  it('of Ollama cannot be without Ollama', () => {
    const { ollamaPath: _none, ...without } = plan
    expect(() => unitsFor({ ...without, engine: 'ollama', devices: [nvidia] })).toThrow(
      'no ollama is on the PATH',
    )
  })
})

describe('what is written into a unit', () => {
  it('is quoted, and no specifier or variable of systemd', () => {
    const [unit] = unitsFor({
      ...plan,
      droverPath: '/opt/my $drover/100%/"x".js',
      modelsDir: '/data/50% "of"\\it',
    }).files
    expect(unit?.text).toContain('"/opt/my $$drover/100%%/\\"x\\".js" serve')
    expect(unit?.text).toContain('Environment="OLLAMA_MODELS=/data/50%% \\"of\\"\\\\it"')
  })
})

describe('the lines that install', () => {
  it('copy, reload and enable, after the user and folders are there', () => {
    const units = unitsFor({ ...plan, devices: [nvidia, amd] })
    expect(installLines(units, { ...plan, userExists: false }, 'my units')).toEqual([
      'sudo useradd --system --create-home --home-dir /home/sheep --shell /usr/sbin/nologin sheep',
      'sudo install -d -o sheep /home/sheep/.drover /home/sheep/.ollama',
      "sudo cp -r 'my units/drover-gpu@.service' 'my units/drover-gpu@0.service.d' 'my units/drover-gpu@1.service.d' " +
        '/etc/systemd/system/ && sudo systemctl daemon-reload && sudo systemctl enable --now drover-gpu@0.service ' +
        'drover-gpu@1.service',
    ])
    expect(installLines(units, { ...plan, userExists: true }, '.')).toHaveLength(2)
  })
})

describe('systemd-analyze verify', () => {
  it('has nothing to say of any unit, where it is there', async () => {
    const analyze = promisify(execFile)
    const there = await analyze('systemd-analyze', ['--version']).then(
      () => true,
      () => false,
    )
    if (!there) return console.info('systemd-analyze is not on this machine: the units were not verified')
    const plans: UnitPlan[] = [
      plan,
      { ...plan, engine: 'ollama', nvidiaModprobePath: '/bin/true' },
      { ...plan, devices: all },
      { ...plan, engine: 'ollama', devices: all },
      { ...plan, modelsDir: '/data/50% "of" it' },
    ]
    for (const [number, one] of plans.entries()) {
      const units = unitsFor(one)
      const place = join(folder, String(number))
      await writeFiles(place, units.files)
      const paths = units.services.map((name) => join(place, name))
      // An instance of a template is verified under its own name.
      for (const path of paths) {
        if (path.includes('@')) await writeFile(path, units.files[0]?.text ?? '')
      }
      const { stdout, stderr } = await analyze('systemd-analyze', ['verify', '--man=no', ...paths])
      expect(stdout + stderr).toBe('')
    }
    // It would tell: a setting with a value that it does not know.
    const wrong = join(folder, 'wrong.service')
    await writeFile(
      wrong,
      (unitsFor(plan).files[0]?.text ?? '').replace('Restart=always', 'Restart=sometimes'),
    )
    const said = await analyze('systemd-analyze', ['verify', '--man=no', wrong]).catch(
      (error: unknown) => error,
    )
    expect(String((said as { stderr?: string }).stderr)).toContain('restart specifier')
  })
})
