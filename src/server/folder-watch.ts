import { existsSync, type FSWatcher, realpathSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../core/index.ts'

/** An editor writes, renames and removes in quick succession: it is looked at what comes of it. */
const calmMs = 150

/**
 * Calls `changed` some time after anything happens in the folders of these files, or of the files that they are links to:
 * a file that is replaced by another is seen so, one that only appears too. Of a folder that is not there, the nearest
 * one above it is watched until it is. `failed` is told of folders that cannot be watched. Returns what ends it.
 */
export function watchFolders(
  paths: readonly string[],
  changed: () => void,
  failed: (folder: string, reason: string) => void,
  clock: Clock,
): () => void {
  const watchers = new Map<string, FSWatcher>()
  let cancel: (() => void) | undefined

  const soon = () => {
    cancel?.()
    cancel = clock.after(calmMs, () => {
      settle()
      changed()
    })
  }

  /** Links may lead elsewhere than they did, and folders have come or gone. */
  function settle(): void {
    const folders = new Set(paths.flatMap(foldersOf))
    for (const folder of watchers.keys()) if (!folders.has(folder)) stop(folder)
    for (const folder of folders) if (!watchers.has(folder)) start(folder)
  }

  function start(folder: string): void {
    const giveUp = (error: unknown) => {
      stop(folder)
      failed(folder, error instanceof Error ? error.message : String(error))
    }
    try {
      watchers.set(folder, watch(folder, { persistent: false }, soon).on('error', giveUp))
    } catch (error) {
      giveUp(error)
    }
  }

  function stop(folder: string): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }

  settle()
  return () => {
    cancel?.()
    for (const folder of [...watchers.keys()]) stop(folder)
  }
}

/** The folder of the file, or the nearest one above it that is there; and that of the file which it is a link to. */
function foldersOf(path: string): string[] {
  let folder = dirname(path)
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return existsSync(path) ? [folder, dirname(realpathSync(path))] : [folder]
}
