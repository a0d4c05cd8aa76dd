import { accessSync, constants, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Config } from '../../../config/index.ts'
import { listInstalled } from '../../../engines/index.ts'
import { probeEngines } from '../../engine-probes.ts'
import type { EngineLook } from '../contract.ts'
import { answers } from './server.ts'

/** Asks every engine what it is and can, and looks for those that stand in each other's way. */
export async function lookAtEngines(config: Config): Promise<EngineLook> {
  const { enginesDir, ollamaUrls, ollamaProgram: configured } = config
  const [listed, installed, attached] = await Promise.all([
    probeEngines(),
    listInstalled(enginesDir),
    Promise.all(ollamaUrls.map(async (url) => ({ url, answers: await answers(url) }))),
  ])
  const own = installed.map(({ path }) => path)
  const ollamaProgram = distinct([configured ?? [], onPath('ollama')].flat()).find((path) => !isDrover(path))
  return {
    listed,
    servers: distinct([...onPath('llama-server'), ...own]),
    attached,
    ...(ollamaProgram !== undefined && { ollamaProgram }),
  }
}

function onPath(name: string): string[] {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
}

/** Programs that are there and may be run; one that is reached in two ways counts once. */
function distinct(paths: readonly string[]): string[] {
  const seen = new Map<string, string>()
  for (const path of paths) {
    try {
      accessSync(path, constants.X_OK)
      const real = realpathSync(path)
      if (!seen.has(real)) seen.set(real, path)
    } catch {
      // Most folders have none.
    }
  }
  return [...seen.values()]
}

/** Drover answers to `ollama` too, by a link of that name. */
function isDrover(path: string): boolean {
  return realpathSync(path).endsWith('drover.js')
}
