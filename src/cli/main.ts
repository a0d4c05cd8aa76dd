import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { engineCommand } from './engine.ts'
import { reportError } from './errors.ts'
import { listCommand } from './list.ts'
import { psCommand } from './ps.ts'
import { runCommand } from './run.ts'
import { serveCommand } from './serve.ts'
import { stopCommand } from './stop.ts'

/** Runs one command line (`process.argv`). What fails is told on stderr in one line, and the exit code is 1. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has had enough (`drover list | head -1`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  const program = createProgram()
  try {
    await program.parseAsync(argv)
  } catch (error) {
    reportError(error)
    // Whatever was begun and still holds the process (an engine's probe, a socket) is not worth waiting for.
    process.exit(1)
  }
}

function createProgram(): Command {
  const program = new Command('drover')
    .description(packageJson.description)
    .version(`drover ${packageJson.version}`, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'Error: ')) })
    .showHelpAfterError('Run the command with --help to see what it takes.')
  for (const create of [serveCommand, runCommand, listCommand, psCommand, stopCommand, engineCommand]) {
    program.addCommand(create().copyInheritedSettings(program))
  }
  return program
}
