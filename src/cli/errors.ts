/** One line for people; with `DEBUG` set, where it came from too. */
export function reportError(error: unknown): void {
  process.stderr.write(`Error: ${messageOf(error)}\n`)
  if (process.env.DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
