import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DroverError, type Message } from '../inference/index.ts'
import type { ModelConfig, ModelName, StoredModel } from './contract.ts'
import { isMissing } from './files.ts'
import { displayShortest, fullModelName } from './names.ts'
import { parseParameters } from './parameters.ts'

/*
 * Ollama's manifests: a Docker distribution manifest (schema 2) whose layers are told apart by media type. Big
 * layers are left as paths, small ones are read.
 */

export const manifestMediaType = 'application/vnd.docker.distribution.manifest.v2+json'
export const configMediaType = 'application/vnd.docker.container.image.v1+json'

/** Media type of a layer of a kind: `model`, `template`, `params`, ... */
export const layerMediaType = (kind: string) => `application/vnd.ollama.image.${kind}`

/** A small layer larger than this is not what it says. The longest licences have some hundred kilobytes. */
const largestTextBytes = 16 * 2 ** 20

const digest = z.string().regex(/^sha256[:-][0-9a-f]{64}$/)

const layer = z.object({
  mediaType: z.string(),
  digest,
  size: z.number().int().nonnegative(),
  from: z.string().optional(),
})

const manifest = z.object({
  config: layer.partial({ mediaType: true }),
  // Absent or null for models that run elsewhere.
  layers: z.array(layer).nullish(),
})

export type Layer = z.infer<typeof layer>
export type Manifest = z.infer<typeof manifest>

/** The manifest in a text; undefined where it is none. */
export function parseManifest(text: string): Manifest | undefined {
  try {
    return manifest.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

const config = z.looseObject({
  model_format: z.string().optional(),
  model_family: z.string().optional(),
  model_families: z.array(z.string()).nullish(),
  model_type: z.string().optional(),
  file_type: z.string().optional(),
  renderer: z.string().optional(),
  parser: z.string().optional(),
  requires: z.string().optional(),
  remote_host: z.string().optional(),
  remote_model: z.string().optional(),
  capabilities: z.array(z.string()).nullish(),
  context_length: z.number().optional(),
  embedding_length: z.number().optional(),
})

const messages = z.array(
  z.object({ role: z.enum(['system', 'user', 'assistant', 'tool']), content: z.string() }),
)

/** File name of a blob, from a digest in either spelling. */
export function blobName(digestText: string): string {
  return digestText.replace(':', '-')
}

/**
 * Reads the model of a manifest. Throws `model_corrupt` naming the manifest where it, or a small layer of it,
 * cannot be read. `warn` is told what was left out.
 */
export async function readStoredModel(
  root: string,
  name: ModelName,
  manifestPath: string,
  modifiedAtMs: number,
  warn: (text: string) => void,
): Promise<StoredModel> {
  try {
    const bytes = await readFile(manifestPath)
    return await readLayers(root, name, bytes, modifiedAtMs, warn)
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : String(error)
    const advice = isMissing(error) ? 'a part of it is missing' : 'it cannot be understood'
    const message = `model ${displayShortest(name)} cannot be read from ${manifestPath}: ${advice} (${reason})`
    throw new DroverError('model_corrupt', message, { cause: error })
  }
}

async function readLayers(
  root: string,
  name: ModelName,
  bytes: Buffer,
  modifiedAtMs: number,
  warn: (text: string) => void,
): Promise<StoredModel> {
  const parsed = manifest.parse(JSON.parse(bytes.toString('utf8')))
  const layers = parsed.layers ?? []
  const path = ({ digest: text }: { digest: string }) => join(root, 'blobs', blobName(text))
  const ofKind = (kind: string) => layers.filter(({ mediaType }) => mediaType === layerMediaType(kind))
  const text = async (kind: string) => {
    const last = ofKind(kind).at(-1)
    return last && readText(path(last), last.size)
  }
  const model = ofKind('model').at(-1)
  const draft = ofKind('draft').at(-1)
  const [template, system, params, chat, licenses] = await Promise.all([
    text('template').then((found) => found ?? text('prompt')),
    text('system'),
    text('params'),
    text('messages'),
    Promise.all(ofKind('license').map((item) => readText(path(item), item.size))),
  ])
  const { options, dropped } = parseParameters(params === undefined ? {} : JSON.parse(params))
  if (dropped.length > 0)
    warn(`parameters of ${displayShortest(name)} that are not known: ${dropped.join(', ')}`)
  return {
    name,
    displayName: displayShortest(name),
    fullName: fullModelName(name),
    digest: createHash('sha256').update(bytes).digest('hex'),
    sizeBytes: layers.reduce((sum, { size }) => sum + size, parsed.config.size),
    modifiedAtMs,
    modelPath: model ? path(model) : '',
    projectorPaths: ofKind('projector').map(path),
    adapterPaths: ofKind('adapter').map(path),
    ...(draft && { draftPath: path(draft) }),
    ...(model?.from !== undefined && { parentModel: model.from }),
    ...(template !== undefined && { template }),
    ...(system !== undefined && { system }),
    parameters: options,
    messages: chat === undefined ? [] : (messages.parse(JSON.parse(chat)) satisfies Message[]),
    licenses,
    config: await readConfig(path(parsed.config), parsed.config.size),
  }
}

async function readConfig(path: string, size: number): Promise<ModelConfig> {
  // An empty config is written by tools that push GGUF files to a registry.
  const parsed = config.parse(size === 0 ? {} : JSON.parse(await readText(path, size)))
  const { capabilities, ...rest } = parsed
  return withoutUndefined({ ...rest, ...(capabilities && { capabilities }) })
}

async function readText(path: string, size: number): Promise<string> {
  if (size > largestTextBytes) throw new Error(`${path} has ${size} bytes where a text was expected`)
  return readFile(path, 'utf8')
}

/** Optional fields that are undefined become absent, as `exactOptionalPropertyTypes` has it. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
