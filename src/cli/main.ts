import { reportError } from './errors.ts'
import { normalizeFlags } from './flags.ts'
import { createProgram } from './program.ts'

/** Runs one command line (`process.argv`). What fails is told on stderr in one line, and the exit code is 1. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has had enough (`drover list | head -1`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  try {
    const program = createProgram()
    await program.parseAsync([...argv.slice(0, 2), ...normalizeFlags(argv.slice(2), program)])
  } catch (error) {
    reportError(error)
    // Whatever was begun and still holds the process (an engine's probe, a socket) is not worth waiting for.
    process.exit(1)
  }
}
