import { Pool } from 'undici'

/** What one streamed answer took. */
export interface Timed {
  ttftMs: number
  totalMs: number
  tokens: number
}

/** Where to send a chat, and how. */
export interface Target {
  origin: string
  model: string
  apiKey?: string
}

/** Sends chats to one server over kept connections, as an OpenAI client would. */
export function createChatClient(target: Target, connections: number) {
  const pool = new Pool(target.origin, { connections, headersTimeout: 0, bodyTimeout: 0 })
  const headers = {
    'content-type': 'application/json',
    ...(target.apiKey && { authorization: `Bearer ${target.apiKey}` }),
  }
  return {
    close: () => pool.close(),
    /** Streams one answer; a token is an event with content. */
    async chat(content: string, maxTokens: number): Promise<Timed> {
      const body = JSON.stringify({
        model: target.model,
        messages: [{ role: 'user', content }],
        max_tokens: maxTokens,
        temperature: 0,
        stream: true,
      })
      const startedMs = performance.now()
      const options = { path: '/v1/chat/completions', method: 'POST', headers, body } as const
      // llama-server closes kept connections as it likes; whoever finds one closed sends again, as browsers do.
      const response = await pool.request(options).catch((error) => {
        if (error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET') return pool.request(options)
        throw error
      })
      let ttftMs = Number.NaN
      let tokens = 0
      let tail = ''
      for await (const chunk of response.body) {
        const text = tail + chunk
        const end = text.lastIndexOf('\n\n')
        if (end < 0) {
          tail = text
          continue
        }
        tail = text.slice(end + 2)
        for (const event of text.slice(0, end).split('\n\n')) {
          if (!/"content":"[^"]/.test(event)) continue
          if (tokens === 0) ttftMs = performance.now() - startedMs
          tokens++
        }
      }
      if (response.statusCode !== 200 || tokens === 0)
        throw new Error(`status ${response.statusCode}: ${tail}`)
      return { ttftMs, totalMs: performance.now() - startedMs, tokens }
    },
  }
}
