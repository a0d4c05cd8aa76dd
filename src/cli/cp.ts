import { Command } from 'commander'

export function copyCommand(): Command {
  return new Command('cp')
    .argument('<SOURCE>')
    .argument('<DESTINATION>')
    .description('Copy a model')
    .action(copy)
}

async function copy(source: string, destination: string): Promise<void> {
  const { connect } = await import('./connect.ts')
  const client = await connect()
  await client.send('POST', '/api/copy', { source, destination })
  process.stdout.write(`copied '${source}' to '${destination}'\n`)
}
