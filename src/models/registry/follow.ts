import type { Progress } from '../contract.ts'
import type { TransferContext } from './settings.ts'
import type { Transfer } from './shared-downloads.ts'

/** A line that names a blob by the beginning of its digest: `pulling 0123456789ab`. */
export function blobLine(verb: string, digest: string, totalBytes: number, completedBytes: number): Progress {
  const short = digest.slice('sha256:'.length, 'sha256:'.length + 12)
  return { status: `${verb} ${short}`, digest, total: totalBytes, completed: completedBytes }
}

/** Tells how far a transfer is, again and again until it has ended. Throws what it ended with. */
export async function* follow(
  { clock, settings }: TransferContext,
  verb: string,
  digest: string,
  transfer: Transfer,
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  for (;;) {
    const outcome = await Promise.race([transfer.ended, clock.sleep(settings.progressMs, signal)])
    if (outcome && 'error' in outcome) throw outcome.error
    yield blobLine(verb, digest, transfer.totalBytes, transfer.completedBytes())
    if (outcome) return
  }
}
