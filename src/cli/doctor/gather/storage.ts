import { accessSync, constants, statfsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Config } from '../../../config/index.ts'
import type { HostSystem } from '../../../hardware/index.ts'
import type { FolderLook } from '../contract.ts'

/** Looks at the folders that Drover writes into. Makes nothing, never throws. */
export function lookAtFolders(system: HostSystem, { modelsDir, droverHome }: Config): FolderLook[] {
  return [
    lookAtFolder(system, 'models', modelsDir),
    lookAtFolder(system, 'home', droverHome),
    lookAtFolder(system, 'temporary', tmpdir()),
  ]
}

/** A folder that is not there is made when it is needed, so that the nearest above it counts. */
export function lookAtFolder(system: HostSystem, use: FolderLook['use'], path: string): FolderLook {
  let at = path
  let refusal = accessRefusal(at)
  while (refusal === 'ENOENT' && dirname(at) !== at) {
    at = dirname(at)
    refusal = accessRefusal(at)
  }
  const space = spaceOf(at)
  return {
    use,
    path,
    at,
    owner: ownerOf(system, at),
    ...(refusal !== undefined && { refusal }),
    ...space,
  }
}

function accessRefusal(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return statSync(path).isDirectory() ? undefined : 'ENOTDIR'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}

function spaceOf(path: string): Pick<FolderLook, 'freeBytes' | 'totalBytes'> {
  try {
    const { bavail, blocks, bsize } = statfsSync(path)
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  } catch {
    // A folder that may not be looked into: its refusal tells it.
    return {}
  }
}

function ownerOf(system: HostSystem, path: string): string {
  try {
    const id = String(statSync(path).uid)
    const rows = (system.readText('/etc/passwd') ?? '').split('\n').map((line) => line.split(':'))
    return rows.find((row) => row[2] === id)?.[0] ?? id
  } catch {
    // Within a folder that may not be entered.
    return 'another user'
  }
}

/** Where Ollama's service keeps models, by its own installer and by distributions. */
const serviceStores = [
  '/usr/share/ollama/.ollama/models',
  '/var/lib/ollama/.ollama/models',
  '/var/lib/ollama/models',
  '/var/lib/private/ollama/models',
]

/** Other stores that have models, where the configured one has none. */
export function storesElsewhere(system: HostSystem, { modelsDir }: Config): string[] {
  const hasModels = (store: string) => system.list(join(store, 'manifests')).length > 0
  return hasModels(modelsDir) ? [] : serviceStores.filter((store) => store !== modelsDir && hasModels(store))
}
