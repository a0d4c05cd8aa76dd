import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../../observability/index.ts'
import {
  type Batch,
  type BatchCall,
  type Batches,
  type BatchLimits,
  type BatchReply,
  createBatches,
  defaultBatchLimits,
} from '../index.ts'
import { hurriedClock } from './hurried-clock.ts'

/** What a line says. */
export interface TestLine {
  custom_id: string
  method?: string
  url?: string
  body?: unknown
}

export const jsonl = (lines: readonly TestLine[]) =>
  lines
    .map((line) =>
      JSON.stringify({ method: 'POST', url: '/v1/chat/completions', body: { model: 'm' }, ...line }),
    )
    .join('\n')

export const lineOf = (id: string): TestLine => ({ custom_id: id, body: { model: 'm', ask: id } })

/** A folder with batches in it, that can be closed and opened again. */
export async function createBench(limits: Partial<BatchLimits> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'drover-batches-'))
  const warnings: string[] = []
  const asked: string[] = []
  let reply = (_id: string, _call: BatchCall): BatchReply | Promise<BatchReply> => answered('{}')
  let slots = 4
  let running = 0
  const clock = hurriedClock(1000)
  const log = {
    info: () => undefined,
    debug: () => undefined,
    warn: (_facts: object, message: string) => void warnings.push(message),
    error: (_facts: object, message: string) => void warnings.push(message),
  } as unknown as Logger

  const open = (more: Partial<BatchLimits> = {}) =>
    createBatches({
      folder: join(folder, 'batches'),
      limits: { ...defaultBatchLimits, reserveBytes: 0, ...limits, ...more },
      freeSlots: () => slots - running,
      clock,
      log,
    })
  const run = (batches: Batches) =>
    batches.run(async (call, signal) => {
      const { ask } = JSON.parse(call.body) as { ask: string }
      asked.push(ask)
      running++
      try {
        return await Promise.race([reply(ask, call), aborted(signal)])
      } finally {
        running--
      }
    })

  return {
    folder,
    warnings,
    asked,
    open,
    run,
    answerBy: (answer: typeof reply) => {
      reply = answer
    },
    setSlots: (count: number) => {
      slots = count
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

export const answered = (body: string, status = 200): BatchReply => ({ status, body })

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.throwIfAborted()
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

export async function upload(batches: Batches, content: string, tenant = 'default') {
  const bytes = (async function* () {
    yield Buffer.from(content)
  })()
  return batches.addFile(tenant, bytes, () => ({ filename: 'in.jsonl', expiresAfterS: 30 * 86_400 }))
}

export async function begin(batches: Batches, content: string, tenant = 'default'): Promise<Batch> {
  const { id: inputFileId } = await upload(batches, content, tenant)
  return batches.create(tenant, { inputFileId, endpoint: '/v1/chat/completions', windowS: 86_400 })
}

/** Waits until a batch has ended, or is as wanted. */
export async function settled(
  batches: Batches,
  { id, tenant }: Batch,
  isSo: (batch: Batch) => boolean = ({ endedS }) => endedS !== undefined,
): Promise<Batch> {
  const untilMs = Date.now() + 10_000
  for (;;) {
    const batch = await batches.batch(tenant, id)
    if (isSo(batch)) return batch
    if (Date.now() > untilMs) throw new Error(`the batch is still ${JSON.stringify(batch)}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export interface OutputLine {
  id: string
  custom_id: string
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null
  error: { code: string; message: string } | null
}

/** The lines of an output or error file; none where there is no file. */
export async function linesOf(
  batches: Batches,
  tenant: string,
  fileId: string | undefined,
): Promise<OutputLine[]> {
  if (fileId === undefined) return []
  const text = await readFile(await batches.contentPath(tenant, fileId), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutputLine)
}

/** Ids of every line of both files, sorted. */
export async function allIds(batches: Batches, batch: Batch): Promise<string[]> {
  const { tenant, outputFileId, errorFileId } = batch
  const lines = [
    ...(await linesOf(batches, tenant, outputFileId)),
    ...(await linesOf(batches, tenant, errorFileId)),
  ]
  return lines.map((line) => line.custom_id).sort()
}
