import { Agent, request } from 'undici'

export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

export type Chat = Message[]

/** An answer as its client saw it. */
export interface ChatAnswer {
  ttftMs: number
  totalMs: number
  text: string
  promptTokens: number
  outputTokens: number
  /** `#2 cpu:1` */
  instance: string
  /** Why there: `predicted_finish 812 ms; 1 of 2; 1300 tokens cached; ...` */
  route: string
}

export interface ChatOptions {
  origin: string
  model: string
  maxTokens: number
  headers?: Record<string, string>
}

interface Line {
  message?: { content?: string }
  error?: string
  prompt_eval_count?: number
  eval_count?: number
}

const dispatcher = new Agent({ connections: 256, headersTimeout: 0, bodyTimeout: 0 })

/** Streams a chat through Ollama's API, at temperature 0. The first token is timed when the first text arrives. */
export async function askChat(messages: Chat, options: ChatOptions): Promise<ChatAnswer> {
  const { origin, model, maxTokens, headers = {} } = options
  const body = { model, messages, options: { num_predict: maxTokens, temperature: 0 } }
  const startedMs = performance.now()
  const response = await request(`${origin}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    dispatcher,
  })
  let ttftMs = Number.NaN
  let text = ''
  let last: Line = {}
  let tail = ''
  for await (const chunk of response.body.setEncoding('utf8')) {
    const lines = (tail + chunk).split('\n')
    tail = lines.pop() ?? ''
    for (const line of lines) {
      last = JSON.parse(line) as Line
      const content = last.message?.content ?? ''
      if (content !== '' && text === '') ttftMs = performance.now() - startedMs
      text += content
    }
  }
  if (response.statusCode !== 200 || last.error !== undefined || text === '')
    throw new Error(`status ${response.statusCode}: ${last.error ?? tail}, after ${text.length} characters`)
  return {
    ttftMs,
    totalMs: performance.now() - startedMs,
    text,
    promptTokens: last.prompt_eval_count ?? 0,
    outputTokens: last.eval_count ?? 0,
    instance: String(response.headers['x-drover-instance']),
    route: String(response.headers['x-drover-route']),
  }
}
