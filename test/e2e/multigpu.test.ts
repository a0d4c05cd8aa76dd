import { spawn } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { DeviceReport, LaidOutInstance, Move } from '../../src/api/index.ts'
import type { BenchmarkReport } from '../../src/cli/benchmark/contract.ts'
import type { Examination } from '../../src/cli/migrate-models/examine.ts'
import {
  getJson,
  ndjson,
  post,
  runDrover,
  startDrover,
  type TestDrover,
  until,
  withoutSettings,
} from '../support/drover.ts'
import { engineEnv } from '../support/engines.ts'

const program = fileURLToPath(new URL('../../bin/drover.js', import.meta.url))

const ask = {
  model: 'drover',
  prompt: 'What is the capital of France?',
  stream: false,
  options: { seed: 1, temperature: 0 },
}

let home = ''
let configPath = ''
let drover: TestDrover
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-multigpu-'))
  configPath = join(home, 'drover.yaml')
  await writeFile(configPath, '# of the lab\nkeep_alive: 10m\n')
  drover = await startDrover({
    args: ['--config', configPath],
    env: { ...(await engineEnv('llama.cpp')), DROVER_DEVICES: 'cpu:0,cpu:1', OLLAMA_NUM_PARALLEL: '2' },
  })
}, 60_000)
afterAll(async () => {
  await drover.stop()
  await rm(home, { recursive: true, force: true })
})

const url = (name: string) => `${drover.url}/api/multigpu/${name}`
const status = () =>
  getJson<{ instances: LaidOutInstance[]; moves: Move[]; enabled: boolean; strategy: string }>(url('status'))
