import { Command } from 'commander'
import { formatBytes, formatMoment, formatProcessor, formatTable } from './format.ts'

interface Running {
  models: {
    name: string
    digest: string
    size: number
    size_vram: number
    context_length: number
    expires_at: string
  }[]
}

export function psCommand(): Command {
  return new Command('ps')
    .argument('[PREFIX]', 'only models whose names begin so')
    .description('List running models')
    .option('--json', 'Print as JSON')
    .action(ps)
}

async function ps(prefix = '', { json = false }: { json?: boolean }): Promise<void> {
  const { connect } = await import('./connect.ts')
  const running = await (await connect()).get<Running>('/api/ps')
  const models = running.models.filter(({ name }) => name.toLowerCase().startsWith(prefix.toLowerCase()))
  if (json) return void process.stdout.write(`${JSON.stringify(models, undefined, 2)}\n`)
  const now = Date.now()
  const rows = models.map(({ name, digest, size, size_vram, context_length, expires_at }) => [
    name,
    digest.slice(0, 12),
    formatBytes(size),
    formatProcessor(size, size_vram),
    String(context_length),
    Date.parse(expires_at) < now ? 'Stopping...' : formatMoment(Date.parse(expires_at), now),
  ])
  process.stdout.write(formatTable(['NAME', 'ID', 'SIZE', 'PROCESSOR', 'CONTEXT', 'UNTIL'], rows))
}
