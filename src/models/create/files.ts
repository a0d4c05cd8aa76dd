import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rm, symlink } from 'node:fs/promises'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import type { ModelFile, Progress } from '../contract.ts'
import { temporaryPath } from '../files.ts'
import { readGguf } from '../gguf/read.ts'
import { humanCount } from '../human.ts'
import { layerMediaType } from '../manifest.ts'
import { familyDefaults } from './family.ts'
import { detectTemplate } from './known-templates.ts'
import { type Base, type Making, type NewLayer, refusal } from './making.ts'

/** Types that Ollama quantises to, and the one that it takes another name for. */
const quantizations = ['F32', 'F16', 'BF16', 'Q4_K_S', 'Q4_K_M', 'Q8_0']
const aliases: Record<string, string> = { Q4_K: 'Q4_K_M' }
const fullPrecision = ['F32', 'F16', 'BF16']

/** Ollama's stand-in for the digest of a file that does not exist yet. */
const noDigest = '0000000000000000000'

/** Layers of files that were uploaded: GGUF as they are, safetensors converted. */
export async function* baseFromFiles(
  making: Making,
  files: Readonly<Record<string, string>>,
): AsyncGenerator<Progress, Base> {
  const names = Object.keys(files)
  if (names.length === 0) throw refusal('no files provided to convert')
  for (const name of names) checkName(name)
  for (const digest of Object.values(files)) await checkBlob(making, digest)
  const isGguf = await Promise.all(
    Object.values(files).map((digest) => startsWithGguf(making.store.blobPath(digest))),
  )
  const base: Base = { layers: [], config: {} }
  if (isGguf.some(Boolean) || names.some((name) => /\.gguf$/i.test(name))) {
    if (!isGguf.every(Boolean)) throw refusal('supplied file was not in GGUF format')
    yield { status: 'parsing GGUF' }
    for (const [name, digest] of Object.entries(files)) await addGguf(making, base, name, digest)
    if (base.detected) yield { status: `using autodetected template ${base.detected.name}` }
  } else if (names.some((name) => /\.safetensors$/i.test(name))) {
    yield* convert(making, base, files)
  } else {
    throw refusal('unknown type')
  }
  yield* quantizeLayers(making, base)
  return base
}

function checkName(name: string): void {
  const clean = normalize(name)
  if (name === '' || isAbsolute(name) || clean.startsWith('..') || name.includes('\\')) {
    throw refusal('file path must be relative')
  }
}

async function checkBlob({ store }: Making, digest: string): Promise<void> {
  if ((await store.blobSize(digest)) === undefined) throw refusal(`blob "${digest}" not found`)
}

async function startsWithGguf(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0)
    return buffer.toString('latin1') === 'GGUF'
  } finally {
    await file.close()
  }
}

async function addGguf({ store, request }: Making, base: Base, name: string, digest: string): Promise<void> {
  const file = await readGguf(store.blobPath(digest))
  const parts = file.metadata['split.count']
  if (typeof parts === 'number' && parts > 1) {
    const advice = 'join its parts with llama-gguf-split --merge and create from the result'
    throw new DroverError('unsupported', `file ${name} is one of ${parts} parts of a model: ${advice}`)
  }
  const kind = kindOf(file)
  const size = (await store.blobSize(digest)) ?? 0
  base.layers.push({ mediaType: layerMediaType(kind), digest, size, known: true })
  if (kind !== 'model') return
  base.config = { ...configOf(file), ...base.config }
  const { renderer, parser, template } = request
  if (renderer || parser || template) return
  const family = familyDefaults(file.shape.architecture)
  const detected = family ? undefined : detectTemplate(file)
  if (family) {
    const { parameters, ...names } = family
    base.config = { ...base.config, ...names }
    if (parameters) base.parameters = parameters
  }
  if (detected) Object.assign(base, { detected, parameters: { stop: detected.stop } })
}

function kindOf({ metadata, shape }: ModelFile): 'model' | 'projector' | 'adapter' {
  const type = metadata['general.type']
  if (type === 'adapter') return 'adapter'
  return type === 'mmproj' || type === 'projector' || shape.architecture === 'clip' ? 'projector' : 'model'
}

function configOf({ shape, fileType }: ModelFile): Record<string, unknown> {
  return {
    model_format: 'gguf',
    model_family: shape.architecture,
    model_families: [shape.architecture],
    model_type: humanCount(shape.parameterCount),
    file_type: fileType,
  }
}

/** Converts a folder of safetensors through llama.cpp's own tool. The blobs are linked under the names they had. */
async function* convert(
  making: Making,
  base: Base,
  files: Readonly<Record<string, string>>,
): AsyncGenerator<Progress> {
  const { store, tools, signal } = making
  const isAdapter = Object.keys(files).some((name) => /(^|\/)adapter_config\.json$/.test(name))
  yield { status: isAdapter ? 'converting adapter' : 'converting model' }
  const folder = temporaryPath(join(store.root, 'blobs'))
  const made = `${folder}.gguf`
  try {
    for (const [name, digest] of Object.entries(files)) {
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true })
      await symlink(store.blobPath(digest), path)
    }
    await tools.convert({ folder, target: made, isAdapter }, signal)
    await addFile(making, base, made)
  } finally {
    await rm(folder, { recursive: true, force: true })
    await rm(made, { force: true })
  }
}

/** Quantises the base's model where the request asks for it. */
export async function* quantizeLayers(making: Making, base: Base): AsyncGenerator<Progress> {
  const wanted = making.request.quantize?.toUpperCase()
  if (!wanted) return
  const target = aliases[wanted] ?? wanted
  if (!quantizations.includes(target)) {
    const supported = 'F32, F16, Q4_K_S, Q4_K_M, Q8_0'
    throw new DroverError(
      'internal',
      `unsupported quantization type ${wanted} - supported types are ${supported}`,
    )
  }
  const model = base.layers.find(({ mediaType }) => mediaType === layerMediaType('model'))
  if (!model) throw refusal('no files provided to convert')
  const source = making.store.blobPath(model.digest)
  const { fileType } = await readGguf(source)
  if (fileType === target) return
  if (!fullPrecision.includes(fileType)) {
    throw new DroverError('internal', 'quantization is only supported for F16, BF16 and F32 models')
  }
  const made = `${temporaryPath(join(making.store.root, 'blobs'))}.gguf`
  try {
    const status = `quantizing ${fileType} model to ${target}`
    const steps = making.tools.quantize({ source, target: made, type: target }, making.signal)
    for await (const { completed, total } of steps) yield { status, digest: noDigest, total, completed }
    base.layers = base.layers.filter((layer) => layer !== model)
    base.config = {}
    await addFile(making, base, made)
  } finally {
    await rm(made, { force: true })
  }
}

/** Moves a file that a tool made into the store. */
async function addFile(making: Making, base: Base, path: string): Promise<void> {
  const file = await readGguf(path)
  const digest = await digestOf(path)
  const created = await making.store.putBlob(digest, createReadStream(path), making.signal)
  const size = (await making.store.blobSize(digest)) ?? 0
  const kind = kindOf(file)
  const layer: NewLayer = { mediaType: layerMediaType(kind), digest, size, known: !created }
  base.layers.unshift(layer)
  if (kind === 'model') base.config = { ...base.config, ...configOf(file) }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}
