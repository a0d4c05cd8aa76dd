import { Command } from 'commander'
import { createProgressPrinter } from './engine.ts'
import { createStopper } from './stopper.ts'

interface MigrateFlags {
  models?: string
  verify?: boolean
  gpus?: string
  inventory?: string
  json?: boolean
}

export function migrateModelsCommand(): Command {
  return new Command('migrate-models')
    .description("Check a store of Ollama's or Drover's, and plan every model in it for this machine")
    .option('--models <folder>', 'the store (default: OLLAMA_MODELS, else ~/.ollama/models)')
    .option('--verify', 'read every blob, and compare its SHA-256 with its name')
    .option('--gpus <list>', 'plan for these cards in place of this machine, as `drover plan` takes them')
    .option('--inventory <file>', 'plan for the machines of a file, as `drover plan` takes it')
    .option('--json', 'Print as JSON')
    .action(migrateModels)
}

async function migrateModels(flags: MigrateFlags): Promise<void> {
  const stopper = createStopper(process)
  const abort = new AbortController()
  stopper.whenAsked(() => abort.abort(new Error('interrupted; nothing was changed')))
  const [{ examineStore }, { examinationTable }, { inventoryFor }, { openStore }, { readSettings }] =
    await Promise.all([
      import('./migrate-models/examine.ts'),
      import('./migrate-models/table.ts'),
      import('./migrate-models/inventory.ts'),
      import('../models/index.ts'),
      import('./settings.ts'),
    ])
  const { config } = readSettings()
  const progress = createProgressPrinter(process.stderr)
  try {
    // What a server would warn of is in the report.
    const log = { warn: () => undefined }
    const store = await openStore({ root: flags.models ?? config.modelsDir, log, prunes: false })
    const examination = await examineStore({
      store,
      inventory: await inventoryFor(flags, config, store),
      maxLoadedModels: config.maxLoadedModels,
      digests: flags.verify === true,
      signal: abort.signal,
      onProgress: (message) => progress.print({ message }),
    })
    progress.end()
    process.stdout.write(
      flags.json ? `${JSON.stringify(examination, undefined, 2)}\n` : examinationTable(examination),
    )
    if (examination.models.some(({ state }) => state === 'broken')) process.exitCode = 1
  } finally {
    progress.end()
    stopper.release()
  }
}
