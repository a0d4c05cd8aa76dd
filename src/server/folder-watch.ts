import { type FSWatcher, realpathSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../core/index.ts'

/** An editor writes, renames and removes in quick succession: it is looked at what comes of it. */
const calmMs = 150

/**
 * Calls `changed` some time after anything happens in the folders of these files, or of the files that they are links to:
 * a file that is replaced by another is seen so, one that only appears too. Folders that are not there are not watched;
 * `failed` is told of those that cannot be. Returns what ends it.
 */
export function watchFolders(
  paths: readonly string[],
  changed: () => void,
  failed: (folder: string, reason: string) => void,
  clock: Clock,
): () => void {
  let cancel: (() => void) | undefined
  const soon = () => {
    cancel?.()
    cancel = clock.after(calmMs, changed)
  }
  const watchers = foldersOf(paths).flatMap((folder) => watched(folder, soon, failed))
  return () => {
    cancel?.()
    for (const watcher of watchers) watcher.close()
  }
}

function foldersOf(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => [dirname(path), ...linkedFolder(path)]))]
}

function linkedFolder(path: string): string[] {
  try {
    return [dirname(realpathSync(path))]
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function watched(
  folder: string,
  soon: () => void,
  failed: (folder: string, reason: string) => void,
): FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, soon)
    watcher.on('error', (error) => failed(folder, error.message))
    return [watcher]
  } catch (error) {
    if (!isMissing(error)) failed(folder, error instanceof Error ? error.message : String(error))
    return []
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
