import type { Logprob, TokenLogprob } from '../../inference/index.ts'

/** A token of a conversation's `logprobs.content`; llama-server has it so in completions too. */
interface ContentEntry {
  token: string
  logprob: number
  bytes?: number[] | null
  top_logprobs?: ContentEntry[]
}

/** OpenAI's older shape, of `/v1/completions`: a list for each kind of fact. */
interface TokenLists {
  tokens?: string[]
  token_logprobs?: (number | null)[]
  top_logprobs?: (Record<string, number> | null)[]
}

/** Probabilities of an event in either shape; undefined where it tells none. */
export function readLogprobs(told: unknown, topLogprobs: number): Logprob[] | undefined {
  if (typeof told !== 'object' || told === null) return undefined
  const { content } = told as { content?: ContentEntry[] | null }
  const entries = content ? content.map((entry) => ofEntry(entry, topLogprobs)) : ofLists(told, topLogprobs)
  return entries.length > 0 ? entries : undefined
}

function ofEntry(entry: ContentEntry, topLogprobs: number): Logprob {
  const top = (entry.top_logprobs ?? []).slice(0, topLogprobs).map(ofToken)
  return { ...ofToken(entry), ...(topLogprobs > 0 && { top_logprobs: top }) }
}

function ofToken({ token, logprob, bytes }: ContentEntry): TokenLogprob {
  return { token, logprob, bytes: bytes ?? [...Buffer.from(token)] }
}

function ofLists(
  { tokens = [], token_logprobs = [], top_logprobs = [] }: TokenLists,
  most: number,
): Logprob[] {
  return tokens.map((token, index) => {
    const others = Object.entries(top_logprobs[index] ?? {}).map(([other, logprob]) => named(other, logprob))
    const best = others.toSorted((a, b) => b.logprob - a.logprob).slice(0, most)
    return { ...named(token, token_logprobs[index] ?? 0), ...(most > 0 && { top_logprobs: best }) }
  })
}

/** vLLM writes tokens that are parts of characters as `bytes:\xe6\x97`. */
function named(token: string, logprob: number): TokenLogprob {
  if (!/^bytes:(?:\\x[0-9a-f]{2})+$/i.test(token)) return { token, logprob, bytes: [...Buffer.from(token)] }
  const bytes = Buffer.from(token.slice('bytes:'.length).replaceAll('\\x', ''), 'hex')
  return { token: bytes.toString('utf8'), logprob, bytes: [...bytes] }
}
