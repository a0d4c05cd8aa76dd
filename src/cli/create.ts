import { Command } from 'commander'
import type { CreateFlags } from './create/flags.ts'

export function createCommand(): Command {
  return new Command('create')
    .argument('<MODEL>')
    .description('Create a model')
    .option('-f, --file <string>', 'Name of the Modelfile (default "Modelfile")')
    .option('-q, --quantize <string>', 'Quantize model to this level (e.g. q4_K_M)')
    .option('--draft-quantize <string>', 'Quantize draft model to this level')
    .option('--experimental', 'Accepted, as Ollama takes it; changes nothing here')
    .action(async (model: string, flags: CreateFlags) => {
      const { createModel } = await import('./create/create-model.ts')
      await createModel(model, flags)
    })
}
