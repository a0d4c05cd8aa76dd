import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createOllamaEngine, type Engine, type InstanceSpec } from '../../src/engines/index.ts'
import { openStore } from '../../src/models/index.ts'
import { quietLog } from './quiet-log.ts'

const drover = join(import.meta.dirname, '../../bin/drover.js')

/** A folder with a store of models and a program `ollama`, which is Drover with the embedded engine. */
export interface OllamaBench {
  folder: string
  modelsDir: string
  runDir: string
  program: string
  /** Puts a model file into the store. */
  add(name: string, path: string): Promise<void>
  /** Ollama as an engine over the store; `changes` in place of what it takes otherwise. */
  engine(changes?: Partial<Parameters<typeof createOllamaEngine>[0]>): Engine
  /** What the engine has logged. */
  logged: string[]
  remove(): Promise<void>
}

export async function openOllamaBench(): Promise<OllamaBench> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-ollama-'))
  const modelsDir = join(folder, 'models')
  const runDir = join(folder, 'run')
  const program = await writeProgram(folder)
  const store = await openStore({ root: modelsDir, log: quietLog })
  const logged: string[] = []
  return {
    folder,
    modelsDir,
    runDir,
    program,
    logged,
    add: async (name, path) => {
      await store.importGguf(name, { path })
    },
    engine: (changes = {}) =>
      createOllamaEngine({
        program,
        attachUrls: [],
        modelsDir,
        firstPort: 21_435,
        runDir,
        log: (message) => logged.push(message),
        ...changes,
      }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** A script, so that it is another program than Drover; by the name of its link Drover speaks as Ollama does. */
async function writeProgram(folder: string): Promise<string> {
  const link = join(folder, 'link')
  await mkdir(link)
  await symlink(drover, join(link, 'ollama'))
  const program = join(folder, 'ollama')
  const lines = [
    '#!/bin/sh',
    `export DROVER_ENGINE=embedded DROVER_HOME='${folder}/home'`,
    `exec '${process.execPath}' '${link}/ollama' "$@"`,
  ]
  await writeFile(program, `${lines.join('\n')}\n`)
  await chmod(program, 0o755)
  return program
}

/**
 * The engine, taking model files by their path as others do: each is put into the store before it is launched, on a
 * device set of its own.
 */
export function byPath(bench: OllamaBench, engine = bench.engine()): Engine {
  let launches = 0
  const added = new Map<string, Promise<string>>()
  const nameOf = (path: string): Promise<string> => {
    const name = basename(path, '.gguf')
    const adding = added.get(path) ?? bench.add(name, path).then(() => name)
    added.set(path, adding)
    return adding
  }
  return {
    ...engine,
    launch: async (spec: InstanceSpec, signal) => {
      const modelName = await nameOf(spec.modelPath)
      const env = { CUDA_VISIBLE_DEVICES: `GPU-${launches++}`, ...spec.env }
      return engine.launch({ ...spec, modelName, env }, signal)
    },
  }
}
