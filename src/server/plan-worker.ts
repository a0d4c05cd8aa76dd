import { parentPort, workerData } from 'node:worker_threads'
import { asDroverError, type ErrorCode } from '../inference/index.ts'
import { type PlansTogether, type PlanTask, workOut } from '../placement/index.ts'

/** What the thread answers, once. */
export type PlanAnswer = { ok: true; plans: PlansTogether } | { ok: false; code: ErrorCode; message: string }

function answer(task: PlanTask): PlanAnswer {
  try {
    return { ok: true, plans: workOut(task) }
  } catch (error) {
    const { code, message } = asDroverError(error)
    return { ok: false, code, message }
  }
}

parentPort?.postMessage(answer(workerData))
