import { join } from 'node:path'
import { readConfigFile } from './file.ts'
import { parseHost } from './host.ts'
import {
  ConfigError,
  type ConfigSources,
  expandPath,
  type Layer,
  layerOf,
  names,
  rowOf,
  shown,
  type Written,
} from './layer.ts'
import { contradictions } from './multi-gpu-checks.ts'
import { trimVariable } from './ollama-values.ts'
import { aboutVariable } from './ollama-variables.ts'
import { type Nested, nested } from './sections.ts'
import { flagOf, type Setting, type Values, variableOf } from './settings.ts'

/** Everything that can be configured, read and checked. Infinity stands for "for ever" in times. */
export interface Config extends Omit<Nested<Values>, 'enginesDir'> {
  enginesDir: string
}

/** How models are laid over several GPUs: the section `multi_gpu`. */
export type MultiGpu = Config['multiGpu']

export interface LoadedConfig {
  config: Config
  /** The same by the whole name of each setting, as it was written and where; those that nobody set are absent. */
  origins: Layer
  /** Each setting's value in the program, by its whole name. */
  values: Values
  /** What a person should know but need not stop for, a line each. */
  warnings: string[]
  /** The file that was read. */
  file?: string
  /** Where a file is looked for; the first is the one to write where there is none. */
  places: readonly [string, ...string[]]
}

/**
 * Works the configuration out: flags before `DROVER_*` before `OLLAMA_*` before the file before defaults. The file
 * is the one of `--config` or `DROVER_CONFIG`, else `drover.yaml` or `config.yaml` in Drover's folder, which may be
 * absent. Throws `ConfigError` for what cannot be used; values of Ollama's own variables that cannot be used are passed
 * over with a warning, as Ollama does.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const { flags, env, cwd } = sources
  const warnings: string[] = []
  const file = readConfigFile(sources)
  const layers: Layer[] = [
    layerOf(
      (name) => (flags[name] === undefined ? undefined : { value: flags[name], place: flagOf(rowOf(name)) }),
      cwd,
    ),
    layerOf((name) => fromEnv(env, variableOf(rowOf(name))), cwd),
    ollamaLayer(env, cwd, warnings),
    file.layer,
  ]
  warnings.push(...unknownVariables(env))
  const origins: Layer = Object.assign({}, ...layers.toReversed())
  const problems = [...file.problems]
  const values = Object.fromEntries(
    names.map((name) => [name, resolveValue(rowOf(name), origins[name], sources.homeDir, problems)]),
  ) as Values
  if (problems.length === 0) problems.push(...contradictions(values, origins))
  if (problems.length > 0) throw new ConfigError(problems)
  return {
    config: configOf(values),
    values,
    origins,
    warnings,
    places: file.places,
    ...(file.path !== undefined && { file: file.path }),
  }
}

/** The tree of values that the program uses. */
export function configOf(values: Values): Config {
  const { enginesDir = join(values.droverHome, 'engines'), ...config } = nested(values)
  const { loadBalancing } = config.multiGpu.dataParallel
  return { ...config, enginesDir, ...(loadBalancing !== undefined && { policy: loadBalancing }) }
}

function resolveValue(
  row: Setting,
  written: Written | undefined,
  homeDir: string,
  problems: string[],
): unknown {
  const value = written ? written.value : row.default
  const parsed = row.schema.safeParse(value)
  if (!parsed.success) {
    problems.push(`${written?.place}: ${shown(value)} is not allowed; it takes ${row.allowed}`)
    return undefined
  }
  if (!row.isPath || typeof parsed.data !== 'string') return parsed.data
  return expandPath(parsed.data, homeDir, written?.folder ?? homeDir)
}

function fromEnv(env: ConfigSources['env'], variable: string): Omit<Written, 'folder'> | undefined {
  const value = trimVariable(env[variable] ?? '')
  return value === '' ? undefined : { value, place: variable }
}

function ollamaLayer(env: ConfigSources['env'], cwd: string, warnings: string[]): Layer {
  return layerOf((name) => {
    const { ollama, schema, allowed } = rowOf(name)
    const written = ollama && fromEnv(env, ollama.name)
    if (!ollama || !written) return undefined
    const text = String(written.value)
    if (ollama.name === 'OLLAMA_HOST') {
      const { badPort, port } = parseHost(text)
      if (badPort !== undefined)
        warnings.push(`OLLAMA_HOST: ${shown(badPort)} is not a port; ${port} is taken`)
    }
    const value = ollama.read ? ollama.read(text) : text
    if (ollama.strict || schema.safeParse(value).success) return { value, place: ollama.name }
    warnings.push(`${ollama.name}: ${shown(text)} is not allowed and is passed over; it takes ${allowed}`)
    return undefined
  }, cwd)
}

function unknownVariables(env: ConfigSources['env']): string[] {
  // Read where they are needed: how NVIDIA's cards are asked, and what stands in for the kernel's log.
  const known = new Set(['DROVER_CONFIG', 'DROVER_NVML', 'DROVER_KERNEL_LOG'])
  for (const name of names) {
    const row = rowOf(name)
    known.add(variableOf(row))
    if (row.ollama) known.add(row.ollama.name)
  }
  const set = Object.keys(env).filter(
    (name) => env[name] !== undefined && trimVariable(env[name]) !== '' && !known.has(name),
  )
  return set.sort().flatMap((name) => {
    if (name.startsWith('DROVER_'))
      return [`${name} is set, but it is no setting of Drover's and has no effect`]
    const about = name.startsWith('OLLAMA_') ? aboutVariable(name) : undefined
    return about === undefined ? [] : [about]
  })
}