const put = async (body: unknown) => {
  const response = await fetch(url('config'), { method: 'PUT', body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}
const devicesOf = ({ parts }: LaidOutInstance) => parts.map(({ deviceId }) => deviceId)

describe('two CPU devices through the port', () => {
  it('are told with their links, and nothing runs yet', async () => {
    const { devices } = await getJson<{ devices: { id: string; label: string }[] }>(url('topology'))
    expect(devices.map(({ id, label }) => [id, label])).toEqual([
      ['cpu:0', 'CPU0'],
      ['cpu:1', 'CPU1'],
    ])
    expect(await status()).toMatchObject({ enabled: true, strategy: 'auto', instances: [], moves: [] })
  })

  it('answer a request where it wants to be answered, which its header tells', async () => {
    const wish = { strategy: 'single', gpu_selection: [1], performance_profile: 'latency' }
    const { status: code, headers } = await post(`${drover.url}/api/generate`, { ...ask, multi_gpu: wish })
    expect(code).toBe(200)
    expect(headers.get('x-drover-multi-gpu')).toBe('strategy=single; gpus=cpu:1; profile=latency')
    expect(headers.get('x-drover-instance')).toMatch(/^#\d+ cpu:1$/)
    expect(headers.get('x-drover-route')).toContain('predicted_finish')
    const { instances } = await status()
    expect(instances).toHaveLength(1)
    expect(instances[0]).toMatchObject({ model: 'drover:latest', state: 'ready', strategy: 'single' })
    expect(instances.map(devicesOf)).toEqual([['cpu:1']])
    expect(instances[0]?.parts[0]?.bytes).toBeGreaterThan(1e6)
    const { models } = await getJson<{ models: unknown[] }>(url('models'))
    expect(models).toMatchObject([{ model: 'drover:latest', running: 1, devices: ['cpu:1'] }])
  })

  it('tell what they did in the last minute', async () => {
    await post(`${drover.url}/v1/chat/completions`, {
      model: 'drover',
      messages: [{ role: 'user', content: 'hello' }],
    })
    const found = await getJson<{
      windowSeconds: number
      throughput: { outputTokensPerSecond: number; requestsPerSecond: number }
      latency: { ttftMs: { p50: number } }
      devices: { id: string; memory: { modelsBytes: number } }[]
    }>(url('performance'))
    expect(found.throughput.requestsPerSecond * found.windowSeconds).toBeCloseTo(2)
    expect(found.throughput.outputTokensPerSecond).toBeGreaterThan(0)
    expect(found.latency.ttftMs.p50).toBeGreaterThan(0)
    expect(found.devices.map(({ id, memory }) => [id, memory.modelsBytes > 0])).toEqual([
      ['cpu:0', false],
      ['cpu:1', true],
    ])
  })

  it('migrate a model while it answers: no answer fails or changes', async () => {
    const expected = JSON.parse((await post(`${drover.url}/api/generate`, ask)).text).response
    const dry = await post(url('migrate'), JSON.stringify({ model: 'drover', to: [0], dry_run: true }))
    expect(JSON.parse(dry.text)).toMatchObject({ dryRun: true, moves: [{ to: ['cpu:0'], state: 'planned' }] })
    expect((await status()).instances.map(devicesOf)).toEqual([['cpu:1']])
    let over = false
    const answers: string[] = []
    const asking = Array.from({ length: 4 }, async () => {
      while (!over) {
        const { status: code, text } = await post(`${drover.url}/api/generate`, { ...ask, stream: true })
        const parts = ndjson<{ response?: string; error?: string }>(text)
        answers.push(
          code === 200 ? parts.map(({ response, error }) => error ?? response).join('') : `status ${code}`,
        )
      }
    })
    const moved = await post(url('migrate'), JSON.stringify({ model: 'drover', to: ['cpu:0'] }))
    expect(moved.status, moved.text).toBe(200)
    await until('it lies on the other device only', 30_000, async () => {
      const { instances } = await status()
      return instances.length === 1 && devicesOf(instances[0] as LaidOutInstance).join() === 'cpu:0'
    })
    over = true
    await Promise.all(asking)
    expect(answers.length).toBeGreaterThan(8)
    expect(new Set(answers)).toEqual(new Set([expected]))
    expect((await status()).moves[0]).toMatchObject({ model: 'drover:latest', to: ['cpu:0'], state: 'done' })
  })

  it.each(['status', 'topology', 'performance', 'models', 'config'])(
    'tell %s as the document says',
    async (name) => {
      type Document = {
        paths: Record<
          string,
          { get: { responses: { 200: { content: Record<string, { schema: object }> } } } }
        >
      }
      const { paths } = await getJson<Document>(`${drover.url}/openapi.json`)
      const schema = paths[`/api/multigpu/${name}`]?.get.responses[200].content['application/json']?.schema
      expect(
        z
          .fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])
          .safeParse(await getJson(url(name))),
      ).toMatchObject({
        success: true,
      })
    },
  )

  it('take a migration back', async () => {
    expect((await post(url('undo'), {})).status).toBe(200)
    await until('it lies where it was', 30_000, async () => {
      const { instances } = await status()
      return instances.length === 1 && devicesOf(instances[0] as LaidOutInstance).join() === 'cpu:1'
    })
  })

  it('say what a rebalance would do, and do nothing in a dry run', async () => {
    const before = (await status()).instances.map(({ instance }) => instance)
    const { status: code, text } = await post(url('rebalance'), { dry_run: true })
    expect([code, JSON.parse(text).dryRun]).toEqual([200, true])
    expect((await status()).instances.map(({ instance }) => instance)).toEqual(before)
  })

  it.each([
    [{ model: 'nobody', to: [0] }, 404, "model 'nobody' not found"],
    [
      { model: 'drover', to: ['GPU-9'] },
      400,
      'to: there is no device "GPU-9"; there are: CPU0 (cpu:0), CPU1 (cpu:1)',
    ],
    [{ model: 'drover', to: [0], instance: 999 }, 400, '999'],
  ])('refuse a migration %j', async (body, code, words) => {
    const reply = await post(url('migrate'), body)
    expect([reply.status, JSON.parse(reply.text).error]).toEqual([code, expect.stringContaining(words)])
  })
})

describe('the section multi_gpu through the port', () => {
  it('is changed at once and in the file, whose comments stay, and back by null', async () => {
    const changed = await put({ multi_gpu: { strategy: 'data', data_parallel: { replicas: 2 } } })
    expect(changed).toMatchObject({
      status: 200,
      body: {
        changed: [
          { key: 'multi_gpu.strategy', from: 'auto', to: 'data' },
          { key: 'multi_gpu.data_parallel.replicas', to: 2 },
        ],
        multi_gpu: { strategy: 'data', data_parallel: { replicas: 2 } },
      },
    })
    expect(await readFile(configPath, 'utf8')).toMatch(
      /# of the lab\nkeep_alive: 10m\nmulti_gpu:\n +strategy: data/,
    )
    expect(await status()).toMatchObject({ strategy: 'data' })
    await put({ multi_gpu: { strategy: null, data_parallel: { replicas: null } } })
    expect(await status()).toMatchObject({ strategy: 'auto' })
  })

  it('is left as it was where one value is wrong', async () => {
    const before = await readFile(configPath, 'utf8')
    const refused = await put({ multi_gpu: { enabled: false, strategy: 'magic' } })
    expect(refused).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('multi_gpu.strategy') },
    })
    expect(await readFile(configPath, 'utf8')).toBe(before)
    expect(await status()).toMatchObject({ enabled: true, strategy: 'auto' })
  })

  it('switches off what the performance tells', async () => {
    await put({ multi_gpu: { monitoring: { metrics_collection: false } } })
    expect(Object.keys(await getJson<object>(url('performance')))).not.toContain('devices')
    await put({ multi_gpu: { monitoring: { metrics_collection: null } } })
    expect(Object.keys(await getJson<object>(url('performance')))).toContain('devices')
  })
})

