/** What the mock engine answers in place of an answer; each dialect has its own words around it. */
export class Refusal extends Error {
  readonly status: number
  /** llama.cpp's and OpenAI's class of it. */
  readonly type: string
  readonly headers: Readonly<Record<string, string>>
  /** More members of llama.cpp's error object. */
  readonly details: Readonly<Record<string, number>>

  constructor(
    status: number,
    message: string,
    more: { type?: string; headers?: Record<string, string>; details?: Record<string, number> } = {},
  ) {
    super(message)
    this.name = 'Refusal'
    this.status = status
    this.type = more.type ?? typeOf(status)
    this.headers = more.headers ?? {}
    this.details = more.details ?? {}
  }
}

function typeOf(status: number): string {
  if (status === 503) return 'unavailable_error'
  if (status === 429) return 'rate_limit_exceeded'
  if (status === 404) return 'not_found_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

/** The prompt leaves no room for an answer. */
export function contextExceeded(promptTokens: number, contextTokens: number): Refusal {
  const message =
    `the request (${promptTokens} tokens) exceeds the available context size (${contextTokens} tokens), ` +
    'try increasing it'
  return new Refusal(400, message, {
    type: 'exceed_context_size_error',
    details: { n_prompt_tokens: promptTokens, n_ctx: contextTokens },
  })
}
