import { Command } from 'commander'
import type { ShownModel } from './api-types.ts'

const parts = ['license', 'modelfile', 'parameters', 'template', 'system'] as const

interface ShowFlags extends Partial<Record<(typeof parts)[number], boolean>> {
  verbose?: boolean
  json?: boolean
}

export function showCommand(): Command {
  return new Command('show')
    .argument('<MODEL>')
    .description('Show information for a model')
    .option('--license', 'Show license of a model')
    .option('--modelfile', 'Show Modelfile of a model')
    .option('--parameters', 'Show parameters of a model')
    .option('--template', 'Show template of a model')
    .option('--system', 'Show system message of a model')
    .option('-v, --verbose', 'Show detailed model information')
    .option('--json', 'Print as JSON')
    .action(show)
}

async function show(model: string, flags: ShowFlags): Promise<void> {
  const [{ connect }, { describeModel }] = await Promise.all([
    import('./connect.ts'),
    import('./describe-model.ts'),
  ])
  const client = await connect()
  const [part, second] = parts.filter((name) => flags[name])
  if (second !== undefined) {
    throw new Error(
      "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified",
    )
  }
  const { verbose = false } = flags
  const shown = await client.post<ShownModel>('/api/show', { model, verbose })
  const out = process.stdout
  if (flags.json) out.write(`${JSON.stringify(shown, undefined, 2)}\n`)
  else if (part === undefined) out.write(describeModel(shown, verbose))
  // Text that people pipe into a file comes as it is.
  else if (part === 'template' || part === 'system') out.write(shown[part] ?? '')
  else out.write(`${shown[part] ?? ''}\n`)
}
