import { Command } from 'commander'
import type { FittingVersion } from '../api/index.ts'
import type { Client } from './client.ts'

export function pullCommand(): Command {
  return new Command('pull')
    .argument('<MODEL>')
    .description('Pull a model from a registry')
    .option('--insecure', 'Use an insecure registry')
    .option('--fit', 'the version that fits this machine best, told with why')
    .action(
      async (model: string, { insecure = false, fit = false }: { insecure?: boolean; fit?: boolean }) => {
        const { connect } = await import('./connect.ts')
        const client = await connect()
        await pullModel(client, fit ? await fittingVersion(client, model, insecure) : model, insecure)
      },
    )
}

/** Asks which version of a model fits the server's machine, and says what it was told. */
async function fittingVersion(client: Client, model: string, insecure: boolean): Promise<string> {
  const chosen = await client.post<FittingVersion>('/api/fit', { model, insecure })
  const { formatBytes } = await import('./format.ts')
  const others = chosen.rejected.map(({ what, reason }) => `  not ${what}: ${reason}\n`)
  const reasons = chosen.reasons.map((reason) => `  ${reason}\n`)
  const head = `${chosen.model} (${chosen.fileType}, ${formatBytes(chosen.sizeBytes)})\n`
  process.stderr.write(head + reasons.join('') + others.join(''))
  return chosen.model
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
