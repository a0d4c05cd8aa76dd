import { tmpdir } from 'node:os'
import {
  createEmbeddedEngine,
  createLlamaCppEngine,
  type EngineDevice,
  type InstalledEngine,
  listInstalled,
} from '../engines/index.ts'
import { readSettings } from './settings.ts'

/** An engine as `drover engine list` shows it. */
export interface ListedEngine {
  name: string
  available: boolean
  version?: string
  path?: string
  devices?: readonly EngineDevice[]
  /** Why it cannot be used. */
  reason?: string
  /** Where it was installed from, when Drover did that. */
  source?: string
}

/** Asks every engine what it is and can. */
export async function probeEngines(): Promise<ListedEngine[]> {
  const { config } = readSettings()
  // What the engines print is of interest while they run models, not here.
  const log = () => undefined
  const runDir = tmpdir()
  const { enginesDir, llamaServerPath } = config
  const engines = [
    createLlamaCppEngine({
      enginesDir,
      runDir,
      log,
      ...(llamaServerPath !== undefined && { serverPath: llamaServerPath }),
    }),
    createEmbeddedEngine({ log }),
  ]
  const installed = await listInstalled(enginesDir)
  return Promise.all(
    engines.map(async (engine) => {
      const probe = await engine.probe()
      if (!probe.available) return { name: engine.name, available: false, reason: probe.reason }
      const { version, path, devices } = probe
      return { name: engine.name, available: true, version, path, devices, ...sourceOf(installed, path) }
    }),
  )
}

function sourceOf(installed: readonly InstalledEngine[], path: string): { source?: string } {
  const own = installed.find((engine) => engine.path === path)
  return own ? { source: own.source } : {}
}
