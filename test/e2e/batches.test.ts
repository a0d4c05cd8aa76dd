import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import OpenAI, { toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startDrover, type TestDrover, until } from '../support/drover.ts'

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-batches-'))
})
afterAll(() => rm(home, { recursive: true, force: true }))
let drover: TestDrover | undefined
afterEach(async () => {
  expect(await drover?.stop()).toBe(drover && 0)
  drover = undefined
})

/** A server on the same folders as the one before. */
async function start(): Promise<TestDrover> {
  const env = { DROVER_ENGINE: 'embedded', DROVER_HOME: home, OLLAMA_NUM_PARALLEL: '2' }
  drover = await startDrover({ modelsDir: join(home, 'models'), env })
  return drover
}

const client = (apiKey = 'mine') => new OpenAI({ baseURL: `${drover?.url}/v1`, apiKey, maxRetries: 0 })

type Endpoint = OpenAI.BatchCreateParams['endpoint']

const lineOf = (id: string, endpoint: Endpoint, body: object) =>
  JSON.stringify({
    custom_id: id,
    method: 'POST',
    url: endpoint,
    body: { model: 'drover', temperature: 0, ...body },
  })

async function begin(lines: readonly string[], endpoint: Endpoint = '/v1/chat/completions') {
  const file = await client().files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'),
    purpose: 'batch',
  })
  return client().batches.create({ input_file_id: file.id, endpoint, completion_window: '24h' })
}

async function ended(id: string): Promise<OpenAI.Batch> {
  let batch = await client().batches.retrieve(id)
  await until(`the end of ${id}`, 100_000, async () => {
    batch = await client().batches.retrieve(id)
    return ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)
  })
  return batch
}

interface OutputLine {
  custom_id: string
  response: { status_code: number; body: { object: string; choices: OpenAI.ChatCompletion.Choice[] } }
}

async function linesOf(fileId: string | null | undefined): Promise<OutputLine[]> {
  if (!fileId) return []
  const text = await (await client().files.content(fileId)).text()
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as OutputLine)
}

const chatAbout = (question: string) => ({
  messages: [{ role: 'user', content: question }],
  reasoning_effort: 'none',
  max_tokens: 12,
})

describe('batches of the openai client', () => {
  it('are uploaded, created, polled and read', async () => {
    const server = await start()
    const lines = [
      lineOf('france', '/v1/chat/completions', chatAbout('What is the capital of France?')),
      lineOf('nowhere', '/v1/chat/completions', { ...chatAbout('What?'), model: 'none' }),
    ]
    const begun = await begin(lines)
    expect(begun).toMatchObject({ object: 'batch', endpoint: '/v1/chat/completions', errors: null })
    const batch = await ended(begun.id)
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 2, completed: 1, failed: 1 },
    })
    expect(batch.usage?.output_tokens).toBeGreaterThan(0)
    const [france] = await linesOf(batch.output_file_id)
    expect(france?.custom_id).toBe('france')
    expect(france?.response.body.choices[0]?.message.content).toContain('Paris')
    expect(await linesOf(batch.error_file_id)).toMatchObject([
      {
        custom_id: 'nowhere',
        response: { status_code: 404, body: { error: { message: "model 'none' not found" } } },
      },
    ])
    const listed = []
    for await (const one of client().batches.list({ limit: 1 })) listed.push(one.id)
    expect(listed).toEqual([begun.id])
    const files = []
    for await (const file of client().files.list({ limit: 2 })) files.push(file.purpose)
    expect(files.sort()).toEqual(['batch', 'batch_output', 'batch_output'])
    await expect(client('other').batches.retrieve(begun.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError)
    expect(await client().files.delete(batch.input_file_id)).toMatchObject({ deleted: true })
    expect(server.output()).not.toMatch(/warning/i)
  })

  it('ask completions and responses too', async () => {
    await start()
    const endpoints: [Endpoint, object][] = [
      ['/v1/completions', { prompt: 'What is the capital of France?', max_tokens: 12 }],
      ['/v1/responses', { input: 'What is the capital of France?', max_output_tokens: 12 }],
    ]
    const begun = []
    for (const [endpoint, body] of endpoints) begun.push(await begin([lineOf('a', endpoint, body)], endpoint))
    for (const { id, endpoint } of begun) {
      const [line] = await linesOf((await ended(id)).output_file_id)
      expect([line?.response.status_code, line?.response.body.object]).toEqual([
        200,
        endpoint === '/v1/responses' ? 'response' : 'text_completion',
      ])
    }
  })

  it('can be cancelled', async () => {
    await start()
    const questions = Array.from({ length: 200 }, (_, n) => `Tell me all about the number ${n}.`)
    const begun = await begin(
      questions.map((question, n) =>
        lineOf(`${n}`, '/v1/chat/completions', { ...chatAbout(question), max_tokens: 50 }),
      ),
    )
    await until('a first answer', 60_000, async () => {
      return ((await client().batches.retrieve(begun.id)).request_counts?.completed ?? 0) > 0
    })
    await client().batches.cancel(begun.id)
    const batch = await ended(begun.id)
    expect(batch.status).toBe('cancelled')
    const ids = [...(await linesOf(batch.output_file_id)), ...(await linesOf(batch.error_file_id))]
    expect(ids.map((line) => Number(line.custom_id)).sort((a, b) => a - b)).toEqual(
      questions.map((_, n) => n),
    )
  })
})

