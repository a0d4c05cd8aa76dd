import { Command } from 'commander'

interface Tags {
  models: { name: string; digest: string; size: number; modified_at: string }[]
}

export function listCommand(): Command {
  return new Command('list')
    .alias('ls')
    .argument('[prefix]', 'only models whose names begin so')
    .description('list the models of the store')
    .option('--json', 'as JSON')
    .action(list)
}

async function list(prefix = '', { json = false }: { json?: boolean }): Promise<void> {
  const [{ createClient }, { readSettings }, { formatBytes, formatMoment, formatTable }] = await Promise.all([
    import('./client.ts'),
    import('./settings.ts'),
    import('./format.ts'),
  ])
  const tags = await createClient(readSettings().config.host).get<Tags>('/api/tags')
  const models = tags.models.filter(({ name }) => name.toLowerCase().startsWith(prefix.toLowerCase()))
  if (json) return void process.stdout.write(`${JSON.stringify(models, undefined, 2)}\n`)
  const rows = models.map(({ name, digest, size, modified_at }) => [
    name,
    digest.slice(0, 12),
    formatBytes(size),
    formatMoment(Date.parse(modified_at), Date.now()),
  ])
  process.stdout.write(formatTable(['NAME', 'ID', 'SIZE', 'MODIFIED'], rows))
}
