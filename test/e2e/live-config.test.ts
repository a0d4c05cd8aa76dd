import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  descendants,
  getJson,
  post,
  runDrover,
  startDrover,
  type TestDrover,
  until,
} from '../support/drover.ts'

interface Report {
  settings: { key: string; value?: unknown; from: string }[]
  restart: { key: string; running?: unknown; written?: unknown }[]
  refused?: { problems: string[] }
}

describe('the configuration of a server that runs', () => {
  let folder: string
  let path: string
  let drover: TestDrover
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drover-live-config-'))
    path = join(folder, 'drover.yaml')
    await writeFile(path, '# of this test\nkeepAlive: 10m\npolicy: locality\n')
    drover = await startDrover({ env: { DROVER_ENGINE: 'embedded' }, args: ['--config', path] })
    await generate()
  })
  afterAll(async () => {
    await drover.stop()
    await rm(folder, { recursive: true })
  })

  const report = () => getJson<Report>(`${drover.url}/api/config`)
  const value = async (key: string) => (await report()).settings.find((one) => one.key === key)?.value
  const taken = (key: string, wanted: unknown) =>
    until(`${key} is ${wanted}`, 10_000, async () => (await value(key)) === wanted)

  async function generate(): Promise<void> {
    const { models } = await getJson<{ models: { name: string }[] }>(`${drover.url}/api/tags`)
    const body = { model: models[0]?.name, prompt: 'hello', stream: false, options: { num_predict: 2 } }
    expect((await post(`${drover.url}/api/generate`, body)).status).toBe(200)
  }

  const loaded = async () => (await getJson<{ models: { name: string }[] }>(`${drover.url}/api/ps`)).models

  /** Minutes that the model stays loaded after a request that loads it. */
  async function keptMinutes(): Promise<number> {
    const [{ name = '' } = {}] = await loaded()
    await post(`${drover.url}/api/generate`, { model: name, keep_alive: 0 })
    await until('it is unloaded', 10_000, async () => (await loaded()).length === 0)
    await generate()
    const { models } = await getJson<{ models: { expires_at: string }[] }>(`${drover.url}/api/ps`)
    return (Date.parse(models[0]?.expires_at ?? '') - Date.now()) / 60_000
  }

  async function policy(): Promise<unknown> {
    const { models } = await getJson<{ models: { name: string }[] }>(`${drover.url}/api/tags`)
    const name = encodeURIComponent(models[0]?.name ?? '')
    return (await getJson<{ policy: unknown }>(`${drover.url}/api/route/explain?model=${name}&prompt=hi`))
      .policy
  }

  it('changes with its file: keep-alive, policy, log', async () => {
    expect(await keptMinutes()).toBeCloseTo(10, 0)
    expect(await policy()).toBe('locality')
    await writeFile(
      `${path}.new`,
      '# of this test\nkeepAlive: 30m\npolicy: round_robin\nlogLevel: warn\nmaxBodySize: 1MiB\n',
    )
    await rename(`${path}.new`, path)
    await taken('keepAlive', '30m')
    expect(await keptMinutes()).toBeCloseTo(30, 0)
    expect(await policy()).toBe('round_robin')
    const logged = drover.output().length
    await generate()
    expect(drover.output()).toHaveLength(logged)
    expect((await report()).restart).toEqual([{ key: 'maxBodySize', running: '64MiB', written: '1MiB' }])
  })

  it('stays as it was when the file is rubbish, and says why', async () => {
    await writeFile(path, 'keepAlive: soon\npolicy: [\n')
    await until('the file is refused', 10_000, async () => (await report()).refused !== undefined)
    await writeFile(path, 'keepAlive: soon\npolicy: moon\n')
    await until('both errors are told', 10_000, async () => (await report()).refused?.problems.length === 2)
    expect((await report()).refused?.problems).toEqual([
      expect.stringContaining('keepAlive: "soon" is not allowed; it takes a duration'),
      expect.stringContaining('policy: "moon" is not allowed; it takes predicted_finish'),
    ])
    expect(drover.output()).toContain('the configuration is refused: the old one stays')
    expect(await keptMinutes()).toBeCloseTo(30, 0)
    expect(await policy()).toBe('round_robin')
  })

  it('is read anew at SIGHUP, which does not end a server without a terminal', async () => {
    await writeFile(path, 'keepAlive: 20m\n')
    drover.process.kill('SIGHUP')
    await taken('keepAlive', '20m')
    expect((await report()).refused).toBeUndefined()
    expect(await policy()).toBe('predicted_finish')
  })

  it('reaches the processes of engines that are started from then on', async () => {
    await writeFile(path, 'multi_gpu: {memory: {cross_gpu_sharing: true}}\n')
    await taken('multi_gpu.memory.cross_gpu_sharing', true)
    await keptMinutes()
    const environments = await Promise.all(
      (await descendants(drover.pid)).map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')),
    )
    expect(environments.join('\0').split('\0')).toContain('GGML_CUDA_P2P=1')
  })

  it('is written by `drover config set`, and taken', async () => {
    const { code, stdout } = await runDrover(['config', 'set', 'keepAlive', '40m', '--config', path])
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${path}: keepAlive is 40m\n` })
    await taken('keepAlive', '40m')
    expect(await keptMinutes()).toBeCloseTo(40, 0)
  })
})
