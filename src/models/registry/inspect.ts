import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import type { ModelFile, RemoteModelFile, TransferOptions } from '../contract.ts'
import { readGguf } from '../gguf/read.ts'
import { type Layer, layerMediaType } from '../manifest.ts'
import { type RegistryClient, retrying } from './client.ts'
import { HttpError, readBody } from './http.ts'
import { fetchManifest } from './pull.ts'
import { type RemoteModel, remoteModel } from './remote-name.ts'
import type { TransferContext } from './settings.ts'

export interface InspectContext extends TransferContext {
  connect(remote: RemoteModel): RegistryClient
}

/** How much of a file is fetched to find its head in it: vocabularies take up to some ten megabytes. */
const headSizes = [12, 64, 256].map((mib) => mib * 2 ** 20)

/** Of the file's bytes that its tensors take at least; less means that the head was not whole. */
const leastTensorShare = 0.9

const mostTagsBytes = 4 * 2 ** 20

/**
 * A registry's list of a model's tags; empty where it keeps none (Ollama's does not). Throws `HttpError` where it
 * cannot be reached, `invalid_request` for a name that is none.
 */
export async function listTags(
  { clock, settings, connect }: InspectContext,
  text: string,
  options: TransferOptions,
  signal: AbortSignal,
): Promise<string[]> {
  const client = connect(remoteModel(text, options))
  try {
    return await retrying(clock, retriesOf(settings, signal), async () => {
      const reply = await client.send({ method: 'GET', at: 'tags/list', signal })
      return tagsIn((await readBody(reply, mostTagsBytes)).toString('utf8'))
    })
  } catch (error) {
    if (error instanceof HttpError && error.status !== undefined) return []
    throw error
  }
}

function tagsIn(text: string): string[] {
  try {
    const { tags } = JSON.parse(text) as { tags?: unknown }
    return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : []
  } catch {
    // A page in place of a list: there is none.
    return []
  }
}

/**
 * What a registry's model is, by its manifest and the head of its file; undefined where there is no such model, or none
 * of one GGUF file. Throws `HttpError` where the registry cannot be reached, `invalid_request` for a name that is none.
 */
export async function inspectModel(
  context: InspectContext,
  text: string,
  options: TransferOptions,
  signal: AbortSignal,
): Promise<RemoteModelFile | undefined> {
  const client = context.connect(remoteModel(text, options))
  const layers = await layersOf(context, client, signal)
  const models = layers?.filter(({ mediaType }) => mediaType === layerMediaType('model')) ?? []
  const [model] = models
  if (!model || models.length > 1) return undefined
  const file = await headOf(context, client, model, signal)
  if (!file) return undefined
  const projector = layers?.find(({ mediaType }) => mediaType === layerMediaType('projector'))
  const sizeBytes = layers?.reduce((sum, { size }) => sum + size, 0) ?? model.size
  return { file, sizeBytes, ...(projector && { projectorBytes: projector.size }) }
}

const retriesOf = (settings: InspectContext['settings'], signal: AbortSignal) => ({
  tries: settings.tries / 2,
  delayMs: settings.retryDelayMs / 2,
  signal,
})

async function layersOf(
  context: InspectContext,
  client: RegistryClient,
  signal: AbortSignal,
): Promise<readonly Layer[] | undefined> {
  try {
    const { manifest } = await fetchManifest(context, client, signal)
    return manifest.layers ?? []
  } catch (error) {
    const cause = error instanceof HttpError ? error.cause : undefined
    if (cause instanceof HttpError && cause.status === 404) return undefined
    throw error
  }
}

/** Reads the head of a blob: its first bytes, laid into a file as long as the whole, which is a hole behind them. */
async function headOf(
  { clock, settings }: InspectContext,
  client: RegistryClient,
  { digest, size }: Layer,
  signal: AbortSignal,
): Promise<ModelFile | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-inspect-'))
  const path = join(folder, 'head.gguf')
  try {
    for (const most of headSizes) {
      const bytes = Math.min(most, size)
      const head = await retrying(clock, retriesOf(settings, signal), async () => {
        const headers = { range: `bytes=0-${bytes - 1}` }
        const at = `blobs/${digest.replace('-', ':')}`
        return readBody(await client.send({ method: 'GET', at, headers, signal }), bytes, { cuts: true })
      })
      await writeFile(path, head)
      await truncate(path, size)
      const file = await wholeHead(path, size)
      if (file || bytes === size) return file
    }
    return undefined
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Undefined where the head goes on behind the bytes that there are. */
async function wholeHead(path: string, size: number): Promise<ModelFile | undefined> {
  try {
    const file = await readGguf(path)
    const whole =
      file.tensors.every(({ name }) => name !== '') && file.shape.weightBytes >= size * leastTensorShare
    return whole || size < (headSizes[0] ?? 0) ? file : undefined
  } catch (error) {
    if (error instanceof DroverError && error.code === 'model_corrupt') return undefined
    throw error
  }
}
