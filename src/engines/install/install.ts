import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import { debianSource } from './debian.ts'
import { githubSource } from './github.ts'
import { homebrewSource } from './homebrew.ts'
import { withLock } from './lock.ts'
import { type EngineSource, type InstallProgress, isExecutable, run } from './source.ts'

/** An engine in Drover's own folder. */
export interface InstalledEngine {
  /** The folder's name, as `removeEngine` takes it. */
  name: string
  /** The program to run: `<enginesDir>/<name>/bin/llama-server`. */
  path: string
  version: string
  /** Where it came from, for people. */
  source: string
}

const folderName = 'llama.cpp'
const recordName = 'engine.json'
const checkTimeoutMs = 60_000

/** Where the program lies, installed or not. */
export function installedServerPath(enginesDir: string): string {
  return join(enginesDir, folderName, 'bin', 'llama-server')
}

/**
 * Installs llama.cpp's programs into `<enginesDir>/llama.cpp` from the first source that works: Debian's packages,
 * the project's release archives, Homebrew. What is already installed and runs is kept unless `reinstall` is set.
 * The new folder takes its place in one rename, after its server has answered `--version`; installs at the same
 * time, by other processes too, wait for each other. Throws `engine_unavailable` with every source's reason.
 */
export async function installLlamaCpp(options: {
  enginesDir: string
  onProgress?: (progress: InstallProgress) => void
  signal?: AbortSignal
  reinstall?: boolean
  sources?: readonly EngineSource[]
}): Promise<InstalledEngine> {
  const { enginesDir, signal, onProgress = () => undefined } = options
  signal?.throwIfAborted()
  await mkdir(enginesDir, { recursive: true })
  return withLock(join(enginesDir, `.${folderName}.lock`), signal, async () => {
    await removeRemnants(enginesDir)
    const present = options.reinstall ? undefined : await readInstalled(enginesDir, folderName)
    if (present) return present
    const failures: string[] = []
    for (const source of options.sources ?? platformSources()) {
      const staging = await mkdtemp(join(enginesDir, `.${folderName}-`))
      try {
        await chmod(staging, 0o755)
        await source.obtain(staging, { onProgress, signal })
        onProgress({ phase: 'check', message: 'starting llama-server once' })
        const version = await askVersion(join(staging, 'bin', 'llama-server'), signal)
        await writeFile(join(staging, recordName), JSON.stringify({ version, source: source.name }))
        await takePlace(staging, join(enginesDir, folderName))
        return { name: folderName, path: installedServerPath(enginesDir), version, source: source.name }
      } catch (error) {
        signal?.throwIfAborted()
        failures.push(`${source.name}: ${error instanceof Error ? error.message : String(error)}`)
      } finally {
        await rm(staging, { recursive: true, force: true })
      }
    }
    throw nothingWorked(failures)
  })
}

function platformSources(): EngineSource[] {
  return [
    ...(process.platform === 'linux' ? [debianSource()] : []),
    githubSource(),
    ...(process.platform === 'darwin' ? [homebrewSource()] : []),
  ]
}

function nothingWorked(failures: readonly string[]): DroverError {
  return new DroverError(
    'engine_unavailable',
    `llama.cpp could not be installed.\n${failures.map((failure) => `  - ${failure}\n`).join('')}` +
      'Check the network (a proxy is taken from the environment or apt), or install llama.cpp yourself and put ' +
      'llama-server on the PATH. The embedded engine works without it.',
  )
}

/** The engines in the folder that are whole. */
export async function listInstalled(enginesDir: string): Promise<InstalledEngine[]> {
  const installed: InstalledEngine[] = []
  for (const name of await foldersOf(enginesDir)) {
    const engine = name.startsWith('.') ? undefined : await readInstalled(enginesDir, name)
    if (engine) installed.push(engine)
  }
  return installed
}

/** Deletes an installed engine; false when there is none of that name. */
export async function removeEngine(enginesDir: string, name: string): Promise<boolean> {
  if (!name || name !== basename(name) || name.startsWith('.')) {
    throw new DroverError('invalid_request', `"${name}" is not the name of an engine`)
  }
  if (!(await foldersOf(enginesDir)).includes(name)) return false
  return withLock(join(enginesDir, `.${name}.lock`), undefined, async () => {
    // The record goes first: what is left of an interrupted removal does not count as installed.
    await rm(join(enginesDir, name, recordName), { force: true })
    await rm(join(enginesDir, name), { recursive: true, force: true })
    return true
  })
}

async function readInstalled(enginesDir: string, name: string): Promise<InstalledEngine | undefined> {
  const path = join(enginesDir, name, 'bin', 'llama-server')
  try {
    const record = JSON.parse(
      await readFile(join(enginesDir, name, recordName), 'utf8'),
    ) as Partial<InstalledEngine>
    if (!record.version || !record.source || !(await isExecutable(path))) return undefined
    return { name, path, version: record.version, source: record.source }
  } catch {
    // No record, or half of one: an installation that never became whole.
    return undefined
  }
}

async function askVersion(serverPath: string, signal: AbortSignal | undefined): Promise<string> {
  if (!(await isExecutable(serverPath))) throw new Error('what was obtained has no llama-server')
  // Printed to stderr by llama.cpp, to stdout by some builds: the shell joins them.
  const output = await run('/bin/sh', ['-c', '"$0" --version 2>&1', serverPath], {
    signal,
    timeoutMs: checkTimeoutMs,
  })
  const version = /version: *(\S+)/.exec(output)?.[1]
  if (!version)
    throw new Error(`llama-server --version printed no version but: ${output.trim().slice(0, 200)}`)
  return version
}

async function takePlace(staging: string, place: string): Promise<void> {
  const aside = `${staging}-replaced`
  const replaced = await rename(place, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
  await rename(staging, place)
  if (replaced) await rm(aside, { recursive: true, force: true })
}

/** What earlier, interrupted installs left; only called while holding the lock. */
async function removeRemnants(enginesDir: string): Promise<void> {
  for (const name of await foldersOf(enginesDir)) {
    if (name.startsWith(`.${folderName}-`)) await rm(join(enginesDir, name), { recursive: true, force: true })
  }
}

async function foldersOf(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
