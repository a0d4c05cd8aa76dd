import { Command } from 'commander'
import type { InstallProgress } from '../engines/index.ts'

/** The engine that can be installed. */
const installable = 'llama.cpp'

export function engineCommand(): Command {
  const engine = new Command('engine').description('The engines that run models')
  engine
    .command('list')
    .alias('ls')
    .description('What this machine has, and what each engine can use')
    .option('--json', 'as JSON')
    .action(listEngines)
  engine
    .command('install')
    .argument('[name]', `which engine: ${installable}`, installable)
    .description("Put an engine into Drover's own folder; the system is not touched")
    .option('--reinstall', 'fetch it again when it is there')
    .action(installEngine)
  engine
    .command('remove')
    .alias('rm')
    .argument('<name>', 'an installed engine')
    .description("Delete an engine from Drover's own folder")
    .action(removeInstalled)
  return engine
}

async function listEngines({ json = false }: { json?: boolean }): Promise<void> {
  const [{ probeEngines }, { formatEngines }] = await Promise.all([
    import('./engine-probes.ts'),
    import('./engine-format.ts'),
  ])
  const engines = await probeEngines()
  process.stdout.write(json ? `${JSON.stringify(engines, undefined, 2)}\n` : formatEngines(engines))
}

async function installEngine(name: string, { reinstall = false }: { reinstall?: boolean }): Promise<void> {
  if (name !== installable) {
    throw new Error(
      `"${name}" cannot be installed: ${installable} can, and the embedded engine is always there`,
    )
  }
  const [{ installLlamaCpp }, { readSettings }, { EnvHttpProxyAgent, setGlobalDispatcher }] =
    await Promise.all([import('../engines/index.ts'), import('./settings.ts'), import('undici')])
  const { enginesDir } = readSettings().config
  // Downloads go through the proxy of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as those of other programs do.
  setGlobalDispatcher(new EnvHttpProxyAgent())
  const abort = new AbortController()
  const onInterrupt = () => abort.abort(new Error('interrupted; nothing was installed'))
  process.once('SIGINT', onInterrupt).once('SIGTERM', onInterrupt)
  const progress = createProgressPrinter(process.stderr)
  const engine = await installLlamaCpp({
    enginesDir,
    reinstall,
    signal: abort.signal,
    onProgress: progress.print,
  }).finally(() => {
    progress.end()
    process.off('SIGINT', onInterrupt).off('SIGTERM', onInterrupt)
  })
  process.stdout.write(`${engine.name} ${engine.version} (${engine.source}) is installed: ${engine.path}\n`)
}

async function removeInstalled(name: string): Promise<void> {
  const [{ listInstalled, removeEngine }, { readSettings }] = await Promise.all([
    import('../engines/index.ts'),
    import('./settings.ts'),
  ])
  const { enginesDir } = readSettings().config
  if (!(await removeEngine(enginesDir, name))) {
    const names = (await listInstalled(enginesDir)).map((engine) => engine.name)
    const have = names.length > 0 ? `there are: ${names.join(', ')}` : 'there are none'
    throw new Error(`no engine "${name}" is installed in ${enginesDir}; ${have}`)
  }
  process.stdout.write(`deleted '${name}'\n`)
}

/** One line that changes on a terminal; a line for each new message elsewhere. */
export function createProgressPrinter(out: { write(text: string): unknown; isTTY?: boolean }): {
  print(progress: Partial<InstallProgress> & Pick<InstallProgress, 'message'>): void
  end(): void
} {
  let last = ''
  return {
    print: ({ message, percent }) => {
      if (!out.isTTY) {
        if (message !== last) out.write(`${message}\n`)
        last = message
        return
      }
      const text = percent === undefined ? message : `${message} ${Math.floor(percent)}%`
      // To the line's start, the text, and what is left of the old one erased.
      if (text !== last) out.write(`\r${text}\u001b[K`)
      last = text
    },
    end: () => {
      if (out.isTTY && last !== '') out.write('\n')
    },
  }
}
