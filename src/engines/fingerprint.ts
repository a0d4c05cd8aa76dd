import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import type { InstanceSpec } from './contract.ts'

/** Read of a file whose name does not tell its content: so many pieces of so many bytes, evenly spread. */
const samples = 16
const sampleBytes = 64 * 1024

/**
 * What a saved KV cache depends on: the content of model and adapters, the engine's build, and how the context was
 * made. The same on every machine. Files that are not named by their digest are told apart by size and samples.
 */
export async function sessionFingerprint(spec: InstanceSpec, build: string): Promise<string> {
  const files = await Promise.all(
    [spec.modelPath, ...spec.projectorPaths, ...spec.adapterPaths].map(contentOf),
  )
  const { contextLength, kvCacheType, flashAttention, metadataOverrides = {} } = spec
  const facts = { build, files, contextLength, kvCacheType, flashAttention, metadataOverrides }
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32)
}

async function contentOf(path: string): Promise<string> {
  const digest = /^sha256-([0-9a-f]{64})$/.exec(basename(path))?.[1]
  if (digest) return digest
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const hash = createHash('sha256').update(String(size))
    const step = Math.max(sampleBytes, Math.floor((size - sampleBytes) / (samples - 1)))
    for (let position = 0; position < size; position += step) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(sampleBytes), 0, sampleBytes, position)
      hash.update(buffer.subarray(0, bytesRead))
    }
    return hash.digest('hex')
  } finally {
    await file.close()
  }
}
