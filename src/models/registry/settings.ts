import type { Clock } from '../../core/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { PartLimits } from './partial.ts'

/** How transfers behave; the defaults are Ollama's. */
export interface TransferSettings {
  /** Without a byte for this long, a connection is given up and the part asked for again. */
  stallTimeoutMs: number
  /** Before the first retry; twice as long before each one after it. */
  retryDelayMs: number
  /** Attempts in a row that bring nothing, until a transfer fails. */
  tries: number
  /** Between two lines of progress. */
  progressMs: number
  /** Parts of a blob that is fetched. */
  parts: PartLimits
}

const megabyte = 1_000_000

export const defaultSettings: TransferSettings = {
  stallTimeoutMs: 30_000,
  retryDelayMs: 1000,
  tries: 6,
  progressMs: 60,
  parts: { count: 16, leastBytes: 100 * megabyte, mostBytes: 1000 * megabyte },
}

/** What every transfer works with. */
export interface TransferContext {
  settings: TransferSettings
  clock: Clock
  log: Pick<Logger, 'info' | 'warn'>
}
