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

/** Finds and reads the file; an empty layer where there is none. */
export function readConfigFile({ flags, env, readFile, homeDir, cwd }: ConfigSources): {
  path?: string
  layer: Layer
} {
  const asked = flags.config ?? trimVariable(env.DROVER_CONFIG ?? '')
  const home = trimVariable(env.DROVER_HOME ?? '') || '~/.drover'
  const path = asked ? expandPath(asked, homeDir, cwd) : join(expandPath(home, homeDir, cwd), 'config.yaml')
  let text: string | undefined
  try {
    text = readFile(path)
  } catch (error) {
    throw new ConfigError([
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    ])
  }
  if (text === undefined) {
    if (asked)
      throw new ConfigError([
        `${path}: there is no such file; --config and DROVER_CONFIG name one that exists`,
      ])
    return { layer: {} }
  }
  return { path, layer: fileLayer(path, parseFile(path, text)) }
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

function fileLayer(path: string, content: Record<string, unknown>): Layer {
  const keys = names.map((name) => rowOf(name).key)
  const unknown = Object.keys(content).filter((key) => !keys.includes(camelCase(key)))
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map(
        (key) => `${path}: ${key}: there is no such setting; there are ${keys.toSorted().join(', ')}`,
      ),
    )
  }
  const byKey = new Map(Object.entries(content).map(([key, value]) => [camelCase(key), value]))
  const written = (value: unknown) => value !== undefined && value !== null
  return layerOf(
    (name) => {
      const { key } = rowOf(name)
      return written(byKey.get(key)) ? { value: byKey.get(key), place: `${path}: ${key}` } : undefined
    },
    resolve(path, '..'),
  )
}

/** `keep_alive` and `keepAlive` are the same setting. */
function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
