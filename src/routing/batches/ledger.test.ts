import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { noUsage } from './answer.ts'
import { isDiskFull, openDatabase } from './database.ts'
import { createLedger } from './ledger.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-ledger-'))
})
afterEach(() => rm(folder, { recursive: true }))

const wish = {
  tenant: 't',
  inputFileId: 'file-in',
  endpoint: '/v1/embeddings',
  windowS: 10,
  createdS: 1,
} as const
const good = (json: string) => ({ json, failed: false, usage: { ...noUsage, inputTokens: 3 } })

async function open() {
  const database = await openDatabase(folder)
  const ledger = createLedger(database)
  return { database, ledger }
}

describe('the ledger', () => {
  it('keeps the first answer of a line, and counts it once', async () => {
    const { ledger } = await open()
    const { seq } = ledger.addBatch({ ...wish, id: 'batch_1' })
    ledger.addLines(seq, [{ line: 1, customId: 'a', at: 0, bytes: 5 }])
    ledger.answer(seq, 1, good('"first"'))
    ledger.answer(seq, 1, good('"second"'))
    expect(ledger.goodAnswers(seq, 0, 9)).toEqual([{ line: 1, json: '"first"' }])
    expect(ledger.batchBySeq(seq)).toMatchObject({ counts: { completed: 1 }, usage: { inputTokens: 3 } })
    ledger.close()
  })

  it('is as it was when an answer finds no room, and takes it once there is', async () => {
    const { database, ledger } = await open()
    const { seq } = ledger.addBatch({ ...wish, id: 'batch_1' })
    ledger.addLines(seq, [{ line: 1, customId: 'a', at: 0, bytes: 5 }])
    const { page_count: pages } = database.prepare('PRAGMA page_count').get() ?? {}
    database.exec(`PRAGMA max_page_count = ${Number(pages) + 2}`)
    const large = good(JSON.stringify('x'.repeat(100_000)))
    let thrown: unknown
    try {
      ledger.answer(seq, 1, large)
    } catch (error) {
      thrown = error
    }
    expect(isDiskFull(thrown)).toBe(true)
    expect(ledger.unanswered(seq, 0, 9)).toEqual([{ line: 1, customId: 'a', at: 0, bytes: 5 }])
    expect(ledger.batchBySeq(seq).counts.completed).toBe(0)
    database.exec('PRAGMA max_page_count = 100000')
    ledger.answer(seq, 1, large)
    expect(ledger.unanswered(seq, 0, 9)).toEqual([])
    ledger.close()
  })

  it('gives the room of ended batches back', async () => {
    const { database, ledger } = await open()
    const pages = () => Number(database.prepare('PRAGMA page_count').get()?.['page_count'])
    const before = pages()
    const { seq } = ledger.addBatch({ ...wish, id: 'batch_1' })
    ledger.addLines(
      seq,
      Array.from({ length: 300 }, (_, line) => ({ line, customId: `${line}`, at: 0, bytes: 1 })),
    )
    for (let line = 0; line < 300; line++) ledger.answer(seq, line, good(JSON.stringify('x'.repeat(9000))))
    expect(pages()).toBeGreaterThan(before + 500)
    expect(ledger.dropLines(100)).toBe(0)
    ledger.end(seq, { status: 'completed', endedS: 2, output: undefined, errors: undefined, givenUp: 0 })
    while (ledger.dropLines(100) > 0) expect(ledger.unfinished()).toEqual([])
    while (ledger.shrink()) expect(pages()).toBeGreaterThan(0)
    expect(pages()).toBeLessThan(before + 20)
    ledger.close()
  })

  it('is cancelled only before its end, and stays cancelled while its input is read', async () => {
    const { ledger } = await open()
    const { seq } = ledger.addBatch({ ...wish, id: 'batch_1' })
    expect(ledger.cancel(seq, 5)).toBe(1)
    ledger.begin(seq, { total: 1, model: undefined, inProgressS: 6 })
    expect(ledger.batchBySeq(seq)).toMatchObject({ status: 'cancelling', cancellingS: 5, inProgressS: 6 })
    ledger.end(seq, { status: 'cancelled', endedS: 7, output: undefined, errors: undefined, givenUp: 1 })
    expect([ledger.cancel(seq, 8), ledger.batchBySeq(seq).status]).toEqual([0, 'cancelled'])
    ledger.close()
  })
})
