import { readFile } from 'node:fs/promises'
import type { Config } from '../../config/index.ts'
import type { ModelStore } from '../../models/index.ts'
import { createLogger, stderrDestination } from '../../observability/index.ts'
import { type Inventory, parseGpuList, parseInventory } from '../../placement/index.ts'
import { createPlanSources, localPlanMeans, runDirPath } from '../../server/index.ts'
import { messageOf } from '../errors.ts'

/** The machines that models are planned for: those of the flags, else this one. Throws in readable words. */
export async function inventoryFor(
  { gpus, inventory: path }: { gpus?: string; inventory?: string },
  config: Config,
  store: ModelStore,
): Promise<Inventory> {
  if (gpus !== undefined) return parseGpuList(gpus)
  if (path === undefined) return thisMachine(config, store)
  try {
    return parseInventory(await readFile(path, 'utf8'))
  } catch (error) {
    throw new Error(`${path}: ${messageOf(error)}`, { cause: error })
  }
}

function thisMachine(config: Config, store: ModelStore): Promise<Inventory> {
  const level = config.logLevel === 'info' ? 'warn' : config.logLevel
  const log = createLogger({ level, pretty: process.stderr.isTTY === true, destination: stderrDestination() })
  const means = () => localPlanMeans(config, runDirPath(), log)
  return createPlanSources(config, store, means, log).machines()
}
