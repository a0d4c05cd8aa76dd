import { Command } from 'commander'

export function stopCommand(): Command {
  return new Command('stop').argument('<model>').description('unload a model').action(stop)
}

async function stop(model: string): Promise<void> {
  const [{ createClient, ServerError }, { readSettings }] = await Promise.all([
    import('./client.ts'),
    import('./settings.ts'),
  ])
  try {
    await createClient(readSettings().config.host).post('/api/generate', {
      model,
      keep_alive: 0,
      stream: false,
    })
  } catch (error) {
    if (!(error instanceof ServerError) || error.status !== 404) throw error
    throw new Error(`couldn't find model "${model}" to stop`, { cause: error })
  }
}
