import { Command } from 'commander'

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

/** A model that stays this long stays for ever. */
const foreverMs = 20 * 365 * 86_400_000

export function psCommand(): Command {
  return new Command('ps')
    .argument('[prefix]', 'only models whose names begin so')
    .description('list the models that are loaded')
    .option('--json', 'as JSON')
    .action(ps)
}

async function ps(prefix = '', { json = false }: { json?: boolean }): Promise<void> {
  const [{ createClient }, { readSettings }, { formatBytes, formatMoment, formatProcessor, formatTable }] =
    await Promise.all([import('./client.ts'), import('./settings.ts'), import('./format.ts')])
  const running = await createClient(readSettings().config.host).get<Running>('/api/ps')
  const models = running.models.filter(({ name }) => name.toLowerCase().startsWith(prefix.toLowerCase()))
  if (json) return void process.stdout.write(`${JSON.stringify(models, undefined, 2)}\n`)
  const now = Date.now()
  const until = (expiresAt: string) => {
    const atMs = Date.parse(expiresAt)
    if (atMs - now > foreverMs) return 'Forever'
    return atMs > now ? formatMoment(atMs, now) : 'Stopping...'
  }
  const rows = models.map(({ name, digest, size, size_vram, context_length, expires_at }) => [
    name,
    digest.slice(0, 12),
    formatBytes(size),
    formatProcessor(size, size_vram),
    String(context_length),
    until(expires_at),
  ])
  process.stdout.write(formatTable(['NAME', 'ID', 'SIZE', 'PROCESSOR', 'CONTEXT', 'UNTIL'], rows))
}
