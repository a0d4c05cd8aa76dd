import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { type ConfigSources, type LoadedConfig, loadConfig } from '../config/index.ts'

/**
 * The configuration of this process: its flags, its environment and the file, or a text in place of one. Throws
 * `ConfigError`.
 */
export function readSettings(
  flags: ConfigSources['flags'] = {},
  instead?: { path: string; text: string },
): LoadedConfig {
  return loadConfig({
    flags,
    env: process.env,
    readFile: (path) => (path === instead?.path ? instead.text : readFile(path)),
    homeDir: homedir(),
    cwd: process.cwd(),
  })
}

/** A file's text; undefined where there is no such file. */
export function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
