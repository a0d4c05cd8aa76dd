import { Command } from 'commander'

export function stopCommand(): Command {
  return new Command('stop').argument('<MODEL>').description('Stop a running model').action(stop)
}

async function stop(model: string): Promise<void> {
  const [{ connect }, { ServerError }, { unloadModel }] = await Promise.all([
    import('./connect.ts'),
    import('./client.ts'),
    import('./session.ts'),
  ])
  const client = await connect()
  try {
    await unloadModel(client, model)
  } catch (error) {
    if (!(error instanceof ServerError) || error.status !== 404) throw error
    throw new Error(`couldn't find model "${model}" to stop`, { cause: error })
  }
}