describe('drover benchmark against the port', () => {
  const bench = (...args: string[]) =>
    runDrover(
      [
        'benchmark',
        'drover',
        '--requests',
        '4',
        '--warmup',
        '1',
        '--prompt-tokens',
        '40',
        '--output-tokens',
        '8',
        ...args,
      ],
      { HOME: home, DROVER_HOME: home, OLLAMA_HOST: drover.url },
    )

  it('measures closed and open loads, keeps them, draws them and compares', async () => {
    const [saved, svg] = [join(home, 'run.json'), join(home, 'run.svg')]
    const first = await bench('--batch-sizes', '1,2', '--rate', '20', '--save', saved, '--svg', svg)
    expect(first.code, first.stderr).toBe(0)
    expect(first.stdout).toMatch(/^1 at once .*\n2 at once .*\n20\/s .*0 of 4/m)
    const report = JSON.parse(await readFile(saved, 'utf8')) as BenchmarkReport
    expect(report.rows.map(({ requests, errors }) => [requests, errors])).toEqual([
      [4, 0],
      [4, 0],
      [4, 0],
    ])
    for (const { ttftMs, outputTokensPerS, devices } of report.rows) {
      expect(ttftMs.p50).toBeGreaterThan(0)
      expect(outputTokensPerS).toBeGreaterThan(0)
      expect(devices.map(({ id }) => id)).toEqual(['cpu:0', 'cpu:1'])
    }
    expect(await readFile(svg, 'utf8')).toMatch(/^<svg .*TTFT, 20\/s.*<\/svg>\n$/s)
    const second = await bench('--batch-sizes', '2', '--baseline', saved, '--compare', `${drover.url}/v1`)
    expect(second.code, second.stderr).toBe(0)
    expect(second.stdout.match(/^AGAINST /gm)).toHaveLength(2)
    expect(second.stdout).toMatch(/^drover at http.* 2 at once +[+-]?[\d.]+ %/m)
  })

  it('loads the model as it is asked for, on the devices that are named, and tells how it lay', async () => {
    const { code, stdout, stderr } = await bench(
      '--strategy',
      'single',
      '--gpus',
      '0',
      '--batch-sizes',
      '1',
      '--json',
    )
    expect(code, stderr).toBe(0)
    const { rows, layouts } = JSON.parse(stdout) as BenchmarkReport
    expect(rows.map(({ variant }) => variant)).toEqual(['single, over 0'])
    expect(
      layouts[0]?.instances.map(({ strategy, parts }) => [
        strategy,
        ...parts.map(({ deviceId }) => deviceId),
      ]),
    ).toEqual([['single', 'cpu:0']])
    await until('nothing of it is left', 10_000, async () => (await status()).instances.length === 0)
  })

  it('gives the server its settings back', async () => {
    const before = await readFile(configPath, 'utf8')
    const { code, stderr, stdout } = await bench('--memory', '--kv-cache-distribution', '--json')
    expect(code, stderr).toBe(0)
    const { rows } = JSON.parse(stdout) as BenchmarkReport
    expect(rows.map(({ variant }) => variant)).toEqual([
      'kv cache distribution by_layer',
      'kv cache distribution balanced',
    ])
    expect(await readFile(configPath, 'utf8')).toBe(before)
  })

  it('gives them back after Ctrl-C too', async () => {
    const before = await readFile(configPath, 'utf8')
    const child = spawn(
      process.execPath,
      [program, 'benchmark', 'drover', '--requests', '100000', '--kv-cache-distribution=balanced'],
      {
        env: { ...withoutSettings(process.env), HOME: home, DROVER_HOME: home, OLLAMA_HOST: drover.url },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    let said = ''
    child.stderr.on('data', (data) => {
      said += data
    })
    await until('it measures', 20_000, () => said.includes('warm-up: 4 of 4'))
    expect(await readFile(configPath, 'utf8')).toMatch(/kv_cache_distribution: balanced/)
    child.kill('SIGINT')
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(1)
    expect(said).toMatch(/^Error: interrupted; the server has its settings back$/m)
    expect(await readFile(configPath, 'utf8')).toBe(before)
  })

  it.each([
    [['--model-sizes', '70B'], 'no model of about 70B is installed; there are drover:latest'],
    [['--strategy', 'magic', '--batch-sizes', '1'], 'invalid multi_gpu.strategy: "magic"'],
    [['--baseline', '/nowhere.json'], '/nowhere.json cannot be read as a saved benchmark'],
    [['--url', 'http://127.0.0.1:9'], 'no server answers at http://127.0.0.1:9'],
  ])('refuses %j with what to do', async (args, words) => {
    const { code, stdout, stderr } = await bench(...args)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain(words)
  })
})

describe('drover migrate-models', () => {
  const migrate = (...args: string[]) =>
    runDrover(['migrate-models', ...args], { HOME: home, DROVER_HOME: home, OLLAMA_MODELS: drover.modelsDir })

  it('plans what is in the store, for this machine and for others', async () => {
    const { code, stdout, stderr } = await migrate('--verify')
    expect(code, stderr).toBe(0)
    expect(stdout).toMatch(/^drover:latest +\S+ MB +\S+ +fits +single on CPU/m)
    expect(stdout).toContain('1 of 1 model')
    const other = await migrate('--gpus', '2x4090', '--json')
    const { models } = JSON.parse(other.stdout) as Examination
    expect(models).toMatchObject([{ name: 'drover:latest', state: 'fits', problems: [] }])
    expect(models[0]?.plan?.devices.every(({ kind }) => kind === 'gpu')).toBe(true)
  })

  it('tells a blob that is damaged, and changes nothing', async () => {
    const { models } = await getJson<{ models: { name: string }[] }>(`${drover.url}/api/tags`)
    expect(models).toHaveLength(1)
    const copy = join(home, 'copy')
    await cp(drover.modelsDir, copy, { recursive: true })
    const blobs = await readdir(join(copy, 'blobs'))
    const sizes = await Promise.all(blobs.map(async (name) => (await stat(join(copy, 'blobs', name))).size))
    const largest = join(copy, 'blobs', blobs[sizes.indexOf(Math.max(...sizes))] ?? '')
    await truncate(largest, 1000)
    const { code, stdout } = await migrate('--models', copy)
    expect(code).toBe(1)
    expect(stdout).toMatch(/^drover:latest .* broken /m)
    expect(stdout).toMatch(/its model blob sha256:\w+ has 1000 bytes in place of \d+/)
    expect((await stat(largest)).size).toBe(1000)
  })
})

describe('devices', () => {
  it('tell the number of each instance on them', async () => {
    await post(`${drover.url}/api/generate`, { ...ask, multi_gpu: { gpu_selection: ['CPU0'] } })
    const { devices } = await getJson<DeviceReport>(`${drover.url}/api/devices`)
    const { instances } = await status()
    expect(devices.flatMap((device) => device.instances.map(({ instance }) => instance))).toEqual(
      instances.map(({ instance }) => instance),
    )
  })
})
