import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { signinCommand, signoutCommand } from './account.ts'
import { benchCommand } from './bench.ts'
import { benchmarkCommand } from './benchmark.ts'
import { completionCommand } from './completion.ts'
import { configCommand } from './config.ts'
import { copyCommand } from './cp.ts'
import { createCommand } from './create.ts'
import { doctorCommand } from './doctor.ts'
import { engineCommand } from './engine.ts'
import { gpusCommand } from './gpus.ts'
import { formatHelp } from './help.ts'
import { launchCommand } from './launch.ts'
import { listCommand } from './list.ts'
import { migrateModelsCommand } from './migrate-models.ts'
import { mockEngineCommand } from './mock-engine.ts'
import { planCommand } from './plan.ts'
import { programName } from './program-name.ts'
import { psCommand } from './ps.ts'
import { pullCommand } from './pull.ts'
import { pushCommand } from './push.ts'
import { restartCommand } from './restart.ts'
import { removeCommand } from './rm.ts'
import { rpcWorkerCommand } from './rpc-worker.ts'
import { runCommand } from './run.ts'
import { serveCommand } from './serve.ts'
import { showCommand } from './show.ts'
import { simulateCommand } from './simulate.ts'
import { stopCommand } from './stop.ts'
import { topologyCommand } from './topology.ts'
import { unitsCommand } from './units.ts'
import { printVersion, versionCommand } from './version.ts'

/** In the order in which help lists them: Ollama's commands first. */
const commands = [
  serveCommand,
  createCommand,
  showCommand,
  runCommand,
  stopCommand,
  pullCommand,
  pushCommand,
  signinCommand,
  signoutCommand,
  listCommand,
  psCommand,
  copyCommand,
  removeCommand,
  launchCommand,
  restartCommand,
  gpusCommand,
  topologyCommand,
  doctorCommand,
  planCommand,
  benchCommand,
  benchmarkCommand,
  migrateModelsCommand,
  mockEngineCommand,
  simulateCommand,
  rpcWorkerCommand,
  unitsCommand,
  engineCommand,
  configCommand,
  completionCommand,
  versionCommand,
]

/** Every command with its flags, under the name that the program was started by. */
export function createProgram(name = programName()): Command {
  const program = new Command(name)
    .description(packageJson.description)
    .option('-v, --version', 'Show version information')
    // Flags of `run`, which Ollama takes here too.
    .option('--verbose', 'Show timings for response')
    .option('--nowordwrap', "Don't wrap words to the next line automatically")
    .helpOption('-h, --help', `help for ${name}`)
    .enablePositionalOptions()
    .configureHelp({ formatHelp })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'Error: ')) })
    .showHelpAfterError('Run the command with --help to see what it takes.')
  program.action(async ({ version = false }: { version?: boolean }) => {
    if (program.args.length > 0) program.error(`error: unknown command "${program.args[0]}" for "${name}"`)
    if (version) await printVersion(name)
    else program.outputHelp()
  })
  program.allowExcessArguments()
  for (const create of commands) {
    const command = create()
    program.addCommand(
      command.copyInheritedSettings(program).helpOption('-h, --help', `help for ${command.name()}`),
    )
  }
  return program
}
