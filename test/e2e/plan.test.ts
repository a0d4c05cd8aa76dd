import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { PlanReport } from '../../src/placement/index.ts'
import { runDrover, startDrover, type TestDrover } from '../support/drover.ts'

const tinyModel = fileURLToPath(new URL('../../assets/drover-tiny.gguf', import.meta.url))

let drover: TestDrover
let home = ''
let env: Record<string, string> = {}
beforeAll(async () => {
  drover = await startDrover()
  home = await mkdtemp(join(tmpdir(), 'drover-plan-'))
  env = { HOME: home, OLLAMA_HOST: drover.url }
})
afterAll(async () => {
  await rm(home, { recursive: true, force: true })
  expect(await drover.stop()).toBe(0)
})

const plan = (...args: string[]) => runDrover(['plan', ...args], env)
const post = async (body: unknown) => {
  const response = await fetch(`${drover.url}/api/plan`, { method: 'POST', body: JSON.stringify(body) })
  return { status: response.status, body: (await response.json()) as PlanReport & { error?: string } }
}

describe('drover plan', () => {
  it('shows how a model of the store lies on this machine, and how it is started', async () => {
    const { code, stdout, stderr } = await plan('drover', '--ctx', '1024', '--slots', '2')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^drover:latest \(Q8_0\): on the CPU by (llama\.cpp|embedded)\n/)
    expect(stdout).toContain('2 slots of 1024 tokens, KV cache f16')
    expect(stdout).toMatch(/\n {2}CPU and host memory .* layers 0-3, head\n/)
    expect(stdout).toMatch(/\nExpected: [\d.]+ tokens\/s for one stream/)
    expect(stdout).toContain('\nWhy:\n')
    for (const line of stdout.split('\n')) {
      if (!line.includes('/')) expect(line.length).toBeLessThanOrEqual(80)
    }
  })

  it('plans for machines that nobody has, by a list or a file', async () => {
    const list = await plan('llama3.1:70b-q4_K_M', '--gpus', '2x3090', '--ctx', '8192')
    expect(list.code).toBe(0)
    expect(list.stdout).toContain('pipeline over 2 devices by llama.cpp')
    expect(list.stdout).toMatch(/--device CUDA0,CUDA1[\s\\]+--split-mode layer --tensor-split \d+,\d+/)
    const path = join(home, 'two.yaml')
    await writeFile(path, 'nodes:\n  - name: attic\n    devices:\n      - {device: 3090, count: 2}\n')
    const file = await plan('llama3.1:70b-q4_K_M', '--inventory', path, '--ctx', '8192')
    expect(file.stdout).toBe(list.stdout.replaceAll('node1', 'attic'))
  })

  it('prints what the API answers as JSON', async () => {
    const { stdout } = await plan('llama3.1:8b', '--gpus', '4090', '--json')
    const report = JSON.parse(stdout) as PlanReport
    expect(report).toEqual((await post({ model: 'llama3.1:8b', gpus: '4090' })).body)
    expect(report.ok && report.plans[0].instances[0]?.parts[0]).toMatchObject({
      deviceId: 'gpu0',
      output: true,
    })
  })

  it('shows who has what where several models run at the same time, as the API tells it', async () => {
    const asked = ['llama3.1:8b', 'qwen3:4b', '--gpus', '3090', '--ctx', '8192', '--slots', '1']
    const { code, stdout } = await plan(...asked)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^2 models at the same time, on 1 device\n/)
    expect(stdout).toMatch(/\n {2}CUDA0 RTX 3090 A█+▓+▒*B█+▓+▒*·+\/* +[\d.]+\/24\.0 GiB A 5\.\d, B 3\.\d\n/)
    expect(stdout.match(/--port 808\d/g)).toEqual(['--port 8080', '--port 8081'])
    const json = await plan(...asked, '--json')
    const query = 'model=llama3.1:8b&model=qwen3:4b&gpus=3090&context_length=8192&slots=1'
    const answer = await fetch(`${drover.url}/api/plan?${query}`)
    expect(JSON.parse(json.stdout)).toEqual(await answer.json())
  })

  it('says who is left out, and who would have to leave for it', async () => {
    const { code, stdout } = await plan('qwen3:32b', 'gpt-oss:20b', '--gpus', '3090', '--no-offload')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^1 of 2 models at the same time, on 1 device\n/)
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(
      /Left out: - B gpt-oss:20b: beside qwen3:32b: .* it takes turns: when it is asked for, qwen3:32b would have to leave/,
    )
  })

  it('ends with 1 where nothing fits, and says what is missing and would help', async () => {
    const { code, stdout, stderr } = await plan('llama3.1:70b', '--gpus', '3060,cpu:8')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^Error: model "llama3\.1:70b" needs [\d.]+ GiB and buffers, but only 11\.6 GiB on devices/,
    )
    expect(stderr).toContain('\nWhat would help:\n  - ')
    const json = await plan('llama3.1:70b', '--gpus', '3060,cpu:8', '--json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, rejected: [{ what: 'single on RTX 3060' }] })
  })

  it('names what it cannot read', async () => {
    expect((await plan('drover', '--gpus', '2x4091')).stderr).toContain('"4091" is not in the table of cards')
    const path = join(home, 'wrong.yaml')
    await writeFile(path, 'nodes:\n  - devices:\n      - {device: 3090, cuont: 2}\n')
    expect((await plan('drover', '--inventory', path)).stderr).toContain(
      `${path}: inventory: line 3: "nodes.0.devices.0": there is no field "cuont", but device, count`,
    )
    expect((await plan('nothing:here')).stderr).toMatch(
      /^Error: model 'nothing:here' not found: pull it, or plan for/,
    )
    expect((await plan('drover', '--ctx', 'many')).stderr).toContain('whole number')
  })

  it('reads a file, or the store, where no server runs', async () => {
    const alone = { HOME: home, OLLAMA_HOST: '127.0.0.1:9', OLLAMA_MODELS: drover.modelsDir }
    const file = await runDrover(['plan', tinyModel, '--gpus', 'rx7600', '--ctx', '512'], alone)
    expect(file.stdout).toMatch(/^drover-tiny \(Q8_0\): one device by llama\.cpp\n/)
    expect(file.stdout).toContain(`--model ${tinyModel}`)
    const stored = await runDrover(['plan', 'drover', '--gpus', 'rx7600', '--ctx', '512'], alone)
    expect(stored.stdout).toMatch(/^drover:latest \(Q8_0\): one device by llama\.cpp\n/)
  })
})

describe('/api/plan', () => {
  it('plans by a query as by a body', async () => {
    const query = new URLSearchParams({
      model: 'llama3.1:70b',
      gpus: '2x3090',
      context_length: '8192',
      slots: '1',
    })
    const response = await fetch(`${drover.url}/api/plan?${query}`)
    expect(response.status).toBe(200)
    const wanted = {
      model: 'llama3.1:70b',
      inventory: { nodes: [{ devices: [{ device: '3090', count: 2 }] }] },
    }
    const { body } = await post({ ...wanted, context_length: 8192, slots: 1 })
    expect(await response.json()).toEqual(body)
    expect(body).toMatchObject({ ok: true, subject: { name: 'llama3.1:70b', fileType: 'Q4_K_M' } })
  })

  it('answers as its document says', async () => {
    const { paths } = (await (await fetch(`${drover.url}/openapi.json`)).json()) as {
      paths: Record<
        string,
        { post: { responses: Record<string, { content: Record<string, { schema: object }> }> } }
      >
    }
    const schema = paths['/api/plan']?.post.responses['200']?.content['application/json']?.schema ?? {}
    const { body } = await post({ model: 'gpt-oss:120b', gpus: '4090,cpu:128' })
    expect(() => z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).parse(body)).not.toThrow()
    expect(JSON.stringify(schema)).toContain('sharesWith')
    const several = await post({ models: ['gpt-oss:20b', 'qwen3:32b'], gpus: '3090', cpu_offload: false })
    expect(() =>
      z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).parse(several.body),
    ).not.toThrow()
  })

  it.each([
    [{}, 400, 'model is required'],
    [{ model: 'none' }, 404, "model 'none' not found: pull it"],
    [{ model: 'drover', slot: 2 }, 400, 'there is no field "slot", but model, models, gpus'],
    [
      { model: 'drover', strategy: 'best' },
      400,
      '"strategy": Invalid option: expected one of "single"|"data"',
    ],
    [{ model: 'drover', gpus: 'abacus' }, 400, '"abacus" is not in the table of cards'],
    [{ model: 'drover', inventory: { nodes: [] } }, 400, 'inventory: "nodes": Too small'],
  ])('refuses %j in words', async (body, status, words) => {
    const answer = await post(body)
    expect(answer.status).toBe(status)
    expect(answer.body.error).toContain(words)
  })
})
