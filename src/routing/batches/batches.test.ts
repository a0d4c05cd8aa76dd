import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Batches } from './contract.ts'
import {
  allIds,
  answered,
  begin,
  createBench,
  jsonl,
  lineOf,
  linesOf,
  settled,
  type TestLine,
  upload,
} from './testing/bench.ts'

type Bench = Awaited<ReturnType<typeof createBench>>

let bench: Bench
let batches: Batches
beforeEach(async () => {
  bench = await createBench()
  batches = bench.open()
})
afterEach(async () => {
  await batches.close()
  await bench.remove()
})

const three = ['a', 'b', 'c'].map(lineOf)
const tokens = JSON.stringify({
  usage: { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 3 } },
})

describe('a batch', () => {
  it('is answered line by line, each once, in the order of its file', async () => {
    bench.answerBy((id) => answered(id === 'b' ? '{"error":{}}' : tokens, id === 'b' ? 400 : 200))
    bench.run(batches)
    const batch = await settled(batches, await begin(batches, jsonl(three)))
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'm',
      counts: { total: 3, completed: 2, failed: 1 },
      usage: { inputTokens: 10, cachedTokens: 6, outputTokens: 4, reasoningTokens: 0 },
    })
    expect(await linesOf(batches, 'default', batch.outputFileId)).toEqual(
      ['a', 'c'].map((custom_id) => ({
        id: expect.stringMatching(/^batch_req_/),
        custom_id,
        response: { status_code: 200, request_id: expect.any(String), body: JSON.parse(tokens) },
        error: null,
      })),
    )
    expect(await linesOf(batches, 'default', batch.errorFileId)).toMatchObject([
      { custom_id: 'b', response: { status_code: 400, body: { error: {} } }, error: null },
    ])
    expect(bench.asked).toEqual(['a', 'b', 'c'])
  })

  it('has no error file where nothing failed, and no output file where everything did', async () => {
    bench.run(batches)
    const good = await settled(batches, await begin(batches, jsonl(three)))
    expect([good.outputFileId, good.errorFileId]).toEqual([expect.any(String), undefined])
    bench.answerBy(() => answered('{}', 404))
    const bad = await settled(batches, await begin(batches, jsonl(three)))
    expect([bad.outputFileId, bad.errorFileId]).toEqual([undefined, expect.any(String)])
  })

  it('keeps one line a line, whatever an answer is', async () => {
    bench.answerBy((id) => answered(id === 'a' ? '{"text":"x\\ny",\n"n":1}' : 'no JSON\nat all'))
    bench.run(batches)
    const batch = await settled(batches, await begin(batches, jsonl(three.slice(0, 2))))
    const lines = await linesOf(batches, 'default', batch.outputFileId)
    expect(lines.map((line) => line.response?.body)).toEqual([{ text: 'x\ny', n: 1 }, 'no JSON\nat all'])
  })

  it('runs only where slots are idle', async () => {
    bench.setSlots(0)
    bench.run(batches)
    const batch = await begin(batches, jsonl(Array.from({ length: 40 }, (_, n) => lineOf(`${n}`))))
    await settled(batches, batch, ({ status }) => status === 'in_progress')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(bench.asked).toEqual([])
    bench.setSlots(3)
    await settled(batches, batch)
    expect(bench.asked.length).toBe(40)
  })

  it('takes turns with others', async () => {
    bench.setSlots(1)
    const many = (name: string) => jsonl(Array.from({ length: 20 }, (_, n) => lineOf(`${name}${n}`)))
    const both = [await begin(batches, many('x')), await begin(batches, many('y'), 'other')]
    bench.run(batches)
    for (const batch of both) await settled(batches, batch)
    const firstHalf = bench.asked.slice(0, 20).filter((id) => id.startsWith('x')).length
    expect(firstHalf).toBeGreaterThan(5)
    expect(firstHalf).toBeLessThan(15)
  })

  it('asks a line again that was refused for now, for as long as it takes, and one that failed three times', async () => {
    const tries = new Map<string, number>()
    bench.answerBy((id) => {
      const count = (tries.get(id) ?? 0) + 1
      tries.set(id, count)
      if (id === 'a') return count < 6 ? { status: 503, body: '{}', retryAfterMs: 10 } : answered('{}')
      if (id === 'b') return answered('{"why":"crash"}', 500)
      return answered('{}')
    })
    bench.run(batches)
    const batch = await settled(batches, await begin(batches, jsonl(three)))
    expect([batch.counts, [...tries].sort()]).toEqual([
      { total: 3, completed: 2, failed: 1 },
      [
        ['a', 6],
        ['b', 3],
        ['c', 1],
      ],
    ])
  })

  it('does not ask a line to stream', async () => {
    bench.run(batches)
    const streams = { custom_id: 's', body: { model: 'm', ask: 's', stream: true } }
    const batch = await settled(batches, await begin(batches, jsonl([streams, lineOf('a')])))
    const message = expect.stringMatching(/cannot stream/)
    expect(await linesOf(batches, 'default', batch.errorFileId)).toMatchObject([
      { custom_id: 's', response: null, error: { code: 'invalid_request', message } },
    ])
    expect(bench.asked).toEqual(['a'])
  })

  it('can be cancelled: what was answered stays, the rest is told', async () => {
    bench.setSlots(1)
    // By a clock that hurries, slots are counted again before a line is in its own: the last one may be asked, too.
    bench.answerBy((id) => (id === 'a' ? answered('{}') : new Promise(() => undefined)))
    bench.run(batches)
    const batch = await begin(batches, jsonl(three))
    await settled(batches, batch, ({ counts }) => counts.completed === 1)
    expect((await batches.cancel('default', batch.id)).status).toBe('cancelling')
    const ended = await settled(batches, batch)
    expect([ended.status, ended.counts]).toEqual(['cancelled', { total: 3, completed: 1, failed: 2 }])
    const others = await linesOf(batches, 'default', ended.errorFileId)
    expect(others.map(({ custom_id, error }) => [custom_id, error?.code])).toEqual([
      ['b', 'batch_cancelled'],
      ['c', 'batch_cancelled'],
    ])
    await expect(batches.cancel('default', batch.id)).rejects.toThrow(
      "Cannot cancel a batch with status 'cancelled'",
    )
  })

  it('expires: what was answered stays, the rest is told', async () => {
    bench.answerBy((id) => (id === 'b' ? new Promise(() => undefined) : answered('{}')))
    bench.run(batches)
    const { id: inputFileId } = await upload(batches, jsonl(three))
    // Seconds that pass in a tenth of one.
    const wish = { inputFileId, endpoint: '/v1/chat/completions', windowS: 100 } as const
    const ended = await settled(batches, await batches.create('default', wish))
    expect([ended.status, ended.counts]).toEqual(['expired', { total: 3, completed: 2, failed: 1 }])
    expect(await linesOf(batches, 'default', ended.errorFileId)).toMatchObject([
      { custom_id: 'b', response: null, error: { code: 'batch_expired' } },
    ])
  })
})

