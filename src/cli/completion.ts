import { Argument, Command } from 'commander'

const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

export function completionCommand(): Command {
  const command = new Command('completion')
    .addArgument(new Argument('<SHELL>', 'whose completion').choices(shells))
    .description('Print the completion script for a shell')
  return command.action(async (shell: Shell) => {
    const { completionScript } = await import('./completion/scripts.ts')
    if (command.parent) process.stdout.write(completionScript(shell, command.parent))
  })
}
