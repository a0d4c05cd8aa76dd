import { statSync } from 'node:fs'
import { mkdir, readFile as readBytes, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import { blobPath, sizeOfBlob, writeBlob } from './blobs.ts'
import type { ModelDescription, ModelFile, ModelName, ModelStore, StoredModel } from './contract.ts'
import { describeModel } from './describe.ts'
import { codeOf, isMissing, storeUnreadable, sweepTemporary, writeAtomically } from './files.ts'
import { readGguf } from './gguf/read.ts'
import { writeModel } from './import.ts'
import { parseManifest, readStoredModel } from './manifest.ts'
import { fullModelName, isValidName, manifestSegments, parseModelName } from './names.ts'
import { pruneStore, removeEmptyParents, removeUnused } from './prune.ts'

export interface StoreOptions {
  /** The folder that holds `manifests` and `blobs`. */
  root: string
  log: Pick<Logger, 'warn'>
  /** False keeps blobs that no model uses any more; those of a removed model go all the same. */
  prunes?: boolean
}

/** Heads of model files kept in memory; one takes some hundred kilobytes. */
const mostFiles = 256

/** Spellings of names kept with the manifest that they lead to. */
const mostSpellings = 4096

/** Folders of manifests whose names are kept. */
const mostFolders = 16_384
/** The coarsest clock of a file system in use (FAT's). */
const clockTickMs = 2000

/** What tells one state of a file from another. Renaming a new file over an old one changes the inode. */
interface FileState {
  mtimeMs: number
  size: number
  ino: number
}

/** A manifest as last read: its model, or why there is none. */
interface CachedManifest extends FileState {
  stored?: StoredModel
  error?: unknown
}

/**
 * Opens a store on Ollama's own layout; a real Ollama may work on the same folder meanwhile. A root that does not
 * exist is an empty store, made by the first import. Throws `store_unreadable` where it exists and cannot be read.
 */
export async function openStore({ root, log, prunes = true }: StoreOptions): Promise<ModelStore> {
  const manifests = join(root, 'manifests')
  const cache = new Map<string, CachedManifest>()
  const knownFolders = new Map<string, { changedMs: number; names: string[] }>()
  const spellings = new Map<string, string>()
  const files = new Map<string, FileState & { file: Promise<ModelFile> }>()
  const descriptions = new WeakMap<StoredModel, Promise<ModelDescription>>()
  let lastRead: Promise<unknown> = Promise.resolve()
  let lastChange: Promise<unknown> = Promise.resolve()

  /** Reads a manifest, or takes it from the cache when the file is as it was. Undefined when there is none. */
  async function load(path: string, name: ModelName): Promise<CachedManifest | undefined> {
    const found = stateOf(path)
    if (found === undefined) {
      cache.delete(path)
      return undefined
    }
    const known = cache.get(path)
    if (known && sameState(known, found)) return known
    const warn = (text: string) => log.warn({ manifest: path }, text)
    const { mtimeMs, size, ino } = found
    const entry: CachedManifest = { mtimeMs, size, ino }
    try {
      entry.stored = await readStoredModel(root, name, path, mtimeMs, warn)
    } catch (error) {
      entry.error = error
      warn(error instanceof Error ? error.message : String(error))
    }
    cache.set(path, entry)
    return entry
  }

  /**
   * State of a file; undefined when there is none. Not asynchronous: it is part of every request, the answer comes
   * from the kernel's cache in microseconds, and the way through the thread pool takes twenty times as long.
   */
  function stateOf(path: string): FileState | undefined {
    try {
      const found = statSync(path, { throwIfNoEntry: false })
      return found?.isFile() ? found : undefined
    } catch (error) {
      if (isMissing(error)) return undefined
      throw storeUnreadable(root, error)
    }
  }

  /** Names in a folder, read anew when it has changed; none where there is no such folder. */
  async function namesIn(folder: string): Promise<string[]> {
    try {
      const changedMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0
      const known = knownFolders.get(folder)
      if (known?.changedMs === changedMs) return known.names
      const names = await readdir(folder)
      if (knownFolders.size >= mostFolders) knownFolders.clear()
      // What changes twice within a tick of the file system's clock shows only one change.
      if (Date.now() - changedMs > clockTickMs) knownFolders.set(folder, { changedMs, names })
      return names
    } catch (error) {
      if (isMissing(error)) return []
      throw storeUnreadable(root, error)
    }
  }

  /** The manifest of a name in whatever case its folders are written; undefined when there is none. */
  async function findPath(name: ModelName): Promise<string | undefined> {
    let folders = [manifests]
    for (const segment of manifestSegments(name)) {
      const wanted = segment.toLowerCase()
      const found = await Promise.all(
        folders.map(async (folder) => {
          const matching = (await namesIn(folder)).filter((entry) => entry.toLowerCase() === wanted)
          return matching.sort().map((entry) => join(folder, entry))
        }),
      )
      folders = found.flat()
    }
    return folders[0]
  }

  async function find(text: string): Promise<StoredModel | undefined> {
    const name = parseModelName(text)
    const spelling = fullModelName(name)
    const exact = spellings.get(spelling) ?? join(manifests, ...manifestSegments(name))
    let entry = await load(exact, nameOf(exact))
    if (!entry) {
      spellings.delete(spelling)
      const path = await findPath(name)
      entry = path === undefined ? undefined : await load(path, nameOf(path))
      if (path !== undefined && entry) {
        if (spellings.size >= mostSpellings) spellings.clear()
        spellings.set(spelling, path)
      }
    }
    if (entry?.error) throw entry.error
    return entry?.stored
  }

  /** The name that a manifest's path says, in the case of the folders. */
  function nameOf(path: string): ModelName {
    const [host = '', namespace = '', model = '', tag = ''] = path.slice(manifests.length + 1).split(/[\\/]/)
    return { host, namespace, model, tag }
  }

  async function list(): Promise<StoredModel[]> {
    let paths = [manifests]
    for (let depth = 0; depth < 4; depth++) {
      const found = await Promise.all(
        paths.map(async (path) => (await namesIn(path)).map((entry) => join(path, entry))),
      )
      paths = found.flat()
    }
    // Other programs leave files of their own (`.DS_Store`), which are no names.
    const valid = paths.filter((path) => isValidName(nameOf(path)))
    const entries = await Promise.all(valid.map((path) => load(path, nameOf(path))))
    return entries
      .map((entry) => entry?.stored)
      .filter((stored) => stored !== undefined)
      .sort((a, b) => b.modifiedAtMs - a.modifiedAtMs || (a.fullName < b.fullName ? -1 : 1))
  }

  /** A model file's head. One is read at a time: each takes tens of megabytes while it is. */
  async function readFile(path: string): Promise<ModelFile> {
    const found = stateOf(path)
    const known = files.get(path)
    if (found && known && sameState(known, found)) return known.file
    const file = lastRead.then(() => readGguf(path))
    // Whoever asked for the file sees its error; the next in the queue only waits.
    lastRead = file.catch((error: unknown) => error)
    if (found) {
      if (files.size >= mostFiles) files.delete(files.keys().next().value ?? '')
      files.set(path, { mtimeMs: found.mtimeMs, size: found.size, ino: found.ino, file })
    }
    file.catch(() => files.delete(path))
    return file
  }

  async function describeAnew(stored: StoredModel): Promise<ModelDescription> {
    const { config, modelPath, projectorPaths } = stored
    if (modelPath === '') {
      const problem = config.remote_host
        ? `runs at ${config.remote_host}, and this server only runs models that it has`
        : `has no GGUF file (its format is ${config.model_format || 'unknown'})`
      throw new DroverError('unsupported', `model "${stored.displayName}" ${problem}`)
    }
    const file = await readFile(modelPath)
    const projector = projectorPaths[0] === undefined ? undefined : await readFile(projectorPaths[0])
    return describeModel(stored, file, projector)
  }

  /** What the disk refuses, in the store's words. */
  async function onDisk<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw error instanceof DroverError || codeOf(error) === undefined ? error : storeUnreadable(root, error)
    }
  }

  async function readManifest(text: string): Promise<string | undefined> {
    const path = await findPath(parseModelName(text))
    return path === undefined ? undefined : onDisk(readBytes(path, 'utf8'))
  }

  /** One change of manifests at a time: what one counts on, another may be about to remove. */
  function exclusively<T>(change: () => Promise<T>): Promise<T> {
    const changed = lastChange.then(change)
    // Whoever asked for the change sees its error; the next in the queue only waits.
    lastChange = changed.catch((error: unknown) => error)
    return changed
  }

  async function putManifest(text: string, content: string): Promise<void> {
    const name = parseModelName(text)
    const known = await findPath(name)
    const before = known === undefined ? [] : digestsOf(await onDisk(readBytes(known, 'utf8')))
    const path = known ?? join(manifests, ...manifestSegments(name))
    await onDisk(writeAtomically(path, content))
    await onDisk(sweepTemporary(dirname(path), Date.now()))
    if (prunes) await onDisk(removeUnused(root, before))
  }

  async function writeManifest(text: string, content: string): Promise<void> {
    for (const digest of digestsOf(content)) {
      if ((await onDisk(sizeOfBlob(root, digest))) !== undefined) continue
      const problem = `blob ${digest} of model "${text}" was removed meanwhile, perhaps with another model: try again`
      throw new DroverError('internal', problem)
    }
    await putManifest(text, content)
  }

  async function copy(source: string, destination: string): Promise<void> {
    const content = await readManifest(source)
    if (content === undefined) throw new DroverError('model_not_found', `model "${source}" not found`)
    await putManifest(destination, content)
  }

  async function remove(text: string): Promise<void> {
    const path = await findPath(parseModelName(text))
    if (path === undefined) throw new DroverError('model_not_found', `model '${text}' not found`)
    const digests = digestsOf(await onDisk(readBytes(path, 'utf8')))
    await onDisk(rm(path, { force: true }))
    await onDisk(removeEmptyParents(path, manifests))
    cache.delete(path)
    await onDisk(removeUnused(root, digests))
  }

  try {
    if (!(await stat(root)).isDirectory())
      throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' })
    await readdir(root)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw storeUnreadable(root, error)
  }

  return {
    root,
    list,
    find,
    describe(stored) {
      const known = descriptions.get(stored)
      if (known) return known
      const description = describeAnew(stored)
      descriptions.set(stored, description)
      description.catch(() => descriptions.delete(stored))
      return description
    },
    async importGguf(text, source) {
      const name = parseModelName(text)
      const path = (await findPath(name)) ?? join(manifests, ...manifestSegments(name))
      try {
        await mkdir(root, { recursive: true })
        await writeModel(root, path, source)
      } catch (error) {
        throw error instanceof DroverError ? error : storeUnreadable(root, error)
      }
      const entry = await load(path, nameOf(path))
      if (entry?.stored) return entry.stored
      throw entry?.error ?? new DroverError('internal', `model "${text}" was removed while it was imported`)
    },
    readManifest,
    writeManifest: (name, manifest) => exclusively(() => writeManifest(name, manifest)),
    blobPath: (digest) => blobPath(root, digest),
    copy: (source, destination) => exclusively(() => copy(source, destination)),
    remove: (name) => exclusively(() => remove(name)),
    blobSize: (digest) => onDisk(sizeOfBlob(root, digest)),
    putBlob: (digest, content, signal) => onDisk(writeBlob(root, digest, content, signal)),
    prune: () => (prunes ? onDisk(pruneStore(root, Date.now())) : Promise.resolve()),
  }
}

/** Digests of all that a manifest names; none where it cannot be read. */
function digestsOf(text: string): string[] {
  const manifest = parseManifest(text)
  return manifest ? [manifest.config, ...(manifest.layers ?? [])].map(({ digest }) => digest) : []
}

function sameState(a: FileState, b: FileState): boolean {
  return a.mtimeMs === b.mtimeMs && a.size === b.size && a.ino === b.ino
}
