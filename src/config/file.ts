import { join, resolve } from 'node:path'
import { parse as parseYaml, YAMLParseError } from 'yaml'
import {
  ConfigError,
  type ConfigSources,
  expandPath,
  type Layer,
  layerOf,
  names,
  rowOf,
  shown,
} from './layer.ts'
import { trimVariable } from './ollama-values.ts'
import { camelCase, flattened } from './sections.ts'

/** In Drover's folder the file may have either name. */
const fileNames = ['drover.yaml', 'config.yaml'] as const

/** The file, and where it is looked for. */
export interface FoundFile {
  /** Absent where there is none. */
  path?: string
  /** The first is the one to write where there is none. */
  places: readonly [string, ...string[]]
  layer: Layer
  /** Names in it that mean nothing, a sentence each. */
  problems: string[]
}

/** Finds and reads the file; an empty layer where there is none. Throws `ConfigError`, also where there are two. */
export function readConfigFile(sources: ConfigSources): FoundFile {
  const { flags, env, homeDir, cwd } = sources
  const asked = flags.config ?? trimVariable(env.DROVER_CONFIG ?? '')
  if (asked) {
    const path = expandPath(asked, homeDir, cwd)
    const text = read(sources, path)
    if (text !== undefined) return { path, places: [path], ...fileLayer(path, parseFile(path, text)) }
    throw new ConfigError([`${path}: there is no such file; --config and DROVER_CONFIG name one that exists`])
  }
  const home = expandPath(trimVariable(env.DROVER_HOME ?? '') || '~/.drover', homeDir, cwd)
  const places = [join(home, fileNames[0]), join(home, fileNames[1])] as const
  const found = places.flatMap((path) => {
    const text = read(sources, path)
    return text === undefined ? [] : [{ path, text }]
  })
  if (found.length > 1) {
    throw new ConfigError([`${places[0]} and ${places[1]} are both there, and one counts: remove the other`])
  }
  const [one] = found
  if (!one) return { places, layer: {}, problems: [] }
  return { path: one.path, places, ...fileLayer(one.path, parseFile(one.path, one.text)) }
}

function read({ readFile }: ConfigSources, path: string): string | undefined {
  try {
    return readFile(path)
  } catch (error) {
    throw new ConfigError([
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    ])
  }
}

function parseFile(path: string, text: string): Record<string, unknown> {
  let content: unknown
  try {
    content = parseYaml(text)
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error
    throw new ConfigError([`${path} is not YAML: ${error.message.split('\n')[0]?.replace(/:$/, '')}`])
  }
  if (content === null || content === undefined) return {}
  if (typeof content === 'object' && !Array.isArray(content)) return { ...content }
  throw new ConfigError([`${path}: it holds ${shown(content)}, where "name: value" lines are expected`])
}

/** Names of sections, in camelCase with dots: `multiGpu`, `multiGpu.memory`. */
const sections = new Set(
  names.flatMap((name) => {
    const parts = camelCase(rowOf(name).key).split('.')
    return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('.'))
  }),
)

function fileLayer(path: string, content: Record<string, unknown>): Pick<FoundFile, 'layer' | 'problems'> {
  const byKey = new Map(names.map((name) => [camelCase(rowOf(name).key), name]))
  const lines = flattened(content, (name) => sections.has(name))
  const problems = [
    ...lines.flatMap(({ name, value }) => (byKey.has(camelCase(name)) ? [] : unknownKey(name, value))),
    ...lines.flatMap(({ name }, at) => writtenTwice(name, lines.slice(0, at))),
  ]
  const values = new Map(lines.map(({ name, value }) => [byKey.get(camelCase(name)), value]))
  const layer = layerOf(
    (name) => {
      const value = values.get(name)
      return value === undefined || value === null
        ? undefined
        : { value, place: `${path}: ${rowOf(name).key}` }
    },
    resolve(path, '..'),
  )
  return { layer, problems: problems.map((problem) => `${path}: ${problem}`) }
}

function writtenTwice(name: string, before: readonly { name: string }[]): string[] {
  const other = before.find((one) => camelCase(one.name) === camelCase(name))
  return other ? [`${name}: the setting is written twice, as ${other.name} too`] : []
}

function unknownKey(name: string, value: unknown): string[] {
  if (sections.has(camelCase(name))) {
    if (value === null || value === undefined) return []
    return [
      `${name}: it holds ${shown(value)}, where settings of the section are expected: ${keysUnder(name)}`,
    ]
  }
  const section = name.split('.').slice(0, -1).join('.')
  return [`${name}: there is no such setting; there are ${keysUnder(section)}`]
}

/** What may stand in a section, or at the top. */
function keysUnder(section: string): string {
  const prefix = section === '' ? '' : `${camelCase(section)}.`
  const depth = prefix.split('.').length
  const keys = names
    .map((name) => rowOf(name).key)
    .filter((key) => camelCase(key).startsWith(prefix))
    .map((key) => key.split('.').slice(0, depth).join('.'))
  return [...new Set(keys)].toSorted().join(', ')
}
