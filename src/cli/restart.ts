import { Command } from 'commander'

export function restartCommand(): Command {
  return new Command('restart')
    .argument('<MODEL>')
    .description('Replace the running instances of a model by new ones, without refusing a request')
    .action(restart)
}

async function restart(model: string): Promise<void> {
  const { connect } = await import('./connect.ts')
  const client = await connect()
  const { instances } = await client.post<{ instances: number }>('/api/restart', { model })
  const what = instances === 1 ? '1 instance is' : `${instances} instances are`
  process.stdout.write(
    instances === 0
      ? `${model} does not run: nothing to restart\n`
      : `${what} being replaced, one after the other\n`,
  )
}
