import type { ShownModel } from './api-types.ts'
import { formatRows } from './format.ts'
import { textWidth } from './terminal/width.ts'

type Row = string[]

/** What `show` prints of a model: a table for each side of it, as Ollama sets them. */
export function describeModel(shown: ShownModel, verbose: boolean): string {
  const { parameters = '', system = '', license = '', capabilities = [], tensors = [] } = shown
  const sections: [string, Row[]][] = [['Model', modelRows(shown)]]
  if (capabilities.length > 0) sections.push(['Capabilities', capabilities.map((name) => [name])])
  if (shown.projector_info) sections.push(['Projector', projectorRows(shown.projector_info)])
  if (parameters !== '') sections.push(['Parameters', linesOf(parameters).map((line) => line.split(/\s+/))])
  if (verbose && shown.model_info) sections.push(['Metadata', metadataRows(shown.model_info)])
  if (verbose && tensors.length > 0) {
    sections.push(['Tensors', tensors.map(({ name, type, shape }) => [name, type, `[${shape.join(' ')}]`])])
  }
  if (system !== '') sections.push(['System', firstLines(system)])
  if (license !== '') sections.push(['License', firstLines(license)])
  return sections
    .map(([title, rows]) => `  ${title}\n${formatRows(rows.map((row) => ['', ...row]))}\n`)
    .join('')
}

function modelRows({
  details,
  model_info: info,
  requires = '',
  remote_host,
  remote_model,
}: ShownModel): Row[] {
  const architecture = info ? String(info['general.architecture'] ?? '') : details.family
  const number = (key: string): Row[] => {
    const value = info?.[`${architecture}.${key}`]
    return typeof value === 'number' ? [[key.replace('_', ' '), String(value)]] : []
  }
  const remote: Row[] = remote_host
    ? [
        ['Remote model', remote_model ?? ''],
        ['Remote URL', remote_host],
      ]
    : []
  return [
    ...remote,
    ...(architecture === '' ? [] : [['architecture', architecture]]),
    ...(details.parameter_size === '' ? [] : [['parameters', details.parameter_size]]),
    ...number('context_length'),
    ...number('embedding_length'),
    ['quantization', details.quantization_level],
    ...(requires === '' ? [] : [['requires', requires]]),
  ]
}

function projectorRows(info: Record<string, unknown>): Row[] {
  const architecture = String(info['general.architecture'] ?? '')
  const count = info['general.parameter_count']
  const number = (label: string, key: string): Row[] => {
    const value = info[`${architecture}.vision.${key}`] ?? info[`${architecture}.audio.${key}`]
    return typeof value === 'number' ? [[label, String(value)]] : []
  }
  return [
    ...(architecture === '' ? [] : [['architecture', architecture]]),
    ...(typeof count === 'number' ? [['parameters', formatCount(count)]] : []),
    ...number('embedding length', 'embedding_length'),
    ...number('dimensions', 'projection_dim'),
  ]
}

/** `1.2B`, `137M`, `22.57M`, `96.8K`: how many parameters there are. */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${tenths(count / 1e9)}B`
  if (count >= 1e6) return `${Number((count / 1e6).toFixed(2))}M`
  return count >= 1e3 ? `${tenths(count / 1e3)}K` : String(count)
}

function tenths(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1)
}

function metadataRows(info: Record<string, unknown>): Row[] {
  return Object.keys(info)
    .sort()
    .map((key) => [key, formatValue(info[key])])
}

/** Columns that the beginning of an array may take. */
const arrayColumns = 10

function formatValue(value: unknown): string {
  if (!Array.isArray(value)) return value === null ? '<nil>' : String(value)
  let columns = 1
  let count = 0
  for (const item of value) {
    columns += textWidth(String(item)) + (count > 0 ? 2 : 0)
    if (columns > arrayColumns && count > 0) break
    count++
  }
  const rest = value.length - count
  return `[${value.slice(0, count).map(String).join(' ')}${rest > 0 ? ` ...+${rest} more` : ''}]`
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

const shownLines = 2
const textColumns = 100

/** The beginning of a long text: whole words on lines of 100 columns, and dots for the rest. */
function firstLines(text: string): Row[] {
  const lines = linesOf(text)
  const shown = lines.slice(0, shownLines).flatMap(wrap)
  return [...shown, ...(lines.length > shownLines ? ['...'] : [])].map((line) => [line])
}

function wrap(line: string): string[] {
  const lines: string[] = []
  for (const word of line.split(/\s+/)) {
    const last = lines.at(-1)
    if (last !== undefined && textWidth(last) + 1 + textWidth(word) <= textColumns) {
      lines[lines.length - 1] = `${last} ${word}`
    } else lines.push(word)
  }
  return lines
}
