import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelStore, Progress, TransferOptions } from '../contract.ts'
import { isMissing } from '../files.ts'
import {
  blobName,
  type Layer,
  layerMediaType,
  type Manifest,
  manifestMediaType,
  parseManifest,
} from '../manifest.ts'
import { fullModelName, manifestSegments } from '../names.ts'
import { type RegistryClient, retrying } from './client.ts'
import { sizeOf } from './download.ts'
import { blobLine, follow } from './follow.ts'
import { HttpError, readBody } from './http.ts'
import { removePartial } from './partial.ts'
import { type RemoteModel, remoteModel } from './remote-name.ts'
import type { TransferContext } from './settings.ts'
import type { SharedDownload, SharedDownloads } from './shared-downloads.ts'
import { storedName } from './stored-name.ts'

/** The longest manifests, of models in hundreds of files, have some hundred kilobytes. */
const mostManifestBytes = 8 * 2 ** 20

export interface PullContext extends TransferContext {
  store: Pick<ModelStore, 'root' | 'find' | 'writeManifest'>
  connect(remote: RemoteModel): RegistryClient
  downloads: SharedDownloads
  removeUnused: ((digests: readonly string[]) => Promise<void>) | undefined
}

/** Fetches a model: its layers one after another, then the check of all, and the manifest as the last thing. */
export async function* pullModel(
  context: PullContext,
  text: string,
  options: TransferOptions,
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  const remote = remoteModel(text, options)
  yield { status: 'pulling manifest' }
  const client = context.connect(remote)
  const { bytes, manifest } = await fetchManifest(context, client, signal)
  const layers = uniqueLayers(manifest)
  const name = await storedName(context.store, context.log, remote.name)
  const path = join(context.store.root, 'manifests', ...manifestSegments(name))
  const before = await readLayers(path)

  const held: SharedDownload[] = []
  try {
    for (const layer of layers) yield* pullLayer(context, client, layer, held, signal)
    yield { status: 'verifying sha256 digest' }
    await allStored(held, signal)
    yield { status: 'writing manifest' }
    await checkPresence(context.store.root, layers)
    await context.store.writeManifest(fullModelName(name), bytes.toString('utf8'))
  } finally {
    await Promise.all(held.map((download) => download.release()))
  }

  const unused = before.filter((digest) => layers.every((layer) => layer.digest !== digest))
  if (unused.length > 0 && context.removeUnused) {
    yield { status: 'removing unused layers' }
    yield* removeUnused(context.removeUnused, unused)
  }
  yield { status: 'success' }
}

/** The manifest, byte for byte, since its digest is the model's. */
export async function fetchManifest(
  { clock, settings }: TransferContext,
  client: RegistryClient,
  signal: AbortSignal,
): Promise<{ bytes: Buffer; manifest: Manifest }> {
  const retries = { tries: settings.tries / 2, delayMs: settings.retryDelayMs / 2, signal }
  try {
    const bytes = await retrying(clock, retries, async () => {
      const at = `manifests/${client.remote.name.tag}`
      const reply = await client.send({ method: 'GET', at, headers: { accept: manifestMediaType }, signal })
      return readBody(reply, mostManifestBytes)
    })
    const manifest = parseManifest(bytes.toString('utf8'))
    if (manifest === undefined)
      throw new HttpError(`${client.remote.origin} sent something else than a manifest`)
    return { bytes, manifest }
  } catch (error) {
    if (!(error instanceof HttpError)) throw error
    throw new HttpError(`pull model manifest: ${error.message}`, { cause: error })
  }
}

/** Layers and config, each digest once. */
function uniqueLayers({ layers, config }: Manifest): Pick<Layer, 'digest' | 'size'>[] {
  if (layers?.some(({ mediaType }) => mediaType === layerMediaType('tensor'))) {
    throw new HttpError('this model requires MLX support, but the MLX runtime is not available')
  }
  const all = [...(layers ?? []), config].map(({ digest, size }) => ({
    digest: digest.replace('-', ':'),
    size,
  }))
  return [...new Map(all.map((layer) => [layer.digest, layer])).values()]
}

/** What is there already is only told of; what is not joins or begins a download. */
async function* pullLayer(
  context: PullContext,
  client: RegistryClient,
  { digest, size }: Pick<Layer, 'digest' | 'size'>,
  held: SharedDownload[],
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  const path = join(context.store.root, 'blobs', blobName(digest))
  if ((await sizeOf(path)) === size) {
    // Left by a process that died between naming the blob and this.
    await removePartial(path)
    yield blobLine('pulling', digest, size, size)
    return
  }
  const download = await context.downloads(client, digest, size)
  held.push(download)
  yield* follow(context, 'pulling', digest, download, signal)
}

/** Waits for all, also when one of them fails, so that the others are kept; then throws what the first failed with. */
async function allStored(held: readonly SharedDownload[], signal: AbortSignal): Promise<void> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  signal.throwIfAborted()
  const outcomes = await Promise.race([Promise.all(held.map(({ stored }) => stored)), aborted])
  for (const outcome of outcomes) if ('error' in outcome) throw outcome.error
}

/** A blob that was there at the start may have been deleted with another model meanwhile. */
async function checkPresence(root: string, layers: readonly Pick<Layer, 'digest' | 'size'>[]): Promise<void> {
  for (const { digest, size } of layers) {
    if ((await sizeOf(join(root, 'blobs', blobName(digest)))) === size) continue
    throw new HttpError(`blob ${digest} was removed while the model was pulled: pull it again`)
  }
}

/** Digests of the manifest that is to be replaced; none where there is none or it cannot be understood. */
async function readLayers(path: string): Promise<string[]> {
  try {
    const manifest = parseManifest(await readFile(path, 'utf8'))
    if (manifest === undefined) return []
    return [...(manifest.layers ?? []), manifest.config].map(({ digest }) => digest.replace('-', ':'))
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** The model is there by now, so a failure is only told of. */
async function* removeUnused(
  remove: (digests: readonly string[]) => Promise<void>,
  digests: readonly string[],
): AsyncGenerator<Progress> {
  try {
    await remove([...new Set(digests)])
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    yield { status: `couldn't remove unused layers: ${reason}` }
  }
}
