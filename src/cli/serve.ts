import { Command, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { createStopper } from './stopper.ts'

interface ServeFlags {
  host?: string
  models?: string
  engine?: string
  config?: string
  demo?: boolean
}

export function serveCommand(): Command {
  return new Command('serve')
    .alias('start')
    .description("Start the server that speaks Ollama's API")
    .option('--host <host:port>', 'where to listen (default: 127.0.0.1:11434)')
    .option('--models <folder>', "the model store (default: Ollama's own, ~/.ollama/models)")
    .addOption(
      new Option('--engine <name>', 'what runs the models').choices([
        'auto',
        'llama.cpp',
        'embedded',
        'ollama',
      ]),
    )
    .option('--config <file>', 'the configuration file (default: ~/.drover/config.yaml)')
    .option('--demo', 'have the small model ready that comes with Drover')
    .action(serve)
}

/** Serves until a signal says to stop, and returns when nothing is left. */
async function serve({ host, models, engine, config: file, demo = false }: ServeFlags): Promise<void> {
  // First of all: a Ctrl-C while the server starts is answered too.
  const stopper = createStopper(process)
  const [{ readSettings }, { createLogger, stderrDestination }, { startServer }] = await Promise.all([
    import('./settings.ts'),
    import('../observability/index.ts'),
    import('../server/index.ts'),
  ])
  const { config, warnings } = readSettings({
    ...(host !== undefined && { host }),
    ...(models !== undefined && { modelsDir: models }),
    ...(engine !== undefined && { engine }),
    ...(file !== undefined && { config: file }),
  })
  const pretty = process.stderr.isTTY === true
  const log = createLogger({ level: config.logLevel, pretty, destination: stderrDestination() })
  const server = await startServer(config, { log, demo, warnings })
  process.stdout.write(welcome(server.address, server.demoModel))
  stopper.whenAsked((hurry) => {
    const drainMs = hurry ? 0 : config.drainTimeoutMs
    log.info({ drainMs }, hurry ? 'stopping now' : 'stopping when running answers have ended; again to hurry')
    server.close({ drainMs }).catch((error) => log.error({ error }, 'the server did not stop cleanly'))
  })
  await server.closed
  stopper.release()
}

function welcome(address: string, demoModel: string | undefined): string {
  const lines = [`Drover ${packageJson.version} is ready: Ollama's API on ${address}`]
  if (demoModel !== undefined) {
    const model = demoModel.replace(/:latest$/, '')
    const body = JSON.stringify({ model, prompt: 'What is the capital of France?', stream: false })
    lines.push('', 'Try it:', `  curl ${address}/api/generate -d '${body}'`, '')
  }
  return `${lines.join('\n')}\n`
}
