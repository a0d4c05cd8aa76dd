import { Command } from 'commander'
import type { Client } from './client.ts'
import { messageOf } from './errors.ts'

export function removeCommand(): Command {
  return new Command('rm').argument('<MODEL...>').description('Remove a model').action(remove)
}

async function remove(models: string[]): Promise<void> {
  const { connect } = await import('./connect.ts')
  const client = await connect()
  for (const model of models) {
    await stopFirst(client, model)
    await client.send('DELETE', '/api/delete', { model })
    process.stdout.write(`deleted '${model}'\n`)
  }
}

/** A model that is loaded is unloaded; one that cannot be is deleted all the same. */
async function stopFirst(client: Client, model: string): Promise<void> {
  const { unloadModel } = await import('./session.ts')
  await unloadModel(client, model).catch((error: unknown) => {
    if (/not found/i.test(messageOf(error))) return
    process.stderr.write(`Warning: unable to stop model '${model}'\n`)
  })
}
