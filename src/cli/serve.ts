import { Command, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { createStopper, endingSignals } from './stopper.ts'

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
        'vllm',
        'sglang',
        'exllama',
        'openai',
      ]),
    )
    .option('--config <file>', 'the configuration file (default: drover.yaml or config.yaml in ~/.drover)')
    .option('--demo', 'have the small model ready that comes with Drover')
    .action(serve)
}

/** With a terminal SIGHUP says that it was closed; a server without one reads its configuration anew. */
const hasTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
const daemonSignals = ['SIGINT', 'SIGTERM'] as const

/** Serves until a signal says to stop, and returns when nothing is left. */
async function serve({ host, models, engine, config: file, demo = false }: ServeFlags): Promise<void> {
  // First of all: a Ctrl-C while the server starts is answered too.
  const stopper = createStopper(process, undefined, hasTerminal ? endingSignals : daemonSignals)
  const [
    { readSettings },
    { createLogger, stderrDestination },
    { createLiveConfig, startServer },
    { systemClock },
  ] = await Promise.all([
    import('./settings.ts'),
    import('../observability/index.ts'),
    import('../server/index.ts'),
    import('../core/index.ts'),
  ])
  const flags = {
    ...(host !== undefined && { host }),
    ...(models !== undefined && { modelsDir: models }),
    ...(engine !== undefined && { engine }),
    ...(file !== undefined && { config: file }),
  }
  const loaded = readSettings(flags)
  const live = createLiveConfig(loaded, (instead) => readSettings(flags, instead), systemClock)
  const { config } = live
  const pretty = process.stderr.isTTY === true
  const log = createLogger({ level: () => config.logLevel, pretty, destination: stderrDestination() })
  if (!hasTerminal) process.on('SIGHUP', live.reload)
  const server = await startServer(config, { log, demo, warnings: loaded.warnings, configuration: live })
  live.watch(log)
  process.stdout.write(welcome(server.address, server.demoModel))
  stopper.whenAsked((hurry) => {
    const drainMs = hurry ? 0 : config.drainTimeoutMs
    log.info({ drainMs }, hurry ? 'stopping now' : 'stopping when running answers have ended; again to hurry')
    server.close({ drainMs }).catch((error) => log.error({ error }, 'the server did not stop cleanly'))
  })
  await server.closed
  live.close()
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
