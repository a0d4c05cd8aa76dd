import { DroverError } from '../../inference/index.ts'
import { type OpenAiClient, OpenAiError, wordsOf } from './client.ts'
import type { Dialect, ServerKind } from './dialect.ts'
import { dialects } from './dialects.ts'

/** How long a server may take to say what it is. */
const answerTimeoutMs = 5_000

/** An entry of `GET /v1/models`, with what some servers tell beyond OpenAI's. */
export interface ModelCard {
  id: string
  owned_by?: string
  /** vLLM, SGLang. */
  max_model_len?: number | null
  /** llama-server. */
  meta?: { n_ctx?: number } | null
  /** vLLM: adapters name the model below them. */
  parent?: string | null
}

export interface Identified {
  dialect: Dialect
  models: readonly ModelCard[]
}

/** What the owner of its models says of a server. */
const owners: Readonly<Record<string, ServerKind>> = {
  vllm: 'vllm',
  sglang: 'sglang',
  tabbyAPI: 'exllama',
  llamacpp: 'llama-server',
}

/** Asks a server for its models and for what it is, unless that is known. Throws the connection's or the server's error. */
export async function identify(client: OpenAiClient, kind?: ServerKind): Promise<Identified> {
  const { data } = (await client.json('GET', '/v1/models', undefined, limit())) as {
    data?: ModelCard[] | null
  }
  const models = data ?? []
  const owner = models
    .map(({ owned_by = '' }) => (Object.hasOwn(owners, owned_by) ? owners[owned_by] : undefined))
    .find((known) => known !== undefined)
  const known = kind ?? owner ?? ((await isOllama(client)) ? 'ollama' : 'plain')
  return { dialect: dialects[known], models }
}

/** An Ollama names a model's owner by its namespace, so it is known by a route of its own. */
async function isOllama(client: OpenAiClient): Promise<boolean> {
  return (await versionAt(client, '/api/version')) !== undefined
}

/** The server's version, where it tells one. */
export async function versionOf(client: OpenAiClient, { kind }: Dialect): Promise<string | undefined> {
  if (kind === 'vllm') return versionAt(client, '/version')
  if (kind === 'sglang') return versionAt(client, '/get_server_info')
  return kind === 'ollama' ? versionAt(client, '/api/version') : undefined
}

async function versionAt(client: OpenAiClient, path: string): Promise<string | undefined> {
  try {
    const answer = (await client.json('GET', path, undefined, limit())) as { version?: unknown } | undefined
    return typeof answer?.version === 'string' ? answer.version : undefined
  } catch {
    // It has no such route, and whoever asks next hears whether it lives.
    return undefined
  }
}

/** Whether a server that nobody knows continues prompts, or has conversations only. */
export async function hasCompletions(client: OpenAiClient, path: string): Promise<boolean> {
  try {
    await client.json('POST', path, {}, limit())
    return true
  } catch (error) {
    // What the route says to nothing at all is a complaint; only without the route is it another.
    return !(
      error instanceof OpenAiError &&
      (error.status === 404 || error.status === 405 || error.status === 501)
    )
  }
}

/** What an error says when a server is asked for the first time. */
export function notThere(title: string, error: unknown): DroverError {
  const advice =
    error instanceof OpenAiError && (error.status === 401 || error.status === 403)
      ? '. It wants a key: name the variable that has it (key-env=NAME)'
      : ''
  return new DroverError('engine_unavailable', `${title} does not answer: ${wordsOf(error)}${advice}`, {
    cause: error,
  })
}

const limit = () => AbortSignal.timeout(answerTimeoutMs)
