/** What a line of a batch may ask. */
export const batchEndpoints = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
] as const

export type BatchEndpoint = (typeof batchEndpoints)[number]

/** A file somebody has uploaded, or that a batch has written. Times are seconds since the epoch, as in OpenAI's API. */
export interface StoredFile {
  id: string
  tenant: string
  filename: string
  purpose: 'batch' | 'batch_output'
  bytes: number
  createdS: number
  /** Absent: it stays until it is deleted. */
  expiresS?: number
}

export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled'

/** What is wrong with an input file. */
export interface InputError {
  code: string
  message: string
  /** From 1; absent where it is the file as a whole. */
  line?: number
  param?: string
}

/** Tokens of every answered line together. */
export interface BatchUsage {
  inputTokens: number
  cachedTokens: number
  outputTokens: number
  reasoningTokens: number
}

/** What is asked for with a new batch. */
export interface BatchWish {
  inputFileId: string
  endpoint: BatchEndpoint
  metadata?: Readonly<Record<string, string>>
  /** Lines that have not been answered after so long are given up. */
  windowS: number
  /** Its output files are deleted so long after they were written; absent: never. */
  outputExpiresAfterS?: number
}

export interface Batch extends BatchWish {
  id: string
  tenant: string
  status: BatchStatus
  createdS: number
  expiresS: number
  inProgressS?: number
  cancellingS?: number
  finalizingS?: number
  /** When it took its last status: failed, completed, expired or cancelled. */
  endedS?: number
  errors: readonly InputError[]
  outputFileId?: string
  errorFileId?: string
  /** Of its first line. */
  model?: string
  counts: { total: number; completed: number; failed: number }
  usage: BatchUsage
}

/** One page of a list; `after` is the id of the last one of the page before. */
export interface PageWish {
  limit: number
  after?: string
  /** Newest first is the default. */
  order?: 'asc' | 'desc'
}

export interface Page<T> {
  items: T[]
  hasMore: boolean
}

/** One line of a batch on its way to the route that answers it. */
export interface BatchCall {
  tenant: string
  url: BatchEndpoint
  /** JSON, as a client would send it. */
  body: string
}

export interface BatchReply {
  status: number
  /** JSON. */
  body: string
  requestId?: string
  /** Of a refusal that does not last. */
  retryAfterMs?: number
}

/** Answers one line as its live route would. Rejects only when the signal aborts, or nothing can be answered at all. */
export type ExecuteCall = (call: BatchCall, signal: AbortSignal) => Promise<BatchReply>

/** Content on its way into a file. */
export interface FileWish {
  filename: string
  /** Deleted so long after it was uploaded. */
  expiresAfterS: number
}

/**
 * Files, and batches of requests that are answered when nobody else wants the engines. Both survive a restart, and a
 * kill: a line that has been answered is not asked again, and each has one answer in the end. Nothing of a tenant is
 * there for another. Throws `DroverError`: `not_found`, `invalid_request`, `body_too_large`, `storage_full`, and `busy`
 * where another server has the folder.
 */
export interface Batches {
  /** Keeps content as it comes; when `content` throws, nothing of it is left. The wish is read when it has ended. */
  addFile(tenant: string, content: AsyncIterable<Uint8Array>, wish: () => FileWish): Promise<StoredFile>
  file(tenant: string, id: string): Promise<StoredFile>
  files(tenant: string, page: PageWish, purpose?: string): Promise<Page<StoredFile>>
  /** The path of a file's content. */
  contentPath(tenant: string, id: string): Promise<string>
  deleteFile(tenant: string, id: string): Promise<void>

  create(tenant: string, wish: BatchWish): Promise<Batch>
  batch(tenant: string, id: string): Promise<Batch>
  list(tenant: string, page: PageWish): Promise<Page<Batch>>
  /** What is running of it is broken off; its answers so far become its output. */
  cancel(tenant: string, id: string): Promise<Batch>

  /** From now on batches run, those of before too. */
  run(execute: ExecuteCall): void
  /** Breaks off what is running, to be asked again after the next start. */
  close(): Promise<void>
}
