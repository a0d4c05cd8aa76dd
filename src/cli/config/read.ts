import { homedir } from 'node:os'
import {
  defaultFile,
  describeSettings,
  findSettings,
  loadConfig,
  rowOf,
  type Setting,
  variableOf,
} from '../../config/index.ts'
import { readFile, readSettings } from '../settings.ts'

interface FileFlag {
  config?: string
}

export const flagsOf = ({ config }: FileFlag) => (config === undefined ? {} : { config })

/** Settings with their values and whence they are. Throws where there is no such one. */
export function getSettings(
  key: string | undefined,
  { json = false, ...file }: FileFlag & { json?: boolean },
): string {
  const asked = key === undefined ? undefined : keysOf(key)
  const rows = describeSettings(readSettings(flagsOf(file))).filter((row) => asked?.includes(row.key) ?? true)
  const [only] = rows
  if (json) {
    const single = only && asked?.length === 1
    return `${JSON.stringify(single ? only : rows, undefined, 2)}\n`
  }
  const width = Math.max(...rows.map((row) => row.key.length))
  return rows.map((row) => `${row.key.padEnd(width)}  ${valueText(row.value)}  (${row.from})\n`).join('')
}

function valueText(value: unknown): string {
  if (value === undefined || value === '') return '-'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Checks one file by itself, or everything that counts here. Throws `ConfigError` with all that is wrong. */
export function validate(file: string | undefined): string {
  const loaded =
    file === undefined
      ? readSettings()
      : loadConfig({ flags: { config: file }, env: {}, readFile, homeDir: homedir(), cwd: process.cwd() })
  const set = Object.keys(loaded.origins).length
  const what = loaded.file ?? 'The configuration'
  const warnings = loaded.warnings.map((warning) => `${warning}\n`).join('')
  return `${warnings}${what} is right: ${set} ${set === 1 ? 'setting is' : 'settings are'} set\n`
}

/** What there is to know of a setting or of a section. Throws where there is neither. */
export function explain(key: string | undefined): string {
  if (key === undefined) return defaultFile()
  return findSettings(key)
    .map((name) => explained(rowOf(name)))
    .join('\n')
}

function explained(row: Setting): string {
  const variables = [...(row.ollama ? [row.ollama.name] : []), variableOf(row)]
  return [
    row.key,
    `  ${row.about}`,
    `  Takes      ${row.allowed}`,
    `  Default    ${row.default === undefined || row.default === '' ? '-' : row.default}`,
    `  Variables  ${variables.join(', ')}`,
    `  Changes    ${row.live ? 'take effect while the server runs' : 'take effect at the next start'}`,
    '',
  ].join('\n')
}

const keysOf = (key: string) => findSettings(key).map((name) => rowOf(name).key)
