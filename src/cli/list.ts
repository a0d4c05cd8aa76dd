import { Command } from 'commander'
import type { Client } from './client.ts'
import { formatBytes, formatMoment, formatTable } from './format.ts'

interface Tags {
  models: { name: string; digest: string; size: number; modified_at: string }[]
}

export function listCommand(): Command {
  return new Command('list')
    .alias('ls')
    .argument('[PREFIX]', 'only models whose names begin so')
    .description('List models')
    .option('--json', 'Print as JSON')
    .action(async (prefix: string | undefined, { json = false }: { json?: boolean }) => {
      const { connect } = await import('./connect.ts')
      process.stdout.write(await listModels(await connect(), prefix, json))
    })
}

/** The models of the store, newest first, as a table or as JSON. */
export async function listModels(client: Client, prefix = '', json = false): Promise<string> {
  const tags = await client.get<Tags>('/api/tags')
  const models = tags.models.filter(({ name }) => name.toLowerCase().startsWith(prefix.toLowerCase()))
  if (json) return `${JSON.stringify(models, undefined, 2)}\n`
  const rows = models.map(({ name, digest, size, modified_at }) => [
    name,
    digest.slice(0, 12),
    formatBytes(size),
    formatMoment(Date.parse(modified_at), Date.now()),
  ])
  return formatTable(['NAME', 'ID', 'SIZE', 'MODIFIED'], rows)
}
