import type { ChatRequest } from '../../inference/index.ts'

/** Ollama's rule of thumb. */
const bytesPerToken = 4

/** What an image takes of a context, by Ollama's estimate. */
const imageTokens = 768

/**
 * About how many tokens a conversation's prompt has: the first event of a stream has to say so before the engine
 * has. At least 1.
 */
export function estimateTokens({ messages, tools = [] }: ChatRequest): number {
  let bytes = 0
  let images = 0
  for (const { role, content, thinking = '', tool_calls: calls, images: shown = [] } of messages) {
    bytes += role.length + Buffer.byteLength(content) + Buffer.byteLength(thinking)
    if (calls) bytes += Buffer.byteLength(JSON.stringify(calls))
    images += shown.length
  }
  if (tools.length > 0) bytes += Buffer.byteLength(JSON.stringify(tools))
  return Math.max(1, Math.floor(bytes / bytesPerToken) + images * imageTokens)
}
