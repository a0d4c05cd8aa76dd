import type { BatchReply, BatchUsage } from './contract.ts'
import type { LineAnswer } from './ledger.ts'

/** One line of an output or error file, as OpenAI writes it. */
export function answerLine(
  id: string,
  customId: string,
  { status, body, requestId }: BatchReply,
): LineAnswer {
  const { json, value } = readBody(body)
  const response = `{"status_code":${status},"request_id":${JSON.stringify(requestId ?? id)},"body":${json}}`
  return {
    json: `{"id":${JSON.stringify(id)},"custom_id":${JSON.stringify(customId)},"response":${response},"error":null}`,
    failed: status >= 400,
    usage: usageOf(value),
  }
}

/** A line that was never asked, and why. */
export function refusalLine(id: string, customId: string, error: { code: string; message: string }): string {
  return JSON.stringify({ id, custom_id: customId, response: null, error })
}

export const noUsage: BatchUsage = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 }

/** A body as a member of one line; what is no JSON becomes a text of it. */
function readBody(body: string): { json: string; value: unknown } {
  try {
    const value: unknown = JSON.parse(body)
    return { json: body.includes('\n') ? JSON.stringify(value) : body, value }
  } catch {
    return { json: JSON.stringify(body), value: undefined }
  }
}

/** The tokens of an answer by the names that the four endpoints have for them. */
function usageOf(body: unknown): BatchUsage {
  const usage = (body as { usage?: Partial<Record<string, unknown>> | null } | undefined | null)?.usage
  if (!usage) return noUsage
  const count = (value: unknown) => (typeof value === 'number' && Number.isInteger(value) ? value : 0)
  const detail = (members: unknown, name: string) =>
    typeof members === 'object' && members !== null ? count((members as Record<string, unknown>)[name]) : 0
  return {
    inputTokens: count(usage['prompt_tokens'] ?? usage['input_tokens']),
    cachedTokens: detail(usage['prompt_tokens_details'] ?? usage['input_tokens_details'], 'cached_tokens'),
    outputTokens: count(usage['completion_tokens'] ?? usage['output_tokens']),
    reasoningTokens: detail(
      usage['completion_tokens_details'] ?? usage['output_tokens_details'],
      'reasoning_tokens',
    ),
  }
}
