import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DeviceReport } from '../../src/api/index.ts'
import type { BenchReport } from '../../src/cli/bench/measure-devices.ts'
import {
  descendants,
  getJson,
  isAlive,
  post,
  runDrover,
  startDrover,
  until,
  withoutSettings,
} from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'

const program = fileURLToPath(new URL('../../bin/drover.js', import.meta.url))

let home = ''
let scratch = ''
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-bench-'))
  scratch = join(home, 'tmp')
  await mkdir(scratch)
})
afterEach(() => rm(home, { recursive: true, force: true }))

const envOf = async (engine: (typeof bothEngines)[number], more: Record<string, string> = {}) => ({
  ...(await engineEnv(engine)),
  HOME: home,
  DROVER_HOME: home,
  TMPDIR: scratch,
  // Nobody listens there.
  OLLAMA_HOST: '127.0.0.1:9',
  ...more,
})

async function bench(env: Record<string, string>, ...args: string[]) {
  const { code, stdout, stderr } = await runDrover(
    ['bench', 'devices', '--quick', '--json', '--model-size', '4MB', ...args],
    env,
  )
  const report = JSON.parse(stdout) as BenchReport
  // Here, so that a device that could not be measured tells why.
  expect(report.failures, stderr).toEqual([])
  return { code, stderr, report }
}

const keptPath = () => join(home, 'device-measurements.json')
const kept = () => readFile(keptPath(), 'utf8')

/** What nothing else in the folder of temporary files is allowed to be. */
const left = async () => (await readdir(scratch)).filter((name) => name.startsWith('drover-'))

describe.each(bothEngines)('drover bench devices on the %s engine', (engine) => {
  it('measures each CPU device, keeps it, and says next time that it is kept', async () => {
    const env = await envOf(engine, { DROVER_DEVICES: 'cpu:0,cpu:1' })
    const first = await bench(env)
    expect(first.stderr).toContain('CPU0: parallel decode')
    expect(first.code).toBe(0)
    const devices = first.report.devices
    expect(devices.map(({ deviceId, cached }) => [deviceId, cached])).toEqual([
      ['cpu:0', false],
      ['cpu:1', false],
    ])
    for (const device of devices) {
      expect(device).toMatchObject({
        engine,
        parallelStreams: 8,
        deviceName: expect.stringMatching(/, 1 core$/),
      })
      // How much faster many are than one depends on who else works here; the order of magnitude does not.
      expect(device.prefillTokensPerSecond).toBeGreaterThan(device.decodeTokensPerSecond / 4)
      expect(device.decodeParallelTokensPerSecond).toBeGreaterThan(device.decodeTokensPerSecond / 4)
      const allRead = (device.decodeTokensPerSecond * device.modelBytes) / 1e9
      expect(device.bandwidthGBs / allRead).toBeGreaterThan(0.9)
      expect(device.bandwidthGBs / allRead).toBeLessThan(1)
      expect(device.loadMs).toBeGreaterThan(0)
    }

    const before = await kept()
    const second = await bench(env)
    expect(second.report.devices).toEqual(devices.map((device) => ({ ...device, cached: true })))
    expect(second.stderr).not.toContain('parallel decode')
    expect(await kept()).toBe(before)

    const third = await bench(env, '--force', '--device', 'cpu:1')
    expect(third.report.devices.map(({ label, cached }) => [label, cached])).toEqual([['CPU1', false]])
    expect(third.report.devices[0]?.measuredAt).not.toBe(devices[1]?.measuredAt)
    expect(JSON.parse(await kept()).measurements).toHaveLength(2)
    expect(await left()).toEqual([])
  })

  it('leaves no process and no file after Ctrl-C', async () => {
    const child = spawn(process.execPath, [program, 'bench', 'devices', '--model-size', '16MB'], {
      env: { ...withoutSettings(process.env), ...(await envOf(engine)) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        output += data
      })
    }
    await until('it measures', 60_000, () => output.includes('prefill'))
    const started = await descendants(child.pid ?? 0)
    expect(started.length).toBeGreaterThan(0)
    expect(await left()).not.toEqual([])
    child.kill('SIGINT')
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    expect(code).toBe(1)
    expect(output).toMatch(/^Error: interrupted; what was measured until then is kept$/m)
    await until('its processes are gone', 5_000, () => !started.some(isAlive))
    expect(await left()).toEqual([])
  })
})

