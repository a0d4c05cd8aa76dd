import { Command } from 'commander'
import type { Client } from './client.ts'

export function pullCommand(): Command {
  return new Command('pull')
    .argument('<MODEL>')
    .description('Pull a model from a registry')
    .option('--insecure', 'Use an insecure registry')
    .action(async (model: string, { insecure = false }: { insecure?: boolean }) => {
      const { connect } = await import('./connect.ts')
      await pullModel(await connect(), model, insecure)
    })
}

/** Has the server fetch a model, and shows how far it is. */
export async function pullModel(client: Client, model: string, insecure: boolean): Promise<void> {
  const [{ createProgress }, { followProgress }] = await Promise.all([
    import('./progress/display.ts'),
    import('./progress/follow.ts'),
  ])
  const display = createProgress()
  try {
    await followProgress(client.stream('/api/pull', { model, insecure }), display)
  } finally {
    display.stop()
  }
}
