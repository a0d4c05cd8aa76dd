import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import type { ModelStore, Progress, TransferOptions } from '../contract.ts'
import { isMissing } from '../files.ts'
import { blobName, manifestMediaType, parseManifest } from '../manifest.ts'
import { manifestSegments } from '../names.ts'
import { type RegistryClient, retrying } from './client.ts'
import { blobLine, follow } from './follow.ts'
import { dump, HttpError } from './http.ts'
import { type RemoteModel, remoteModel } from './remote-name.ts'
import type { TransferContext } from './settings.ts'
import { outcomeOf } from './shared-downloads.ts'
import { storedName } from './stored-name.ts'
import { commitTimeoutMs, uploadBlob } from './upload.ts'

export interface PushContext extends TransferContext {
  store: Pick<ModelStore, 'root' | 'find'>
  connect(remote: RemoteModel): RegistryClient
}

/** Sends a model: the layers that its registry lacks one after another, and the manifest as the last thing. */
export async function* pushModel(
  context: PushContext,
  text: string,
  options: TransferOptions,
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  yield { status: 'retrieving manifest' }
  const remote = remoteModel(text, options)
  const name = await storedName(context.store, context.log, remote.name)
  const path = join(context.store.root, 'manifests', ...manifestSegments(name))
  const bytes = await readFile(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  const manifest = bytes && parseManifest(bytes.toString('utf8'))
  if (bytes === undefined || manifest === undefined) {
    yield { status: "couldn't retrieve manifest" }
    const problem = bytes === undefined ? 'no such file or directory' : 'not a manifest'
    throw new DroverError('internal', `open ${path}: ${problem}`)
  }

  const client = context.connect(remote)
  for (const layer of [...(manifest.layers ?? []), { ...manifest.config, from: undefined }]) {
    yield* pushLayer(context, client, layer, signal)
  }

  yield { status: 'pushing manifest' }
  const retries = { tries: context.settings.tries, delayMs: context.settings.retryDelayMs, signal }
  await retrying(context.clock, retries, async () => {
    const reply = await client.send({
      method: 'PUT',
      at: `manifests/${remote.name.tag}`,
      headers: { 'content-type': manifestMediaType },
      body: () => bytes,
      answerTimeoutMs: commitTimeoutMs,
      signal,
    })
    await dump(reply)
  })
  yield { status: 'success' }
}

async function* pushLayer(
  context: PushContext,
  client: RegistryClient,
  { digest: written, size, from }: { digest: string; size: number; from?: string | undefined },
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  const digest = written.replace('-', ':')
  if (await isThere(context, client, digest, signal)) {
    yield blobLine('pushing', digest, size, size)
    return
  }
  const path = join(context.store.root, 'blobs', blobName(digest))
  const cancel = new AbortController()
  let completedBytes = 0
  const onBytes = (bytes: number) => {
    completedBytes = bytes
  }
  const both = AbortSignal.any([signal, cancel.signal])
  const upload = outcomeOf(
    uploadBlob(context, { client, digest, path, totalBytes: size, from, onBytes, signal: both }),
  )
  try {
    const transfer = { totalBytes: size, completedBytes: () => completedBytes, ended: upload }
    yield* follow(context, 'pushing', digest, transfer, signal)
  } finally {
    cancel.abort()
    await upload
  }
}

async function isThere(
  { clock, settings }: TransferContext,
  client: RegistryClient,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  const retries = { tries: settings.tries, delayMs: settings.retryDelayMs, signal }
  try {
    await retrying(clock, retries, async () =>
      dump(await client.send({ method: 'HEAD', at: `blobs/${digest}`, signal })),
    )
    return true
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) return false
    throw error
  }
}
