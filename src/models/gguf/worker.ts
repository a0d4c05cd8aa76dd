import { parentPort, workerData } from 'node:worker_threads'
import { asDroverError, type ErrorCode } from '../../inference/index.ts'
import type { ModelFile } from '../contract.ts'
import { parseModelFile, type ReadOptions } from './parse.ts'

/** What the thread answers, once. */
export type WorkerAnswer = { ok: true; file: ModelFile } | { ok: false; code: ErrorCode; message: string }

const { path, ...options }: ReadOptions & { path: string } = workerData

const answer: WorkerAnswer = await parseModelFile(path, options).then(
  (file) => ({ ok: true as const, file }),
  (error: unknown) => {
    const { code, message } = asDroverError(error)
    return { ok: false as const, code, message }
  },
)
parentPort?.postMessage(answer)
