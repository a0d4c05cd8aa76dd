import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { DroverError } from '../inference/index.ts'
import type { ImportSource, ModelFile } from './contract.ts'
import { isMissing, syncFolder, sweepTemporary, temporaryPath, writeAtomically } from './files.ts'
import { readGguf } from './gguf/read.ts'
import { humanCount } from './human.ts'
import { blobName, configMediaType, type Layer, layerMediaType, manifestMediaType } from './manifest.ts'

/** Bytes read at a time when a file is hashed or copied. */
const chunkBytes = 2 ** 20

/**
 * Puts a GGUF file and its texts into the store and writes the manifest, as `ollama create` would. What is there
 * already is left alone, so that doing it again changes nothing. The file is copied, not linked: a later change of
 * it in place would otherwise change the store under a name that says its digest.
 */
export async function writeModel(root: string, manifestPath: string, source: ImportSource): Promise<void> {
  await checkSource(source.path)
  const file = await readGguf(source.path)
  const parts = file.metadata['split.count']
  if (typeof parts === 'number' && parts > 1) {
    const advice = 'join its parts with llama-gguf-split --merge and import the result'
    throw new DroverError('unsupported', `${source.path} is one of ${parts} parts of a model: ${advice}`)
  }
  const blobs = join(root, 'blobs')
  await mkdir(blobs, { recursive: true })
  await sweepTemporary(blobs, Date.now())
  const layers = [await putFile(blobs, layerMediaType('model'), source.path)]
  for (const [kind, text] of textLayers(source)) layers.push(await putText(blobs, layerMediaType(kind), text))
  const config = await putText(blobs, configMediaType, configText(file, layers))
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: manifestMediaType, config, layers })
  if ((await readIfThere(manifestPath)) !== manifest) await writeAtomically(manifestPath, manifest)
}

async function checkSource(path: string): Promise<void> {
  const found = await stat(path).catch((error) => {
    const problem = isMissing(error) ? 'does not exist' : `cannot be read (${error.message})`
    throw new DroverError('invalid_request', `file ${path} ${problem}`, { cause: error })
  })
  if (!found.isFile()) throw new DroverError('invalid_request', `${path} is not a file`)
}

function textLayers({ template, system, parameters, license }: ImportSource): [kind: string, text: string][] {
  const layers: [string, string][] = []
  if (template !== undefined) layers.push(['template', template])
  if (system !== undefined) layers.push(['system', system])
  if (parameters !== undefined && Object.keys(parameters).length > 0) {
    layers.push(['params', JSON.stringify(parameters)])
  }
  if (license !== undefined) layers.push(['license', license])
  return layers
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

async function putText(blobs: string, mediaType: string, text: string): Promise<Layer> {
  const content = Buffer.from(text)
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  const path = join(blobs, blobName(digest))
  if ((await sizeOf(path)) !== content.length) await writeAtomically(path, content)
  return { mediaType, digest, size: content.length }
}

async function putFile(blobs: string, mediaType: string, path: string): Promise<Layer> {
  const digest = `sha256:${await hashFile(path)}`
  const { size } = await stat(path)
  const blob = join(blobs, blobName(digest))
  if ((await sizeOf(blob)) !== size) await copyFile(path, blob, digest, blobs)
  return { mediaType, digest, size }
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

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: chunkBytes }), hash)
  return hash.digest('hex')
}

async function sizeOf(path: string): Promise<number | undefined> {
  return ignoreMissing(stat(path).then(({ size }) => size))
}

async function readIfThere(path: string): Promise<string | undefined> {
  return ignoreMissing(readFile(path, 'utf8'))
}

async function ignoreMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
