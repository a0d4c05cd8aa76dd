import type { LogDestination } from './logger.ts'

/**
 * The process's stderr. When its reader has gone (`drover serve 2>&1 | head`) lines are dropped and the server goes
 * on: without a listener the broken pipe would end the process.
 */
export function stderrDestination(): LogDestination {
  const { stderr } = process
  let gone = false
  stderr.on('error', () => {
    gone = true
  })
  return {
    write: (text) => {
      if (!gone) stderr.write(text)
    },
  }
}
