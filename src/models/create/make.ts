import { createHash } from 'node:crypto'
import type { CreateRequest, ModelMaker, ModelStore, Progress } from '../contract.ts'
import { configMediaType, layerMediaType, manifestMediaType } from '../manifest.ts'
import { baseFromFiles } from './files.ts'
import { type Base, type MakerOptions, type Making, type NewLayer, refusal } from './making.ts'
import { baseFromModel } from './model.ts'
import { layTexts } from './texts.ts'

/**
 * Makes models as `ollama create` does: layers of files or of another model, texts and parameters laid over them, a
 * config, and last the manifest, so that a model is there whole or not at all. Throws `invalid_request` with Ollama's
 * words, `unsupported` where a tool is missing, and what store, registry and tools throw.
 */
export function createModelMaker(options: MakerOptions): ModelMaker {
  return async function* make(request, signal): AsyncGenerator<Progress> {
    const making: Making = {
      ...options,
      request,
      signal,
      putText: (type, text) => putText(options.store, type, text),
    }
    const base = yield* baseOf(making)
    yield* withAdapters(making, base)
    yield* withDraft(making, base)
    await layTexts(making, base)
    const config = await putText(options.store, configMediaType, configText(request, base))
    for (const { known, digest } of base.layers) {
      yield { status: `${known ? 'using existing layer' : 'creating new layer'} ${digest}` }
    }
    signal.throwIfAborted()
    yield { status: 'writing manifest' }
    const layers = base.layers.map(({ known: _known, ...layer }) => layer)
    const { known: _known, ...configLayer } = config
    const manifest = { schemaVersion: 2, mediaType: manifestMediaType, config: configLayer, layers }
    await options.store.writeManifest(request.model, JSON.stringify(manifest))
    yield { status: 'success' }
  }
}

async function* baseOf(making: Making): AsyncGenerator<Progress, Base> {
  const { from, files, remoteHost, draftFiles, draftQuantize } = making.request
  if (draftQuantize && !draftFiles) throw refusal('--draft-quantize requires a DRAFT model')
  if (remoteHost) return remoteBase(making.request, remoteHost)
  if (from) return yield* baseFromModel(making, from)
  if (files) return yield* baseFromFiles(making, files)
  throw refusal("neither 'from' or 'files' was specified")
}

/** A model that runs elsewhere has no layers of its own; who asks for it is told that this server has no way there. */
function remoteBase({ from = '', draftFiles }: CreateRequest, remoteHost: string): Base {
  if (draftFiles) throw refusal('DRAFT cannot be used with remote models')
  const url = /^https?:\/\//.test(remoteHost) ? remoteHost : `https://${remoteHost}`
  if (!URL.canParse(url)) throw refusal('bad remote')
  return { layers: [], config: { remote_host: new URL(url).origin, remote_model: from } }
}

async function* withAdapters(making: Making, base: Base): AsyncGenerator<Progress> {
  const { adapters } = making.request
  if (!adapters || Object.keys(adapters).length === 0) return
  const made = yield* baseFromFiles(making, adapters)
  const found = made.layers.filter(({ mediaType }) => mediaType === layerMediaType('adapter'))
  if (found.length !== 1 || made.layers.length !== 1) throw refusal('only one adapter is currently supported')
  base.layers = [...base.layers.filter(({ mediaType }) => mediaType !== layerMediaType('adapter')), ...found]
}

/** A small model that drafts for this one. */
async function* withDraft(making: Making, base: Base): AsyncGenerator<Progress> {
  const { draftFiles, draftQuantize } = making.request
  if (!draftFiles) return
  const { quantize: _, ...request } = making.request
  const drafting = { ...making, request: { ...request, ...(draftQuantize && { quantize: draftQuantize }) } }
  const { layers } = yield* baseFromFiles(drafting, draftFiles)
  base.layers = [
    ...base.layers.filter(({ mediaType }) => mediaType !== layerMediaType('draft')),
    ...layers.map((layer) => ({ ...layer, mediaType: layerMediaType('draft') })),
  ]
}

/** The config blob: the base's, with what the request says laid over it. */
function configText({ renderer, parser, requires, info }: CreateRequest, { config, layers }: Base): string {
  return JSON.stringify({
    ...config,
    ...infoFields(info ?? {}),
    ...(renderer && { renderer }),
    ...(parser && { parser }),
    ...(requires && { requires }),
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
}

/** The config's name of each field of `info`, and its type. */
const infoKinds = {
  capabilities: ['capabilities', 'strings'],
  model_family: ['model_family', 'string'],
  base_name: ['base_name', 'string'],
  quantization_level: ['file_type', 'string'],
  parameter_size: ['model_type', 'string'],
  context_length: ['context_length', 'number'],
  embedding_length: ['embedding_length', 'number'],
} as const

function infoFields(info: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [name, [key, kind]] of Object.entries(infoKinds)) {
    const value = info[name]
    if (value === undefined || value === null) continue
    if (kind === 'number' && !(typeof value === 'number' && Number.isInteger(value) && value >= 0)) {
      throw refusal(`info field "${name}" must be a non-negative integer`)
    }
    if (kind === 'string' && typeof value !== 'string') throw refusal(`info field "${name}" must be a string`)
    if (kind === 'strings' && !(Array.isArray(value) && value.every((item) => typeof item === 'string'))) {
      throw refusal(`info field "${name}" must be an array of strings`)
    }
    fields[key] = value
  }
  return fields
}

async function putText(store: ModelStore, mediaType: string, text: string): Promise<NewLayer> {
  const content = Buffer.from(text)
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  // A small text is worth no cancelling.
  const created = await store.putBlob(digest, onePiece(content), new AbortController().signal)
  return { mediaType, digest, size: content.length, known: !created }
}

async function* onePiece(content: Buffer): AsyncGenerator<Buffer> {
  yield content
}