it('a batch whose server is killed, again and again, has every answer once in the end', async () => {
  let server = await start()
  const count = 80
  const begun = await begin(
    Array.from({ length: count }, (_, n) =>
      lineOf(`${n}`, '/v1/chat/completions', chatAbout(`What is ${n} and 1?`)),
    ),
  )
  let before = 0
  for (let kill = 0; kill < 2; kill++) {
    await until('more answers', 60_000, async () => {
      const { request_counts: counts } = await client().batches.retrieve(begun.id)
      return (counts?.completed ?? 0) >= before + 15
    })
    server.process.kill('SIGKILL')
    await once(server.process, 'exit')
    server = await start()
    const batch = await client().batches.retrieve(begun.id)
    expect(batch.status).toBe('in_progress')
    // What was answered is not asked again: the count goes on from where it was.
    expect(batch.request_counts?.completed).toBeGreaterThanOrEqual(before + 15)
    before = batch.request_counts?.completed ?? 0
  }
  const batch = await ended(begun.id)
  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: count, completed: count, failed: 0 },
  })
  const ids = (await linesOf(batch.output_file_id)).map((line) => Number(line.custom_id))
  expect(ids).toEqual(Array.from({ length: count }, (_, n) => n))
  const names = await readdir(join(home, 'batches', 'files'))
  expect(names).toContain(batch.output_file_id)
  expect(names.filter((name) => name.endsWith('.partial'))).toEqual([])
}, 300_000)

/** `DROVER_TEST_KILLS=1000` is the long run. */
const kills = Number(process.env['DROVER_TEST_KILLS'] ?? 6)
const churn = fileURLToPath(new URL('../support/batch-churn.ts', import.meta.url))

interface News {
  status: string
  completed: number
  path?: string
}

/** Works on a batch, is killed after some milliseconds of it, and tells what it has said last; all of it unless killed. */
async function workFor(ms: number | undefined, folder: string, input: string): Promise<News> {
  const child = spawn(process.execPath, [churn, folder, input], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (data) => {
    said += data
  })
  const exit = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), exit])
  if (ms !== undefined) {
    await sleep(ms)
    child.kill('SIGKILL')
  }
  await exit
  return JSON.parse(said.trim().split('\n').at(-1) ?? '{}')
}

it(`${kills} kills at any moment of batches lose no answer and give none twice`, async () => {
  const count = 400
  const ids = Array.from({ length: count }, (_, n) => `${n}`)
  const input = join(home, 'input.jsonl')
  await writeFile(input, ids.map((id) => lineOf(id, '/v1/embeddings', {})).join('\n'))
  for (let kill = 0, round = 0; kill < kills; round++) {
    const folder = join(home, `churn-${round}`)
    let news = await workFor((kill * 23) % 90, folder, input)
    for (kill++; news.status !== 'completed' && kill < kills; kill++) {
      const before = news.completed
      news = await workFor((kill * 23) % 90, folder, input)
      expect(news.completed).toBeGreaterThanOrEqual(before)
    }
    const { status, completed, path = '' } = await workFor(undefined, folder, input)
    expect({ status, completed }).toEqual({ status: 'completed', completed: count })
    const lines = (await readFile(path, 'utf8')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).custom_id)).toEqual(ids)
    expect(await readdir(join(folder, 'files'))).toHaveLength(2)
  }
}, 600_000)
