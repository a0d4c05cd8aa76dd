import { mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Logger } from '../observability/index.ts'
import type { AnswerRecord } from '../routing/index.ts'
import { createRequestLog } from './request-log.ts'

let dir = ''
let warnings: [object, string][] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drover-request-log-'))
  warnings = []
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const log = {
  warn: (facts: object, words: string) => void warnings.push([facts, words]),
} as unknown as Logger

const answer = (model: string): AnswerRecord => ({
  model,
  tenant: 'ada',
  promptTokens: 10,
  cachedTokens: 4,
  outputTokens: 20,
  ttftMs: 5,
  totalMs: 50,
  instance: '#1 gpu0',
  route: 'predicted_finish',
})

const linesOf = async (path: string) =>
  (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Until the lines that wait have been written, or not. */
const written = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 50 })

describe('the log of requests', () => {
  it('has a line of JSON for each answer, for its owner’s eyes only', async () => {
    const path = join(dir, 'requests.jsonl')
    const note = createRequestLog(path, log)
    for (const model of ['llama', 'qwen']) note(answer(model))
    await written(async () => expect(await linesOf(path)).toHaveLength(2))
    const lines = await linesOf(path)
    expect(lines.map(({ time: _, ...record }) => record)).toEqual([answer('llama'), answer('qwen')])
    expect(lines[0].time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    note(answer('gemma'))
    await written(async () => expect(await linesOf(path)).toHaveLength(3))
    expect(warnings).toEqual([])
  })

  it('is put aside when it has grown large, in place of the one before', async () => {
    const path = join(dir, 'requests.jsonl')
    await writeFile(`${path}.1`, 'the one before')
    await writeFile(path, '{"old":true}\n')
    // A file with a hole: it takes no room on the disk.
    await truncate(path, 256 * 2 ** 20)
    const note = createRequestLog(path, log)
    note(answer('llama'))
    await written(async () => expect((await stat(path)).size).toBeLessThan(1000))
    expect(await linesOf(path)).toMatchObject([{ model: 'llama' }])
    expect((await stat(`${path}.1`)).size).toBe(256 * 2 ** 20)
    note(answer('qwen'))
    await written(async () => expect(await linesOf(path)).toHaveLength(2))
  })

  it('costs its lines and one warning where it cannot be written, and goes on when it can', async () => {
    const folder = join(dir, 'missing')
    const path = join(folder, 'requests.jsonl')
    const note = createRequestLog(path, log)
    note(answer('lost'))
    note(answer('lost too'))
    await written(() => expect(warnings).toHaveLength(1))
    expect(warnings[0]).toMatchObject([
      { path, lines: 2, reason: expect.stringContaining('ENOENT') },
      'request log cannot be written: its lines are lost',
    ])
    note(answer('lost in silence'))
    await new Promise((resolve) => setTimeout(resolve, 1_300))
    expect(warnings).toHaveLength(1)
    await mkdir(folder)
    note(answer('llama'))
    await written(async () => expect(await linesOf(path)).toMatchObject([{ model: 'llama' }]))
    await rm(folder, { recursive: true })
    note(answer('lost again'))
    await written(() => expect(warnings).toHaveLength(2))
  })

  it('keeps no more lines than a slow disk may be behind by, and says how many it has lost', async () => {
    const path = join(dir, 'requests.jsonl')
    const note = createRequestLog(path, log)
    for (let count = 0; count < 10_250; count++) note(answer('llama'))
    await written(() => expect(warnings).toHaveLength(1))
    expect(warnings[0]).toEqual([{ path, lines: 250 }, 'request log was written too slowly: lines are lost'])
    expect(await linesOf(path)).toHaveLength(10_000)
    note(answer('qwen'))
    await written(async () => expect(await linesOf(path)).toHaveLength(10_001))
    expect(warnings).toHaveLength(1)
  })
})
