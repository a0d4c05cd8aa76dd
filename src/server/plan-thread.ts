import { Worker } from 'node:worker_threads'
import { DroverError } from '../inference/index.ts'
import { type PlansTogether, type PlanTask, workOut } from '../placement/index.ts'
import type { PlanAnswer } from './plan-worker.ts'

/** Beyond it a plan may take longer than a token may wait for the thread that answers requests. */
const mostDevicesHere = 16
/** Threads at a time, and requests that wait for one. */
const mostThreads = 1
const usualMostWaiting = 16
const timeoutMs = 60_000
const retryAfterMs = 2_000

/**
 * Works plans out beside the requests: small ones at once, larger ones by a thread of their own, one after the other.
 * Throws as the planner does, `busy` where too many wait, and `invalid_request` where it takes longer than a minute.
 */
export function createPlanThread({
  mostWaiting = usualMostWaiting,
} = {}): (task: PlanTask) => Promise<PlansTogether> {
  let running = 0
  const waiting: (() => void)[] = []
  const turn = () => new Promise<void>((resolve) => waiting.push(resolve))
  return async (task) => {
    if (isSmall(task)) return workOut(task)
    if (running >= mostThreads) {
      if (waiting.length >= mostWaiting) {
        throw new DroverError('busy', `${mostWaiting} plans wait to be made already: try again later`, {
          retryAfterMs,
        })
      }
      await turn()
    } else running++
    try {
      return await inThread(task)
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}

const isSmall = ({ requests, inventory }: PlanTask) =>
  requests.length === 1 && inventory.devices.length <= mostDevicesHere

function inThread(task: PlanTask): Promise<PlansTogether> {
  const worker = new Worker(new URL('./plan-worker.ts', import.meta.url), { workerData: task })
  return new Promise<PlansTogether>((resolve, reject) => {
    const timer = setTimeout(() => {
      const what = `${task.requests.length} models on ${task.inventory.devices.length} devices`
      reject(
        new DroverError(
          'invalid_request',
          `${what} were not planned within ${timeoutMs / 1000} s: ask for less`,
        ),
      )
    }, timeoutMs)
    worker.once('message', (answer: PlanAnswer) => {
      if (answer.ok) resolve(answer.plans)
      else reject(new DroverError(answer.code, answer.message))
    })
    worker.once('error', (error) => reject(new DroverError('internal', `planning failed: ${String(error)}`)))
    worker.once('exit', (code) => {
      clearTimeout(timer)
      // Without effect after an answer.
      reject(new DroverError('internal', `planning ended without an answer (${code})`))
    })
  }).finally(() => worker.terminate())
}
