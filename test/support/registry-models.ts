import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  createRegistry,
  openStore,
  type Progress,
  type Registry,
  removeUnused,
} from '../../src/models/index.ts'
import { digestOf } from './docker-registry.ts'
import { quietLog } from './quiet-log.ts'

/** A registry client whose waits are those of a test: parts of 256 KiB, a stall after a second. */
export async function openRegistry(
  root: string,
  { keyPath = join(root, '..', 'id_ed25519'), leastBytes = 256 * 1024, retryDelayMs = 5, tries = 6 } = {},
): Promise<{ registry: Registry; removed: string[] }> {
  const store = await openStore({ root, log: quietLog })
  const removed: string[] = []
  const registry = createRegistry({
    store,
    keyPath,
    version: '0.33.0',
    log: quietLog,
    removeUnused: async (digests) => {
      removed.push(...digests)
      await removeUnused(root, digests)
    },
    settings: {
      stallTimeoutMs: 900,
      retryDelayMs,
      tries,
      progressMs: 10,
      parts: { count: 8, leastBytes, mostBytes: 2 ** 30 },
    },
  })
  return { registry, removed }
}

/** Writes a model of random bytes into a store, as Ollama lays it out, and returns the digest of its weights. */
export async function writeRandomModel(root: string, name: string, weightBytes: number): Promise<string> {
  const put = async (mediaType: string, content: Buffer) => {
    const digest = digestOf(content)
    await mkdir(join(root, 'blobs'), { recursive: true })
    await writeFile(blobPath(root, digest), content)
    return { mediaType, digest, size: content.length }
  }
  const kind = (word: string) => `application/vnd.ollama.image.${word}`
  const weights = await put(kind('model'), randomBytes(weightBytes))
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: await put(
      'application/vnd.docker.container.image.v1+json',
      Buffer.from(JSON.stringify({ model_format: 'gguf', note: weights.digest })),
    ),
    layers: [
      weights,
      await put(kind('template'), Buffer.from('{{ .Prompt }}')),
      await put(kind('params'), Buffer.from('{"temperature":0.5}')),
    ],
  }
  const path = manifestPath(root, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, JSON.stringify(manifest))
  return weights.digest
}

/** Where a blob lies. */
export function blobPath(root: string, digest: string): string {
  return join(root, 'blobs', digest.replace(':', '-'))
}

/** Where the manifest of `host/namespace/model:tag` lies. */
export function manifestPath(root: string, name: string): string {
  const [, host = '', path = '', tag = ''] = /^([^/]+)\/(.*):([^:]+)$/.exec(name) ?? []
  return join(root, 'manifests', host, path, tag)
}

/** Every file of a store with its content's digest, sorted: equal for equal stores. */
export async function contentOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const lines = files.map(async (path) => `${path.slice(root.length)} ${digestOf(await readFile(path))}`)
  return (await Promise.all(lines)).sort()
}

/** What is left of downloads that have not ended. */
export async function partialsOf(root: string): Promise<string[]> {
  const names = await readdir(join(root, 'blobs'))
  return names.filter((name) => !/^sha256-[0-9a-f]{64}$/.test(name))
}

/** Runs a pull or a push to its end and returns all that it told. */
export async function allOf(progress: AsyncIterable<Progress>): Promise<Progress[]> {
  const all: Progress[] = []
  for await (const line of progress) all.push(line)
  return all
}

/** The status words in order, each once. */
export function statusesOf(progress: readonly Progress[]): string[] {
  return [...new Set(progress.map(({ status }) => status))]
}
