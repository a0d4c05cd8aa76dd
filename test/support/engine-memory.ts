import { spawn } from 'node:child_process'
import { parseMemory } from '../../src/engines/llamacpp/log.ts'
import { hostSystem, readCpu } from '../../src/hardware/index.ts'
import { readGguf } from '../../src/models/index.ts'
import {
  type Corrections,
  estimateMemory,
  type MemoryByKind,
  type MemoryWishes,
  type RunShape,
} from '../../src/placement/index.ts'
import { freePort } from './free-port.ts'
import { ensureLlamaServer } from './llama-server.ts'

/** How an instance is run whose memory is looked at. */
export type ObservedRun = RunShape & { embedding?: boolean }

/** The last of the lines about memory. */
const allocated = /graph(?: \([^)]*\))?: nodes = /

/**
 * Starts a real llama-server (the tests' own, which has the CPU) until it has told all its buffers, and ends it. Rejects with its last words where
 * it does not come so far.
 */
export async function observeMemory(
  modelPath: string,
  run: ObservedRun,
  { args = [], server }: { args?: readonly string[]; server?: string } = {},
) {
  const batch = String(run.batchSize)
  const valueType = run.flashAttention === 'off' ? 'f16' : run.kvCacheType
  const line = [
    ...['-m', modelPath, '--host', '127.0.0.1', '--port', String(await freePort()), '-t', '1', '--no-warmup'],
    ...['-c', String(run.contextLength * run.slots), '-np', String(run.slots), '-b', batch, '-ub', batch],
    ...['--cache-type-k', run.kvCacheType, '--cache-type-v', valueType, '--flash-attn', run.flashAttention],
    ...['--fit', 'off', '--log-verbosity', '4', ...(run.embedding ? ['--embedding'] : []), ...args],
  ]
  const child = spawn(server ?? (await ensureLlamaServer()), line)
  const log = await new Promise<string>((resolve, reject) => {
    let text = ''
    const onOutput = (chunk: Buffer) => {
      text += chunk.toString('utf8')
      if (allocated.test(text)) resolve(text)
    }
    child.stdout.on('data', onOutput)
    child.stderr.on('data', onOutput)
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`llama-server ended: ${text.slice(-500)}`)))
  }).finally(() => child.kill('SIGKILL'))
  return parseMemory(log)
}

/** An engine's own figures, summed over what it lies on. */
export function byKind({ devices = [] }: Pick<ReturnType<typeof parseMemory>, 'devices'>): MemoryByKind {
  const sum = (kind: 'modelBytes' | 'kvCacheBytes' | 'computeBytes' | 'outputBytes') =>
    devices.reduce((total, device) => total + device[kind], 0)
  return {
    weightsBytes: sum('modelBytes'),
    kvCacheBytes: sum('kvCacheBytes'),
    computeBytes: sum('computeBytes') + sum('outputBytes'),
  }
}

/** What is predicted for the same model and run on this machine's CPU. */
export async function predictMemory(modelPath: string, run: ObservedRun, corrections?: Corrections) {
  const { shape, fileType } = await readGguf(modelPath)
  const amx = readCpu(hostSystem).instructionSets.includes('amx_int8')
  const wishes: MemoryWishes = { ...run, cpu: { amx } }
  return { shape, fileType, memory: estimateMemory(shape, wishes, corrections) }
}

export const totalOf = ({ weightsBytes, kvCacheBytes, computeBytes }: MemoryByKind): number =>
  weightsBytes + kvCacheBytes + computeBytes
