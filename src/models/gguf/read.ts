import { stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { DroverError } from '../../inference/index.ts'
import type { ModelFile } from '../contract.ts'
import { corrupt, parseModelFile } from './parse.ts'
import type { WorkerAnswer } from './worker.ts'

/**
 * Files from this size on are read in a thread of their own: the vocabulary of a real model keeps the parser busy
 * for most of a second, in which no running answer could go on. Smaller files are done before a thread has begun.
 */
const threadFromBytes = 64 * 2 ** 20

/** A vocabulary takes less than a tenth of this. A file that makes the parser want more is not a model. */
const threadMemoryMib = 1024

/** Reading takes a second or two; more means that the disk, or the file, is not what it should be. */
const threadTimeoutMs = 120_000

/**
 * Reads the head of a GGUF file: what it says of itself, and the shape that follows. The tensors themselves are
 * not read, but the file must be long enough for them. Arrays of more than 1024 entries are null in `metadata`
 * unless `wholeArrays`. Throws `model_corrupt`, saying what is wrong with which file.
 */
export async function readGguf(path: string, { wholeArrays = false } = {}): Promise<ModelFile> {
  const sizeBytes = await stat(path).then(
    ({ size }) => size,
    // The parser meets the same problem and names it.
    () => 0,
  )
  if (sizeBytes < threadFromBytes) return parseModelFile(path, { wholeArrays })
  return readInThread(path, wholeArrays)
}

function readInThread(path: string, wholeArrays: boolean): Promise<ModelFile> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: { path, wholeArrays },
    resourceLimits: { maxOldGenerationSizeMb: threadMemoryMib },
  })
  return new Promise<ModelFile>((resolve, reject) => {
    const refuse = (problem: string) => reject(corrupt(path, problem))
    const timer = setTimeout(
      () => refuse(`its head was not read within ${threadTimeoutMs} ms`),
      threadTimeoutMs,
    )
    worker.once('message', (answer: WorkerAnswer) => {
      if (answer.ok) resolve(answer.file)
      else reject(new DroverError(answer.code, answer.message))
    })
    worker.once('error', (error) => refuse(`its head cannot be read (${String(error)})`))
    worker.once('exit', () => {
      clearTimeout(timer)
      // Without effect after an answer.
      refuse('the thread that read it ended without an answer')
    })
  }).finally(() => worker.terminate())
}
