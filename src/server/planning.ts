import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import type { PlanSources, PlanSubject } from '../api/index.ts'
import type { Config } from '../config/index.ts'
import { askFitParams, type Engine } from '../engines/index.ts'
import { buildTopology, type Link, readHost } from '../hardware/index.ts'
import { DroverError } from '../inference/index.ts'
import { type ModelStore, readGguf } from '../models/index.ts'
import type { Logger } from '../observability/index.ts'
import {
  type CommandsOf,
  famousModelNames,
  findFamous,
  hostShare,
  type Inventory,
  inventoryWithLent,
  type PlanModel,
  planModelOf,
  usableBytes,
  type WorkerDevice,
  wishesFrom,
} from '../placement/index.ts'
import { allEngines } from './engine-choice.ts'
import type { MemoryBook } from './memory-book.ts'
import { createPlanThread } from './plan-thread.ts'

/** What of a running server plans are made with. */
export interface PlanMeans {
  engine: Engine
  devices: readonly WorkerDevice[]
  links: readonly Link[]
  book: Pick<MemoryBook, 'correctionsFor'>
  degraded(deviceId: string): boolean
}

/** What this server can plan with: its store, its machine as it is now, and the engines' command lines. */
export function createPlanSources(
  config: Config,
  store: ModelStore,
  means: () => Promise<PlanMeans>,
  log: Logger,
): PlanSources {
  // Not asked what they are: their lines are those of current releases, whatever is installed here.
  const elsewhere = allEngines(
    { ...config, openaiUrls: [], enginePrograms: new Map(), rpcKeyFile: config.rpcKeyFile ?? 'rpc.key' },
    '',
    log,
  )
  return {
    find: (name) => findSubject(store, name),
    machines: async () => machineInventory(config, await means()),
    wishesFor: (inventory, strategy) => ({
      ...wishesFrom(strategy ? { ...config.multiGpu, strategy } : config.multiGpu, inventory).wishes,
      kvCacheType: config.kvCacheType,
      flashAttention: config.flashAttention,
      ...(config.numParallel !== undefined && { slots: config.numParallel }),
      ...(config.contextLength !== undefined && { defaultContextLength: config.contextLength }),
    }),
    async commandsOf(here): Promise<CommandsOf> {
      const own = here ? (await means()).engine : undefined
      return (name, spec) => (own?.name === name ? own : elsewhere[name])?.commands?.(spec)
    },
    async opinionOf({ instances: [first] }, spec) {
      if (first?.engine !== 'llama.cpp' || !existsSync(spec.modelPath)) return undefined
      return askFitParams({ serverPath: config.llamaServerPath, enginesDir: config.enginesDir }, spec)
    },
    async correctionsFor(model, inventory) {
      const { book, engine } = await means()
      const backend = inventory.devices.find(({ node }) => node === ownNode)?.backend ?? 'cpu'
      const key = {
        model: basename(model.files.modelPath),
        architecture: model.model.shape.architecture,
        fileType: model.model.fileType,
        backend: `${engine.name} ${backend}`,
      }
      return book.correctionsFor(key)
    },
    workOut: createPlanThread(),
  }
}

/** What this machine is called in plans. */
const ownNode = 'this machine'

/** This machine as the planner knows it, with what others lend it; other models are left out of account: they give way. */
export function machineInventory(
  config: Pick<Config, 'gpuOverheadBytes'>,
  { engine, devices, links, degraded }: Pick<PlanMeans, 'engine' | 'devices' | 'links' | 'degraded'>,
): Inventory {
  const cpu = devices.filter(({ kind }) => kind === 'cpu')
  const { totalMemoryBytes, physicalCores } = readHost()
  const offered = cpu.reduce((sum, worker) => sum + usableBytes(worker, 0), 0)
  return inventoryWithLent({
    node: ownNode,
    devices,
    links: buildTopology(
      devices.map(({ device }) => device),
      links,
    ).links,
    engines: [engine.name],
    rpc: false,
    host: {
      usableBytes: Math.floor(Math.min(offered || Infinity, totalMemoryBytes * hostShare)),
      cores: physicalCores,
    },
    usableBytes: (worker) => usableBytes(worker, config.gpuOverheadBytes),
    degraded,
  })
}

/** A model of the store, or a well-known one, whose file is nowhere yet. Throws `model_not_found`. */
export async function findSubject(store: ModelStore, name: string): Promise<PlanSubject> {
  const stored = await store.find(name).catch((error) => {
    // `unsloth/foo:70b-q4` is a name, `a b` is none, and a well-known model neither way.
    if (error instanceof DroverError && error.code === 'invalid_request') return undefined
    throw error
  })
  if (stored?.modelPath) {
    const { file, projector, capabilities } = await store.describe(stored)
    const { displayName, modelPath, projectorPaths, adapterPaths, draftPath } = stored
    const draft = draftPath === undefined ? undefined : { name: 'draft', file: await readGguf(draftPath) }
    return {
      model: planModelOf({
        name: displayName,
        file,
        projector,
        draft,
        embedding: !capabilities.includes('completion'),
      }),
      files: {
        modelPath,
        projectorPaths,
        adapterPaths,
        ...(file.overrides && { metadataOverrides: file.overrides }),
        ...(draftPath !== undefined && { draftPath }),
      },
    }
  }
  const famous = findFamous(name)
  if (famous) return { model: famous, files: filesOf(famous) }
  throw new DroverError(
    'model_not_found',
    `model '${name}' not found: pull it, or plan for a well-known one (${famousModelNames.join(', ')}; with a file ` +
      'type behind, as llama3.1:70b-q8_0)',
  )
}

/** Where the file would be that nobody has here. */
function filesOf({ name, fileType, format }: PlanModel): PlanSubject['files'] {
  const stem = name.replace(/[:/]/g, '-')
  const typed = stem.toLowerCase().endsWith(fileType.toLowerCase()) ? stem : `${stem}-${fileType}`
  return { modelPath: format === 'gguf' ? `${typed}.gguf` : typed, projectorPaths: [], adapterPaths: [] }
}
