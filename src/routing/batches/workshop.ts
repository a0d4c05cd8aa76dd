import type { Clock } from '../../core/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { ExecuteCall } from './contract.ts'
import type { Contents } from './files.ts'
import type { InputLimits } from './input.ts'
import type { Ledger } from './ledger.ts'

/** What everything that works on batches shares. */
export interface Workshop {
  ledger: Ledger
  contents: Contents
  limits: InputLimits
  execute: ExecuteCall
  /** Bulk requests that may begin at this moment beside those that run already. */
  freeSlots: () => number
  /** Lines in flight at most, of all batches together. */
  maxConcurrent: number
  /** While the disk has less free, no line is asked: its answer might find no room. */
  reserveBytes: number
  clock: Clock
  log: Logger
}

/** How long after it was full the disk is tried again. */
export const fullDiskRetryMs = 5000
