import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceReport } from '../../src/api/index.ts'
import { descendants, getJson, post, startDrover, type TestDrover, until } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'

/** Processes of the instances that take requests. */
async function pidsOf(drover: TestDrover): Promise<number[]> {
  const { devices } = await getJson<DeviceReport>(`${drover.url}/api/devices`)
  const ready = devices.flatMap(({ instances }) => instances.filter(({ state }) => state === 'ready'))
  return [...new Set(ready.map(({ pid }) => pid))]
}

/** The cores that the kernel lets each of them run on. */
async function pinsOf(drover: TestDrover): Promise<string[]> {
  const pids = await pidsOf(drover)
  const status = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8')))
  return status.map((text) => /^Cpus_allowed_list:\s*(\S+)/m.exec(text)?.[1] ?? '').sort()
}

describe.each(bothEngines)('two CPU devices on the %s engine', (engine) => {
  let drover: TestDrover
  beforeAll(async () => {
    drover = await startDrover({
      env: { ...(await engineEnv(engine)), DROVER_DEVICES: 'cpu:0,cpu:1', OLLAMA_NUM_PARALLEL: '1' },
    })
  })
  afterAll(() => drover.stop())

  const ask = (more: object = {}) =>
    post(`${drover.url}/api/generate`, {
      model: 'drover',
      prompt: 'What is the capital of France?',
      stream: false,
      ...more,
    })

  it('hold one instance each, on their own cores, once there is load for two', async () => {
    expect((await ask()).status).toBe(200)
    expect(await pinsOf(drover)).toHaveLength(1)
    await until('there are two', 20_000, async () => {
      const answers = await Promise.all([ask(), ask(), ask(), ask()])
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      return (await pidsOf(drover)).length === 2
    })
    expect(await pinsOf(drover)).toEqual(['0', '1'])
  })

  it('are told with their memory shares, their health and what runs on them', async () => {
    const { devices } = await getJson<DeviceReport>(`${drover.url}/api/devices`)
    expect(devices.map(({ id }) => id)).toEqual(['cpu:0', 'cpu:1'])
    for (const device of devices) {
      expect(device.health.state).toBe('healthy')
      expect(device.instances.map(({ model }) => model)).toEqual(['drover:latest'])
      expect(device.memoryTotalBytes).toBeGreaterThan(2 ** 27)
    }
  })

  it('restart a model one instance after the other, and no request fails meanwhile', async () => {
    const before = await pidsOf(drover)
    let over = false
    const statuses: number[] = []
    const load = Array.from({ length: 3 }, async () => {
      while (!over) statuses.push((await ask()).status)
    })
    const { text } = await post(`${drover.url}/api/restart`, { model: 'drover' })
    expect(JSON.parse(text)).toEqual({ model: 'drover', instances: 2 })
    await until('both are new', 30_000, async () => {
      const now = await pidsOf(drover)
      return now.length >= 1 && now.every((pid) => !before.includes(pid))
    })
    over = true
    await Promise.all(load)
    expect(statuses.length).toBeGreaterThan(3)
    expect(new Set(statuses)).toEqual(new Set([200]))
  })

  it('are both left by a model that is unloaded', async () => {
    await post(`${drover.url}/api/generate`, { model: 'drover', keep_alive: 0 })
    await until('nothing runs', 10_000, async () => (await pidsOf(drover)).length === 0)
  })
})

describe('settings of single devices', () => {
  let home: string
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'drover-devices-'))
  })
  afterAll(() => rm(home, { recursive: true }))

  it('keep other models off a device, and a device out of use', async () => {
    const config = join(home, 'pins.yaml')
    await writeFile(
      config,
      [
        'devices:',
        '  - cpu: "0"',
        '    models: [other]',
        '  - cpu: "1"',
        'gpu_instances:',
        '  "cpu:1": {max_concurrent_requests: 1, port: 0}',
      ].join('\n'),
    )
    const refused = await startDrover({ args: ['--config', config] }).then(
      (drover) => drover.stop(),
      (error: Error) => error.message,
    )
    expect(refused).toMatch(/gpu_?[iI]nstances.*port/s)
    await writeFile(
      config,
      'devices: [{cpu: "0", models: [other]}, {cpu: "1"}]\ngpu_instances: {"cpu:1": {max_concurrent_requests: 1}}\n',
    )
    const drover = await startDrover({ args: ['--config', config], env: await engineEnv('llama.cpp') })
    try {
      const body = { model: 'drover', prompt: 'hello', stream: false, options: { num_predict: 20 } }
      await Promise.all([1, 2, 3].map(() => post(`${drover.url}/api/generate`, body)))
      expect(await pinsOf(drover)).toEqual(['1'])
    } finally {
      await drover.stop()
    }
  })

  it('refuse cores that the machine does not have, by name', async () => {
    await expect(startDrover({ env: { DROVER_DEVICES: 'cpu:4000' } })).rejects.toThrow(
      /cpu:4000 names cores that are not there/,
    )
  })

  it('put an engine on the port that is set, or on the next when that is taken', async () => {
    const drover = await startDrover({
      env: {
        ...(await engineEnv('llama.cpp')),
        DROVER_DEVICES: 'cpu:0,cpu:1',
        OLLAMA_NUM_PARALLEL: '1',
        DROVER_GPU_INSTANCES: '{"cpu:0": {port: 21435}, "cpu:1": {port: 21435}}',
      },
    })
    try {
      const body = { model: 'drover', prompt: 'hello', stream: false, options: { num_predict: 60 } }
      const answers = await Promise.all([1, 2, 3, 4].map(() => post(`${drover.url}/api/generate`, body)))
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      const lines = await Promise.all(
        (await descendants(drover.pid)).map((pid) =>
          readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        ),
      )
      const ports = lines.flatMap((line) => /--port\0(\d+)/.exec(line)?.[1] ?? [])
      expect(new Set(ports)).toEqual(new Set(['21435', '21436']))
    } finally {
      await drover.stop()
    }
  })
})
