import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { defaultFile, editedFile, findSettings, importIni, replaceFile, rowOf } from '../../config/index.ts'
import { readSettings } from '../settings.ts'
import { flagsOf } from './read.ts'

interface FileFlag {
  config?: string
}

/** The file that is written: the one that counts, or the one that would. */
function targetOf(file: FileFlag): string {
  if (file.config !== undefined && !existsSync(file.config)) return file.config
  const loaded = readSettings(flagsOf(file))
  return loaded.file ?? loaded.places[0]
}

const textOf = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '')

/** Writes settings, if the file is right with them, and says where. Throws, with nothing changed, where it is not. */
function write(
  file: FileFlag,
  edits: readonly { key: string; value?: unknown }[],
): { path: string; hidden: string } {
  const path = targetOf(file)
  const text = editedFile(textOf(path), edits)
  const flags = file.config === undefined ? {} : { config: path }
  const { origins } = readSettings(flags, { path, text })
  replaceFile(path, text)
  const hidden = edits.flatMap(({ key }) => {
    const [name] = findSettings(key)
    const place = name && origins[name]?.place
    return place === undefined || place.startsWith(`${path}: `)
      ? []
      : [`${key} is set by ${place} too, which counts before the file\n`]
  })
  return { path, hidden: hidden.join('') }
}

/** `drover config set`. */
export function setSetting(
  key: string,
  value: string | undefined,
  { unset = false, ...file }: FileFlag & { unset?: boolean },
): string {
  const names = findSettings(key)
  const [name] = names
  if (name === undefined || names.length > 1) throw new Error(`${key} is a section: name one of its settings`)
  if ((value === undefined) !== unset) throw new Error('give a value, or --unset in its place')
  const row = rowOf(name)
  const written = value === undefined ? undefined : fromText(value)
  const { path, hidden } = write(file, [{ key: row.key, ...(written !== undefined && { value: written }) }])
  const when = row.live ? '' : ' (it takes effect at the next start)'
  return `${path}: ${row.key} ${unset ? 'is taken out' : `is ${value}`}${when}\n${hidden}`
}

/** A value as YAML has it, so that lists and numbers can be given; what would be nothing is taken as text. */
function fromText(value: string): unknown {
  const parsed: unknown = parse(value)
  return parsed ?? value
}

/** `drover config init`. Throws where there is a file already. */
export function writeDefaults(file: FileFlag): string {
  const path = targetOf(file)
  if (existsSync(path)) throw new Error(`${path} is there already: \`drover config set\` changes it`)
  replaceFile(path, defaultFile())
  return `${path} is written: every setting is in it, at its default\n`
}

/** `drover config import`: the settings as YAML, or where they were written; and the lines that were left. */
export function importFile(
  path: string,
  { write: writes = false, ...file }: FileFlag & { write?: boolean },
): { out: string; notes: string } {
  const { settings, left } = importIni(readFileSync(path, 'utf8'))
  const lines = left.map(
    ({ line, name, value, why }) => `  line ${line}: ${name}${value && ` = ${value}`}: ${why}\n`,
  )
  const notes = lines.length === 0 ? '' : `Not taken over:\n${lines.join('')}`
  if (settings.length === 0) return { out: `${path} has no setting that Drover has too\n`, notes }
  if (!writes) return { out: editedFile('', settings), notes }
  const written = write(file, settings)
  return { out: `${written.path}: ${settings.map(({ key }) => key).join(', ')}\n${written.hidden}`, notes }
}