describe('drover bench devices', () => {
  it('prints a table for people, and says what of its file and of a busy server they should know', async () => {
    const drover = await startDrover({ env: await engineEnv('embedded') })
    const env = await envOf('embedded', { DROVER_DEVICES: 'cpu:0', OLLAMA_HOST: drover.url })
    const ask = () => post(`${drover.url}/api/generate`, { model: 'drover', prompt: 'hello', stream: false })
    await ask()
    await writeFile(keptPath(), '{"version": 1, "meas')
    const { code, stdout, stderr } = await runDrover(
      ['bench', 'devices', '--quick', '--model-size', '4MB'],
      env,
    )
    const after = await ask().finally(() => drover.stop())
    expect([code, after.status]).toEqual([0, 200])
    expect(stderr).toMatch(/device-measurements\.json is not used/)
    expect(stderr).toMatch(/the server at .* has models loaded \(drover:latest\)/)
    expect(stdout).toContain(`the server at ${drover.url} had models loaded`)
    const [titles, row] = stdout.split('\n')
    expect(titles).toMatch(/^DEVICE +NAME +PREFILL +DECODE +DECODE x8 +BANDWIDTH +OF TABLE +LOAD +MEASURED/)
    expect(row).toMatch(
      /^CPU0 +.+, 1 core +[\d.]+ ±\d+% +[\d.]+ ±\d+% +[\d.]+ ±\d+% +[\d.]+ GB\/s +- +\d+\.\d\d s +now/,
    )
    expect(JSON.parse(await kept()).measurements).toHaveLength(1)
  })

  it('tells a server which device is faster: a model goes there first', async () => {
    const env = await envOf('embedded', { DROVER_DEVICES: 'cpu:0,cpu:1' })
    await bench(env, '--device', 'cpu:0')
    const { version, measurements } = JSON.parse(await kept())
    // As if measured with a model of telling size, and the second device were the faster.
    const told = [
      ['cpu:0', 5],
      ['cpu:1', 50],
    ].map(([deviceId, bandwidthGBs]) => ({ ...measurements[0], modelBytes: 128e6, deviceId, bandwidthGBs }))
    await writeFile(keptPath(), JSON.stringify({ version, measurements: told }))
    const { OLLAMA_HOST: _, TMPDIR: __, ...serverEnv } = env
    const drover = await startDrover({ env: serverEnv })
    try {
      await post(`${drover.url}/api/generate`, { model: 'drover', prompt: 'hello', stream: false })
      const { devices } = await getJson<DeviceReport>(`${drover.url}/api/devices`)
      expect(devices.map(({ id, instances }) => [id, instances.length])).toEqual([
        ['cpu:0', 0],
        ['cpu:1', 1],
      ])
    } finally {
      await drover.stop()
    }
  })

  it.each([
    [['--device', 'GPU-7'], /there is no device "GPU-7" to measure; there are: CPU0 \(cpu\)/],
    [['--model-size', 'huge'], /--model-size takes a size from 2MB to 64GB/],
    [['--engine', 'vllm'], /Allowed choices are auto, llama\.cpp, embedded/],
  ])('refuses %j with what to do', async (args, reason) => {
    const full = await envOf('embedded', { DROVER_DEVICES: 'cpu' })
    const { code, stdout, stderr } = await runDrover(['bench', 'devices', ...args], full)
    expect(code).not.toBe(0)
    expect(stdout + stderr).toMatch(reason)
    expect(await left()).toEqual([])
  })
})
