import { readFile } from 'node:fs/promises'
import { DroverError } from '../../inference/index.ts'
import type { Progress } from '../contract.ts'
import { layerMediaType, parseManifest } from '../manifest.ts'
import { quantizeLayers } from './files.ts'
import type { Base, Making } from './making.ts'

/** Layers and config of a model, fetched first where it is not here. */
export async function* baseFromModel(making: Making, from: string): AsyncGenerator<Progress, Base> {
  const { store, registry, signal } = making
  let text = await store.readManifest(from)
  if (text === undefined) {
    for await (const progress of registry.pull(from, {}, signal)) {
      if (progress.status !== 'success') yield progress
    }
    text = await store.readManifest(from)
  }
  const manifest = text === undefined ? undefined : parseManifest(text)
  if (!manifest) throw new DroverError('model_corrupt', `the manifest of model "${from}" cannot be read`)
  const config = await readConfig(making, manifest.config.digest)
  const layers = (manifest.layers ?? []).map((layer) => ({
    ...layer,
    ...(layer.mediaType === layerMediaType('model') && { from: layer.from ?? from }),
    known: true,
  }))
  const base = { layers, config }
  yield* quantizeLayers(making, base)
  return base
}

async function readConfig({ store }: Making, digest: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(store.blobPath(digest), 'utf8')) as Record<string, unknown>
}
