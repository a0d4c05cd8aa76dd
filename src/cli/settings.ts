import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { type ConfigSources, type LoadedConfig, loadConfig } from '../config/index.ts'

/** The configuration of this process: its flags, its environment and the file. Throws `ConfigError`. */
export function readSettings(flags: ConfigSources['flags'] = {}): LoadedConfig {
  return loadConfig({ flags, env: process.env, readFile, homeDir: homedir(), cwd: process.cwd() })
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
