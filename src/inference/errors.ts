/** Whether trying again may help: never, on the same instance after a wait, or on another instance. */
export type RetryClass = 'never' | 'same' | 'other'

/**
 * The catalogue of what can go wrong: HTTP status and retry class by code. Wording is composed where the facts
 * are; the dialects put it into their own envelope.
 */
export const errorCatalogue = {
  invalid_request: { status: 400, retry: 'never' },
  unsupported: { status: 400, retry: 'never' },
  context_exceeded: { status: 400, retry: 'never' },
  forbidden: { status: 403, retry: 'never' },
  model_not_found: { status: 404, retry: 'never' },
  not_found: { status: 404, retry: 'never' },
  body_timeout: { status: 408, retry: 'never' },
  body_too_large: { status: 413, retry: 'never' },
  rate_limited: { status: 429, retry: 'same' },
  cancelled: { status: 499, retry: 'never' },
  internal: { status: 500, retry: 'never' },
  invalid_option: { status: 500, retry: 'never' },
  invalid_format: { status: 500, retry: 'never' },
  invalid_template: { status: 500, retry: 'never' },
  store_unreadable: { status: 500, retry: 'never' },
  model_corrupt: { status: 500, retry: 'never' },
  insufficient_memory: { status: 500, retry: 'other' },
  load_failed: { status: 500, retry: 'other' },
  load_stalled: { status: 500, retry: 'other' },
  crash_loop: { status: 500, retry: 'other' },
  engine_crashed: { status: 500, retry: 'other' },
  engine_failed: { status: 500, retry: 'other' },
  not_embedding_model: { status: 501, retry: 'never' },
  busy: { status: 503, retry: 'same' },
  deadline_exceeded: { status: 503, retry: 'never' },
  engine_unavailable: { status: 503, retry: 'other' },
  shutting_down: { status: 503, retry: 'other' },
  storage_full: { status: 507, retry: 'same' },
} as const satisfies Record<string, { status: number; retry: RetryClass }>

export type ErrorCode = keyof typeof errorCatalogue

/** An error that a client may see: `message` is the whole text it reads. */
export class DroverError extends Error {
  readonly code: ErrorCode
  /** When trying again may be worth it; absent where nobody knows. */
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; retryAfterMs?: number }) {
    super(message, options)
    this.name = 'DroverError'
    this.code = code
    this.retryAfterMs = options?.retryAfterMs
  }

  get status(): number {
    return errorCatalogue[this.code].status
  }

  get retry(): RetryClass {
    return errorCatalogue[this.code].retry
  }
}

/** Turns whatever was thrown into a `DroverError`; an abort becomes `cancelled`, the unknown `internal`. */
export function asDroverError(thrown: unknown): DroverError {
  if (thrown instanceof DroverError) return thrown
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    return new DroverError('cancelled', 'request canceled', { cause: thrown })
  }
  return new DroverError('internal', thrown instanceof Error ? thrown.message : String(thrown), {
    cause: thrown,
  })
}
