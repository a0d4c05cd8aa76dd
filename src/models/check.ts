import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, storeUnreadable } from './files.ts'
import { blobName, type Layer, parseManifest } from './manifest.ts'
import { displayShortest, isValidName } from './names.ts'
import { digestOfFile } from './registry/digest.ts'

/** What is wrong with a model of a store, and what to do about it. */
export interface StoreProblem {
  kind: 'bad_manifest' | 'bad_name' | 'missing_blob' | 'wrong_size' | 'wrong_digest'
  text: string
  advice: string
}

/** A manifest with what it needs. */
export interface CheckedModel {
  /** As Ollama displays it; the path below `manifests` where that is no name. */
  name: string
  /** All layers and the config, by the manifest. */
  sizeBytes: number
  problems: StoreProblem[]
}

export interface StoreCheck {
  models: CheckedModel[]
  /** Blobs that no manifest uses, and what is left of downloads. */
  unused: { blobs: number; bytes: number }
  partial: { blobs: number; bytes: number }
}

export interface StoreCheckOptions {
  /** Reads every blob and compares its SHA-256 with its name. */
  digests: boolean
  signal: AbortSignal
  onDigest?(path: string): void
}

/**
 * Looks at every manifest and blob of a store in Ollama's layout, and changes nothing. Throws `store_unreadable` where
 * there is no such folder or it may not be read, and the signal's reason.
 */
export async function checkStore(root: string, options: StoreCheckOptions): Promise<StoreCheck> {
  const blobs = await blobSizes(root)
  const paths = (await filesBelow(join(root, 'manifests'))).filter(
    (path) => !/(^|[\\/])\.[^\\/]*$/.test(path),
  )
  const used = new Set<string>()
  const models: CheckedModel[] = []
  /** Models share blobs; each is read once. */
  const digests = new Map<string, Promise<boolean>>()
  const isWhole = (name: string) => {
    const known = digests.get(name)
    if (known) return known
    const path = join(root, 'blobs', name)
    options.onDigest?.(path)
    const whole = digestOfFile(path, options.signal).then((digest) => blobName(digest) === name)
    digests.set(name, whole)
    return whole
  }
  for (const path of paths.toSorted()) {
    options.signal.throwIfAborted()
    const { layers, ...model } = await readManifest(root, path)
    for (const { digest } of layers) used.add(blobName(digest))
    const missing = layers.flatMap((layer) => sizeProblem(layer, blobs))
    const present = layers.filter(({ digest, size }) => blobs.get(blobName(digest)) === size)
    if (options.digests) {
      for (const { digest } of present) {
        if (!(await isWhole(blobName(digest)))) missing.push(wrongDigest(digest))
      }
    }
    models.push({ ...model, problems: [...model.problems, ...missing] })
  }
  const idle = [...blobs].filter(([name]) => !used.has(name))
  return {
    models,
    unused: total(idle.filter(([name]) => /^sha256-[0-9a-f]{64}$/.test(name))),
    partial: total(idle.filter(([name]) => name.includes('-partial'))),
  }
}

type Part = Pick<Layer, 'digest' | 'size'> & { mediaType?: string | undefined }

async function readManifest(root: string, path: string): Promise<CheckedModel & { layers: Part[] }> {
  const below = path.slice(join(root, 'manifests').length + 1)
  const [host = '', namespace = '', model = '', tag = '', ...more] = below.split(/[\\/]/)
  const name = { host, namespace, model, tag }
  const valid = more.length === 0 && isValidName(name)
  const shown = valid ? displayShortest(name) : below
  const problems: StoreProblem[] = valid
    ? []
    : [
        {
          kind: 'bad_name',
          text: `${below} is no HOST/NAMESPACE/MODEL/TAG, so nobody finds it`,
          advice: 'move it where a model of that name belongs, or remove the file',
        },
      ]
  const manifest = parseManifest(await readFile(path, 'utf8'))
  if (manifest) {
    const layers = [manifest.config, ...(manifest.layers ?? [])]
    return { name: shown, sizeBytes: layers.reduce((sum, { size }) => sum + size, 0), problems, layers }
  }
  problems.push({
    kind: 'bad_manifest',
    text: `the manifest ${path} cannot be understood`,
    advice: `pull the model anew: drover pull ${shown}`,
  })
  return { name: shown, sizeBytes: 0, problems, layers: [] }
}

function sizeProblem({ digest, size, mediaType }: Part, blobs: ReadonlyMap<string, number>): StoreProblem[] {
  const found = blobs.get(blobName(digest))
  if (found === size) return []
  const what = `${
    mediaType
      ?.split('.')
      .at(-1)
      ?.replace(/\+json$/, '') ?? 'config'
  } blob ${digest.slice(0, 19)}`
  return [
    found === undefined
      ? {
          kind: 'missing_blob',
          text: `its ${what} is missing`,
          advice: 'pull the model anew: what is there is kept',
        }
      : {
          kind: 'wrong_size',
          text: `its ${what} has ${found} bytes in place of ${size}`,
          advice: 'remove the blob and pull the model anew',
        },
  ]
}

function wrongDigest(digest: string): StoreProblem {
  return {
    kind: 'wrong_digest',
    text: `the content of blob ${digest.slice(0, 19)} is not what its name says: the disk or a copy has changed it`,
    advice: 'remove the blob and pull the model anew, then check the disk',
  }
}

/** Every blob's size by its file name; none where there is no such folder. */
async function blobSizes(root: string): Promise<Map<string, number>> {
  const folder = join(root, 'blobs')
  const names = await namesIn(root).then((inside) => (inside.includes('blobs') ? namesIn(folder) : []))
  const sizes = await Promise.all(
    names.map(async (name): Promise<[string, number]> => [name, (await stat(join(folder, name))).size]),
  )
  return new Map(sizes)
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    throw storeUnreadable(folder, error)
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true, recursive: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  } catch (error) {
    if (isMissing(error)) return []
    throw storeUnreadable(folder, error)
  }
}

function total(blobs: readonly [string, number][]): { blobs: number; bytes: number } {
  return { blobs: blobs.length, bytes: blobs.reduce((sum, [, bytes]) => sum + bytes, 0) }
}
