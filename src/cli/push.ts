import { Command } from 'commander'

export function pushCommand(): Command {
  return new Command('push')
    .argument('<MODEL>')
    .description('Push a model to a registry')
    .option('--insecure', 'Use an insecure registry')
    .action(push)
}

async function push(model: string, { insecure = false }: { insecure?: boolean }): Promise<void> {
  const [{ connect }, { createProgress }, { followProgress }] = await Promise.all([
    import('./connect.ts'),
    import('./progress/display.ts'),
    import('./progress/follow.ts'),
  ])
  const client = await connect()
  const display = createProgress()
  try {
    await followProgress(client.stream('/api/push', { model, insecure }), display)
  } catch (error) {
    const denied = error instanceof Error && /access denied|unauthorized/i.test(error.message)
    if (!denied) throw error
    throw new Error(
      'you are not authorized to push to this namespace, create the model under a namespace you own',
      { cause: error },
    )
  } finally {
    display.stop()
  }
  process.stdout.write(`\nYou can find your model at:\n\n\t${await placeOf(model)}\n`)
}

/** Where a person finds a pushed model: a page for Ollama's own registry, else the whole name. */
async function placeOf(model: string): Promise<string> {
  const { displayShortest, parseModelName } = await import('../models/index.ts')
  const name = parseModelName(model)
  if (/\.ollama\.(ai|com)$/.test(name.host)) {
    return `https://ollama.com/${displayShortest(name).replace(/:latest$/, '')}`
  }
  return `${name.host}/${name.namespace}/${name.model}:${name.tag}`
}
