import { readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf, isMissing, sweepTemporary } from './files.ts'
import { blobName, parseManifest } from './manifest.ts'

/** A blob this young may belong to a model that is being made, or pulled by another program: Ollama's rule. */
const sparedMs = 60 * 60 * 1000
/** A download that was broken off may be taken up again for so long. */
const partialSparedMs = 7 * 24 * sparedMs

/** Names in a folder, with their kinds; none where there is no such folder. */
async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Every file below the folder of manifests. */
async function manifestPaths(folder: string): Promise<string[]> {
  const entries = await entriesOf(folder)
  const below = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? manifestPaths(path) : [path]
    }),
  )
  return below.flat()
}

/** Files that a system or Drover itself leaves there are no manifests. */
const isManifest = (path: string) => !(path.split(/[\\/]/).at(-1) ?? '.').startsWith('.')

/** File names of all blobs that a manifest uses; undefined when one cannot be read, for it may use any. */
async function usedBlobs(manifests: string): Promise<Set<string> | undefined> {
  const used = new Set<string>()
  for (const path of (await manifestPaths(manifests)).filter(isManifest)) {
    const manifest = await readFile(path, 'utf8').then(parseManifest, (error) => {
      // Removed since it was listed: it uses nothing.
      if (isMissing(error)) return { config: undefined, layers: [] }
      throw error
    })
    if (manifest === undefined) return undefined
    for (const layer of [manifest.config, ...(manifest.layers ?? [])]) {
      if (layer) used.add(blobName(layer.digest))
    }
  }
  return used
}

/** Removes those of some blobs that no manifest uses. Spares all of them while a manifest cannot be read. */
export async function removeUnused(root: string, digests: readonly string[]): Promise<void> {
  const used = await usedBlobs(join(root, 'manifests'))
  if (used === undefined) return
  const unused = digests.map(blobName).filter((name) => !used.has(name))
  await Promise.all(unused.map((name) => rm(join(root, 'blobs', name), { force: true })))
}

/**
 * Removes blobs that no manifest uses, downloads broken off long ago, temporary files and empty folders of manifests.
 * What is younger than an hour stays, since somebody may be about to use it.
 */
export async function pruneStore(root: string, nowMs: number): Promise<void> {
  await tidyFolders(join(root, 'manifests'), nowMs)
  const blobs = join(root, 'blobs')
  const names = (await entriesOf(blobs)).map(({ name }) => name)
  if (names.length === 0) return
  await sweepTemporary(blobs, nowMs)
  const used = await usedBlobs(join(root, 'manifests'))
  if (used === undefined) return
  for (const name of names) {
    const [, partial] = /^sha256-[0-9a-f]{64}(-partial(?:-\d+)?)?$/.exec(name) ?? [undefined, undefined]
    if (!name.startsWith('sha256-') || used.has(name)) continue
    const age = await ageMs(join(blobs, name), nowMs)
    if (age > (partial === undefined ? sparedMs : partialSparedMs))
      await rm(join(blobs, name), { force: true })
  }
}

async function ageMs(path: string, nowMs: number): Promise<number> {
  try {
    return nowMs - (await stat(path)).mtimeMs
  } catch (error) {
    if (isMissing(error)) return 0
    throw error
  }
}

/** Removes temporary files and empty folders below a folder. */
async function tidyFolders(folder: string, nowMs: number): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    if (!entry.isDirectory()) continue
    const path = join(folder, entry.name)
    await sweepTemporary(path, nowMs)
    await tidyFolders(path, nowMs)
    await removeIfEmpty(path)
  }
}

/** Removes the folders that a manifest was alone in, up to the folder of all manifests. */
export async function removeEmptyParents(manifestPath: string, manifests: string): Promise<void> {
  for (let folder = dirname(manifestPath); folder.length > manifests.length; folder = dirname(folder)) {
    if (!(await removeIfEmpty(folder))) return
  }
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder)
    return true
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOENT') return false
    throw error
  }
}
