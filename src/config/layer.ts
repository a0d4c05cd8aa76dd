import { isAbsolute, join, resolve } from 'node:path'
import { type Setting, type SettingName, settings } from './settings.ts'

/** The configuration cannot be used; the message names each place, value and what is allowed there. */
export class ConfigError extends Error {
  /** A sentence each. */
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(
      problems.length === 1
        ? String(problems[0])
        : `configuration:\n${problems.map((one) => `  ${one}`).join('\n')}`,
    )
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** All that a configuration is worked out from. */
export interface ConfigSources {
  /** From the command line; `config` is the file's path, the others are settings. */
  flags: { config?: string } & { [Name in SettingName]?: string }
  env: Readonly<Record<string, string | undefined>>
  /** The file's text; undefined when there is no such file. Other failures are thrown. */
  readFile: (path: string) => string | undefined
  homeDir: string
  cwd: string
}

/** A value as it was written, and where. */
export interface Written {
  value: unknown
  /** `~/.drover/config.yaml: keepAlive`, `--host`, `DROVER_ENGINE`. */
  place: string
  /** The folder that relative paths start from. */
  folder: string
}

/** What one source says: flags, variables, or the file. */
export type Layer = { [Name in SettingName]?: Written }

/** All settings. */
export const names = Object.keys(settings) as SettingName[]

export const rowOf = (name: SettingName): Setting => settings[name]

/** Asks one source for every setting. */
export function layerOf(
  read: (name: SettingName) => Omit<Written, 'folder'> | undefined,
  folder: string,
): Layer {
  const layer: Layer = {}
  for (const name of names) {
    const written = read(name)
    if (written) layer[name] = { ...written, folder }
  }
  return layer
}

/** An absolute path; `~` is the home folder. */
export function expandPath(path: string, homeDir: string, folder: string): string {
  if (path === '~' || path.startsWith('~/')) return join(homeDir, path.slice(1))
  return isAbsolute(path) ? path : resolve(folder, path)
}

const longestShown = 80

/** A value for a message, cut where it is long. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text
}
