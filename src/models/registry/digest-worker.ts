import { parentPort, workerData } from 'node:worker_threads'
import { type DigestAnswer, hashFile } from './digest.ts'

const path: string = workerData

const answer: DigestAnswer = await hashFile(path).then(
  (digest) => ({ digest }),
  (error: unknown) => ({ error: `${path} cannot be read: ${String(error)}` }),
)
parentPort?.postMessage(answer)
