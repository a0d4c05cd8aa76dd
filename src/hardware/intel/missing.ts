import type { SysfsFiles } from '../pci/path.ts'

/** A file may appear later, with a driver loaded anew; so often all are tried again. */
const retryMs = 60_000

/**
 * The same files, where one that is not there is not asked for again for a minute. Drivers give each card some of many
 * files, and a failed read costs more than one that succeeds.
 */
export function skipMissing(files: SysfsFiles): SysfsFiles {
  const missing = new Set<string>()
  let sinceMs = performance.now()
  return {
    list: (path) => files.list(path),
    realPath: (path) => files.realPath(path),
    readText(path) {
      if (missing.has(path) && performance.now() - sinceMs < retryMs) return undefined
      const text = files.readText(path)
      if (text !== undefined) return text
      if (performance.now() - sinceMs >= retryMs) {
        missing.clear()
        sinceMs = performance.now()
      }
      missing.add(path)
      return undefined
    },
  }
}
