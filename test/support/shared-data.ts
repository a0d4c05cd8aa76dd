import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The path of recorded data that lies beside the project (`DROVER_DATA`, or `../shared/data` from its root); undefined,
 * with a line that says so, where it is absent.
 */
export function sharedData(name: string): string | undefined {
  const root = process.env['DROVER_DATA'] ?? join(import.meta.dirname, '..', '..', '..', 'shared', 'data')
  const path = join(root, name)
  if (existsSync(path)) return path
  console.info(`recorded data "${name}" is not here: only the project's own samples are tried`)
  return undefined
}
