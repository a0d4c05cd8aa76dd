import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceMemory, Engine, InstanceMemory, InstanceSpec } from '../engines/index.ts'
import { writeAtomically } from '../models/index.ts'
import type { Logger } from '../observability/index.ts'
import {
  type Corrections,
  correctionsFor,
  type LearnedMemory,
  learn,
  type MemoryByKind,
  type MemoryKey,
  readLearned,
} from '../placement/index.ts'

/** What is known of how much memory models really take. */
export interface MemoryBook {
  correctionsFor(key: MemoryKey): Corrections
  /** Says what is reckoned with for an instance that is about to start. */
  expect(instanceId: string, key: MemoryKey, estimated: MemoryByKind): void
  /** Learns of what the instances of an engine say that they took. */
  watch(engine: Engine): Engine
  /** Resolves when all that was learned is in the file. */
  saved(): Promise<void>
}

/** The file that it is kept in from one run to the next. */
export function memoryBookPath(droverHome: string): string {
  return join(droverHome, 'learned-memory.json')
}

/** Opens the book. A file that cannot be used is told in the log, and begun anew. */
export async function openMemoryBook(path: string, log: Logger): Promise<MemoryBook> {
  let known = await readBook(path, log)
  const expected = new Map<string, { key: MemoryKey; estimated: MemoryByKind }>()
  let saving = Promise.resolve()

  function observe(spec: InstanceSpec, memory: InstanceMemory): void {
    const expectation = expected.get(spec.id)
    const seen = expectation && observedOf(spec, memory)
    if (!seen) return
    known = learn(known, expectation.key, expectation.estimated, seen)
    const text = `${JSON.stringify({ version: 1, learned: known }, undefined, 2)}\n`
    saving = saving
      .then(() => writeAtomically(path, text))
      .catch((error: Error) => log.warn({ reason: error.message }, `${path} cannot be written`))
  }

  return {
    correctionsFor: (key) => correctionsFor(known, key),
    expect: (instanceId, key, estimated) => expected.set(instanceId, { key, estimated }),
    watch: (engine) => ({
      ...engine,
      launch: async (spec, signal) => {
        try {
          const instance = await engine.launch(spec, signal)
          observe(spec, instance.memory)
          return instance
        } finally {
          expected.delete(spec.id)
        }
      },
    }),
    saved: () => saving,
  }
}

async function readBook(path: string, log: Logger): Promise<LearnedMemory> {
  try {
    const content: unknown = JSON.parse(await readFile(path, 'utf8'))
    return readLearned((content as { learned?: unknown } | null)?.learned)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') log.warn({ reason: message }, `${path} cannot be used and is begun anew`)
    return {}
  }
}

/**
 * Undefined where the engine tells too little, or of what the estimate is not for: several devices, layers on the CPU
 * beside a GPU, experts in host memory, projectors, drafts, workers.
 */
function observedOf(spec: InstanceSpec, { devices = [] }: InstanceMemory): MemoryByKind | undefined {
  const onDevices = devices.filter(({ host }) => !host)
  const alone = onDevices.length === 0 || (onDevices.length === 1 && devices.every(isWholeOrWithout))
  const others =
    spec.draft || spec.projectorPaths.length > 0 || spec.rpcWorkers?.length || spec.hostExperts?.length
  if (devices.length === 0 || !alone || others) return undefined
  const sum = (kind: 'modelBytes' | 'kvCacheBytes' | 'computeBytes' | 'outputBytes') =>
    devices.reduce((total, device) => total + device[kind], 0)
  return {
    weightsBytes: sum('modelBytes'),
    kvCacheBytes: sum('kvCacheBytes'),
    computeBytes: sum('computeBytes') + sum('outputBytes'),
  }
}

/** A device, or host memory that holds no layer's cache: with all layers on a device there is none. */
const isWholeOrWithout = ({ host, kvCacheBytes }: DeviceMemory): boolean => !host || kvCacheBytes === 0
