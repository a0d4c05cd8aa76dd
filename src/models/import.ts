import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { DroverError } from '../inference/index.ts'
import type { ImportSource, ModelFile } from './contract.ts'
import { isMissing, sweepTemporary, syncFolder, temporaryPath, writeAtomically } from './files.ts'
import { readGguf } from './gguf/read.ts'
import { humanCount } from './human.ts'
import {
  blobName,
  configMediaType,
  type Layer,
  layerMediaType,
  manifestMediaType,
  parseManifest,
} from './manifest.ts'

/** Bytes read at a time when a file is hashed or copied. */
const chunkBytes = 2 ** 20

/**
 * Puts a GGUF file and its texts into the store and writes the manifest, as `ollama create` would. What is there
 * already is left alone, so that doing it again changes nothing. The file is copied, not linked: a later change of
 * it in place would otherwise change the store under a name that says its digest.
 */
export async function writeModel(root: string, manifestPath: string, source: ImportSource): Promise<void> {
  await checkSource(source.path)
  const model = await fileLayer(source.path)
  const texts = textLayers(source)
  const layers = [model, ...texts.map(({ layer }) => layer)]
  const blobs = join(root, 'blobs')
  if (await isThere(manifestPath, blobs, layers)) return
  const file = await readWhole(source.path)
  await mkdir(blobs, { recursive: true })
  await sweepTemporary(blobs, Date.now())
  await putFile(blobs, model, source.path)
  const config = textLayer(configMediaType, configText(file, layers))
  for (const text of [...texts, config]) await putText(blobs, text)
  const manifest = { schemaVersion: 2, mediaType: manifestMediaType, config: config.layer, layers }
  await writeAtomically(manifestPath, JSON.stringify(manifest))
}

/** Whether a manifest already has exactly these layers, and the store has their blobs. */
async function isThere(manifestPath: string, blobs: string, layers: readonly Layer[]): Promise<boolean> {
  const text = await ignoreMissing(readFile(manifestPath, 'utf8'))
  const known = text === undefined ? undefined : parseManifest(text)
  if (known === undefined || JSON.stringify(known.layers) !== JSON.stringify(layers)) return false
  const wanted = [known.config, ...layers]
  const sizes = await Promise.all(wanted.map((layer) => blobSize(blobs, layer)))
  return sizes.every((size, index) => size === wanted[index]?.size)
}

/** Reads the head of the file to import. Throws for one that is only a part of a model. */
async function readWhole(path: string): Promise<ModelFile> {
  const file = await readGguf(path)
  const parts = file.metadata['split.count']
  if (typeof parts === 'number' && parts > 1) {
    const advice = 'join its parts with llama-gguf-split --merge and import the result'
    throw new DroverError('unsupported', `${path} is one of ${parts} parts of a model: ${advice}`)
  }
  return file
}

async function checkSource(path: string): Promise<void> {
  const found = await stat(path).catch((error) => {
    const problem = isMissing(error) ? 'does not exist' : `cannot be read (${error.message})`
    throw new DroverError('invalid_request', `file ${path} ${problem}`, { cause: error })
  })
  if (!found.isFile()) throw new DroverError('invalid_request', `${path} is not a file`)
}

/** A small layer and what it holds. */
interface TextLayer {
  layer: Layer
  content: Buffer
}

function textLayers({ template, system, parameters, license }: ImportSource): TextLayer[] {
  const hasParameters = parameters !== undefined && Object.keys(parameters).length > 0
  const texts: [kind: string, text: string | undefined][] = [
    ['template', template],
    ['system', system],
    ['params', hasParameters ? JSON.stringify(parameters) : undefined],
    ['license', license],
  ]
  return texts.flatMap(([kind, text]) => (text === undefined ? [] : [textLayer(layerMediaType(kind), text)]))
}

function textLayer(mediaType: string, text: string): TextLayer {
  const content = Buffer.from(text)
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  return { layer: { mediaType, digest, size: content.length }, content }
}

async function fileLayer(path: string): Promise<Layer> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    hash.update(chunk)
    size += chunk.length
  }
  return { mediaType: layerMediaType('model'), digest: `sha256:${hash.digest('hex')}`, size }
}

/** The config blob. Ollama, too, writes one fixed machine into it, whatever it runs on. */
function configText({ shape, fileType }: ModelFile, layers: readonly Layer[]): string {
  return JSON.stringify({
    model_format: 'gguf',
    model_family: shape.architecture,
    model_families: [shape.architecture],
    model_type: humanCount(shape.parameterCount),
    file_type: fileType,
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
}

async function putText(blobs: string, { layer, content }: TextLayer): Promise<void> {
  const there = (await blobSize(blobs, layer)) === layer.size
  if (!there) await writeAtomically(join(blobs, blobName(layer.digest)), content)
}

async function putFile(blobs: string, layer: Layer, path: string): Promise<void> {
  const there = (await blobSize(blobs, layer)) === layer.size
  if (!there) await copyFile(path, join(blobs, blobName(layer.digest)), layer.digest, blobs)
}

async function blobSize(blobs: string, { digest }: { digest: string }): Promise<number | undefined> {
  return ignoreMissing(stat(join(blobs, blobName(digest))).then(({ size }) => size))
}

/** Copies by way of a temporary file, and checks that what was written has the digest it will be found under. */
async function copyFile(from: string, to: string, digest: string, folder: string): Promise<void> {
  const temporary = temporaryPath(folder)
  const hash = createHash('sha256')
  try {
    await pipeline(
      createReadStream(from, { highWaterMark: chunkBytes }),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(temporary, { flags: 'wx', flush: true }),
    )
    if (`sha256:${hash.digest('hex')}` !== digest) {
      throw new DroverError('invalid_request', `file ${from} changed while it was imported: try again`)
    }
    await rename(temporary, to)
    await syncFolder(folder)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function ignoreMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
