import type { ProgressDisplay } from './display.ts'

/** A line of the progress that the API streams. */
export interface ProgressPart {
  status?: string
  digest?: string
  total?: number
  completed?: number
}

/** Shows a task of the server until it ends, or throws what it ended with. */
export async function followProgress(
  parts: AsyncIterable<ProgressPart>,
  display: ProgressDisplay,
): Promise<void> {
  let last = ''
  for await (const { status = '', digest, total = 0, completed = 0 } of parts) {
    if (digest === undefined) {
      if (status !== last) display.status(status)
      last = status
    } else if (completed > 0) {
      // The first line of a layer says only that it will come.
      display.transfer(digest, status || digest.slice(7, 19), total, completed)
    }
  }
}