describe('an input file', () => {
  const failing = async (content: string) => {
    bench.run(batches)
    const batch = await settled(batches, await begin(batches, content))
    expect([batch.status, bench.asked]).toEqual(['failed', []])
    return batch.errors
  }
  const one = (line: object) => failing(JSON.stringify({ ...JSON.parse(jsonl([lineOf('a')])), ...line }))

  it.each<[string, string, object]>([
    ['no requests', ' \n\n', { code: 'empty_file' }],
    ['a line that is no JSON', `${jsonl([lineOf('a')])}\n{`, { code: 'invalid_json_line', line: 2 }],
    ['a line that is no object', '[]', { code: 'invalid_json_line', line: 1 }],
    ['the same id twice', jsonl([lineOf('a'), lineOf('a')]), { code: 'duplicate_custom_id', line: 2 }],
  ])('with %s fails, and says where', async (_what, content, error) => {
    expect(await failing(content)).toMatchObject([error])
  })

  it.each<[string, object, object]>([
    ['no custom_id', { custom_id: undefined }, { code: 'missing_required_parameter', param: 'custom_id' }],
    ['no body', { body: 'text' }, { code: 'missing_required_parameter', param: 'body' }],
    ['another method', { method: 'GET' }, { code: 'invalid_method' }],
    ['another endpoint', { url: '/v1/embeddings' }, { code: 'url_mismatch' }],
  ])('with a line of %s fails', async (_what, line, error) => {
    expect(await one(line)).toMatchObject([{ ...error, line: 1 }])
  })

  it('may begin with a byte order mark, end without a newline, and have Windows line ends', async () => {
    bench.run(batches)
    const text = `\uFEFF${jsonl(three).replaceAll('\n', '\r\n')}`
    expect((await settled(batches, await begin(batches, text))).counts.completed).toBe(3)
  })

  it('of too many lines, too long a line, or too many bytes is refused', async () => {
    await batches.close()
    await bench.remove()
    bench = await createBench({ maxLines: 2, maxLineBytes: 200, maxFileBytes: 2000 })
    batches = bench.open()
    expect(await failing(jsonl(three))).toMatchObject([{ code: 'too_many_tasks' }])
    expect(await failing(jsonl([lineOf('x'.repeat(200))]))).toMatchObject([
      { code: 'line_too_long', line: 1 },
    ])
    await expect(upload(batches, 'x'.repeat(2001))).rejects.toMatchObject({ code: 'body_too_large' })
    expect(await readdir(join(bench.folder, 'batches', 'files'))).toHaveLength(2)
  })

  it('cannot be deleted while a batch reads it', async () => {
    const batch = await begin(batches, jsonl(three))
    await expect(batches.deleteFile('default', batch.inputFileId)).rejects.toThrow(batch.id)
    bench.run(batches)
    await settled(batches, batch)
    await batches.deleteFile('default', batch.inputFileId)
    await expect(batches.file('default', batch.inputFileId)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('tenants', () => {
  it('see nothing of each other', async () => {
    bench.run(batches)
    const batch = await settled(batches, await begin(batches, jsonl(three), 'mine'))
    const { id, inputFileId, outputFileId = '' } = batch
    for (const file of [inputFileId, outputFileId]) {
      await expect(batches.file('other', file)).rejects.toMatchObject({ code: 'not_found' })
      await expect(batches.contentPath('other', file)).rejects.toMatchObject({ code: 'not_found' })
      await expect(batches.deleteFile('other', file)).rejects.toMatchObject({ code: 'not_found' })
    }
    await expect(batches.batch('other', id)).rejects.toMatchObject({ code: 'not_found' })
    await expect(batches.cancel('other', id)).rejects.toMatchObject({ code: 'not_found' })
    const wish = { inputFileId, endpoint: '/v1/chat/completions', windowS: 100 } as const
    await expect(batches.create('other', wish)).rejects.toMatchObject({ code: 'not_found' })
    expect((await batches.files('other', { limit: 9 })).items).toEqual([])
    expect((await batches.list('other', { limit: 9 })).items).toEqual([])
  })

  it('have so many unfinished batches and no more', async () => {
    await batches.close()
    await bench.remove()
    bench = await createBench({ maxUnfinished: 2 })
    batches = bench.open()
    for (let count = 0; count < 2; count++) await begin(batches, jsonl(three))
    await expect(begin(batches, jsonl(three))).rejects.toMatchObject({ code: 'rate_limited' })
    await begin(batches, jsonl(three), 'other')
  })
})

describe('lists', () => {
  it('come in pages, newest first or oldest first', async () => {
    const ids: string[] = []
    for (let count = 0; count < 5; count++) ids.push((await upload(batches, 'x')).id)
    const first = await batches.files('default', { limit: 2 })
    expect([first.items.map(({ id }) => id), first.hasMore]).toEqual([[ids[4], ids[3]], true])
    const rest = await batches.files('default', { limit: 9, after: ids[3] ?? '' })
    expect([rest.items.map(({ id }) => id), rest.hasMore]).toEqual([[ids[2], ids[1], ids[0]], false])
    const oldest = await batches.files('default', { limit: 1, order: 'asc', after: ids[0] ?? '' })
    expect([oldest.items.map(({ id }) => id), oldest.hasMore]).toEqual([[ids[1]], true])
    expect((await batches.files('default', { limit: 9 }, 'batch_output')).items).toEqual([])
    for (const tenant of ['default', 'other']) {
      const unknown = batches.files(tenant, {
        limit: 1,
        after: tenant === 'other' ? (ids[0] ?? '') : 'file-none',
      })
      await expect(unknown).rejects.toMatchObject({ code: 'invalid_request' })
    }
  })
})

describe('the folder', () => {
  it('is made with the first file, and costs nothing before', async () => {
    bench.run(batches)
    expect(await readdir(bench.folder)).toEqual([])
    await upload(batches, 'x')
    expect(await readdir(bench.folder)).toEqual(['batches'])
  })

  it('is one server’s at a time', async () => {
    await upload(batches, 'x')
    const second = bench.open()
    await expect(second.list('default', { limit: 1 })).rejects.toMatchObject({ code: 'busy' })
    await batches.close()
    expect((await second.files('default', { limit: 1 })).items).toHaveLength(1)
    await second.close()
  })

  it('loses what was never finished, and nothing else', async () => {
    const { id } = await upload(batches, 'x')
    await batches.close()
    const files = join(bench.folder, 'batches', 'files')
    for (const name of ['file-half.partial', 'file-orphan']) await writeFile(join(files, name), 'x')
    batches = bench.open()
    await batches.list('default', { limit: 1 })
    expect(await readdir(files)).toEqual([id])
  })

  it('is told apart from one of a later version, and from what is no database', async () => {
    await upload(batches, 'x')
    await batches.close()
    const path = join(bench.folder, 'batches', 'batches.sqlite')
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 7')
    database.close()
    batches = bench.open()
    await expect(batches.list('default', { limit: 1 })).rejects.toThrow(/version 7/)
    await writeFile(path, 'no database at all, but long enough to be taken for one'.repeat(100))
    await expect(batches.list('default', { limit: 1 })).rejects.toMatchObject({ code: 'store_unreadable' })
  })

  it('drops a file when its time has come', async () => {
    const { id } = await batches.addFile(
      'default',
      (async function* () {
        yield Buffer.from('x')
      })(),
      () => ({ filename: 'x', expiresAfterS: 1 }),
    )
    await expect.poll(() => batches.file('default', id).catch((error) => error.code)).toBe('not_found')
    await batches.close()
    batches = bench.open()
    await batches.list('default', { limit: 1 })
    expect(await readdir(join(bench.folder, 'batches', 'files'))).toEqual([])
  })
})

describe('a nearly full disk', () => {
  it('takes no file, and lets batches wait', async () => {
    const batch = await begin(batches, jsonl(three))
    await batches.close()
    batches = bench.open({ reserveBytes: Number.POSITIVE_INFINITY })
    bench.run(batches)
    await settled(batches, batch, ({ status }) => status === 'in_progress')
    await expect.poll(() => bench.warnings).toContain('the disk is nearly full: batches wait')
    expect(bench.asked).toEqual([])
    await expect(upload(batches, 'x')).rejects.toMatchObject({ code: 'storage_full' })
  })
})

describe('whatever happens', () => {
  it('each line is answered once, and none that was answered is asked again', async () => {
    const line = fc.array(fc.constantFrom(200, 400, 500, 503), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }),
        fc.integer({ min: 1, max: 5 }),
        async (fates, restartsAfter, slots) => {
          const inner = await createBench()
          inner.setSlots(slots)
          const tries = new Map<string, number>()
          inner.answerBy(async (id) => {
            const count = tries.get(id) ?? 0
            tries.set(id, count + 1)
            await new Promise((resolve) => setImmediate(resolve))
            return answered('{}', fates[Number(id)]?.[count] ?? 200)
          })
          let open = inner.open()
          inner.run(open)
          const lines: TestLine[] = fates.map((_, index) => lineOf(`${index}`))
          const batch = await begin(open, jsonl(lines))
          for (const asks of restartsAfter) {
            const from = inner.asked.length
            const { counts, inProgressS } = await open.batch('default', batch.id)
            const unanswered = counts.total - counts.completed - counts.failed
            await settled(
              open,
              batch,
              ({ endedS }) => endedS !== undefined || inner.asked.length >= from + asks,
            )
            await open.close()
            const askedIds = new Set(inner.asked.slice(from))
            if (inProgressS !== undefined) expect(askedIds.size).toBeLessThanOrEqual(unanswered)
            open = inner.open()
            inner.run(open)
          }
          const ended = await settled(open, batch)
          expect(await allIds(open, ended)).toEqual(lines.map(({ custom_id }) => custom_id).sort())
          expect(ended.counts.completed + ended.counts.failed).toBe(lines.length)
          await open.close()
          await inner.remove()
        },
      ),
      { numRuns: 20 },
    )
  })
})
