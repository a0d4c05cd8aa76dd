import { z } from 'zod'

/** A server that speaks OpenAI's API and runs already, as it is written: an address, and words about it. */
export interface OpenAiServerEntry {
  url: string
  kind?: 'vllm' | 'sglang' | 'exllama' | 'llama-server' | 'ollama' | 'plain'
  model?: string
  servedAs?: string
  keyVariable?: string
  adminKeyVariable?: string
  slots?: number
  contextLength?: number
  chatOnly?: boolean
  sleeps?: boolean
  kvEvents?: string
}

const kinds = ['vllm', 'sglang', 'exllama', 'llama-server', 'ollama'] as const
const amount = z.coerce.number().int().min(1)
/** What a subscriber can connect to: no `*`. */
const publisher = z
  .string()
  .refine(
    (url) => /^(tcp:\/\/[^*]+:\d+|ipc:\/\/\/.+)$/.test(url) && URL.canParse(url),
    'say tcp://host:port or ipc:///path',
  )
const onOff = z.enum(['on', 'off']).transform((word) => word === 'on')

/** The words that may follow an address, each `word=value`, and what they are to the program. */
const words = {
  engine: z
    .enum([...kinds, 'openai'])
    .transform((name) => ({ kind: name === 'openai' ? ('plain' as const) : name })),
  model: z.string().transform((model) => ({ model })),
  as: z.string().transform((servedAs) => ({ servedAs })),
  'key-env': z.string().transform((keyVariable) => ({ keyVariable })),
  'admin-key-env': z.string().transform((adminKeyVariable) => ({ adminKeyVariable })),
  slots: amount.transform((slots) => ({ slots })),
  context: amount.transform((contextLength) => ({ contextLength })),
  api: z.enum(['chat', 'completions']).transform((api) => ({ chatOnly: api === 'chat' })),
  sleep: onOff.transform((sleeps) => ({ sleeps })),
  'kv-events': publisher.transform((kvEvents) => ({ kvEvents })),
}

const isWord = (name: string): name is keyof typeof words => Object.hasOwn(words, name)

/**
 * Reads `http://10.0.0.5:8000 engine=vllm model=llama3.1:70b key-env=VLLM_KEY`. Throws what is wrong with it, in words.
 */
export function parseOpenAiServer(written: string): OpenAiServerEntry {
  const [url = '', ...rest] = written.trim().split(/\s+/)
  if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) throw new Error(`"${url}" is no http address`)
  return Object.assign({ url }, ...rest.map(wordOf))
}

function wordOf(part: string): Partial<OpenAiServerEntry> {
  const [name = '', ...value] = part.split('=')
  if (!isWord(name)) throw new Error(`"${part}" means nothing here: say ${Object.keys(words).join(', ')}`)
  const parsed = words[name].safeParse(value.join('='))
  if (!parsed.success || value.join('=') === '') {
    throw new Error(`"${part}" cannot be: ${parsed.error?.issues[0]?.message ?? 'a value is missing'}`)
  }
  return parsed.data
}

/** Names and what they stand for, as `name=value`. */
export function parsePair(written: string): readonly [name: string, value: string] {
  const at = written.indexOf('=')
  const [name, value] = [written.slice(0, at).trim(), written.slice(at + 1).trim()]
  if (at < 1 || value === '') throw new Error(`"${written}" is no name=value`)
  return [name, value]
}
