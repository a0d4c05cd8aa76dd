import { Command } from 'commander'
import type { LaunchFlags } from './launch/flags.ts'

export function launchCommand(): Command {
  const command = new Command('launch')
    .argument('[INTEGRATION]', 'without one, those that there are')
    .argument('[ARGS...]', 'after --: passed on')
    .description('Launch a program that uses your models')
    .option('--model <string>', 'Model to use')
    .option('--config', 'Configure without launching')
    .option('--restore', 'Restore an integration to its default profile')
    .option('-y, --yes', 'Automatically answer yes to confirmation prompts')
    .option('--json', 'Print the integrations as JSON')
  return command.action(async (name: string | undefined, args: string[], flags: LaunchFlags) => {
    const { launch, listIntegrations } = await import('./launch/launch.ts')
    if (name === undefined) return listIntegrations(flags)
    process.exitCode = await launch(name, args, flags)
  })
}
