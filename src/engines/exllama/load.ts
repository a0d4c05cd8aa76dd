import { basename } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import type { InstanceSpec } from '../contract.ts'
import { type OpenAiClient, OpenAiError } from '../openai/client.ts'
import { loadError } from '../openai/errors.ts'
import type { OpenAiServer } from '../openai/server.ts'
import { tabbyModelOptions } from './options.ts'

/** `GET /v1/model`; 4xx or 503 where none is loaded. */
interface LoadedCard {
  id?: string
  parameters?: { max_seq_len?: number | null } | null
}

/**
 * Loads a model folder in a TabbyAPI, unless it is loaded, and waits until it is: each module that it loads is a sign of
 * life, and without one for `stallTimeoutMs` the load is given up. What is returned unloads what was loaded here. Throws
 * `load_failed`, `insufficient_memory`, `load_stalled`, or the signal's reason.
 */
export async function loadInTabby(
  server: OpenAiServer,
  name: string,
  spec: InstanceSpec,
  signal: AbortSignal,
): Promise<((signal: AbortSignal) => Promise<void>) | undefined> {
  const { client } = server
  const loaded = await loadedModel(client, signal)
  // One that somebody else has loaded is his to unload.
  if (loaded?.id === name) return undefined
  if (loaded?.id !== undefined) {
    const message = `${server.title} has ${loaded.id} loaded, and one model at a time: unload it, or give it another server`
    throw new DroverError('load_failed', message)
  }
  await followLoad(server, name, spec, signal)
  return async (closing) => {
    await client.json('POST', '/v1/model/unload', undefined, closing)
  }
}

/** The context of the model that is loaded. */
export async function loadedLength(client: OpenAiClient, signal: AbortSignal): Promise<number | undefined> {
  return (await loadedModel(client, signal))?.parameters?.max_seq_len ?? undefined
}

async function loadedModel(client: OpenAiClient, signal: AbortSignal): Promise<LoadedCard | undefined> {
  try {
    return (await client.json('GET', '/v1/model', undefined, signal)) as LoadedCard
  } catch (error) {
    if (!(error instanceof OpenAiError)) throw error
    return undefined
  }
}

async function followLoad(
  { client, title }: OpenAiServer,
  name: string,
  spec: InstanceSpec,
  signal: AbortSignal,
): Promise<void> {
  const stalled = new AbortController()
  const wait = Math.min(spec.stallTimeoutMs, 2_147_483_647)
  let timer = setTimeout(() => stalled.abort(), wait)
  const body = { name: basename(name), ...tabbyModelOptions(spec) }
  let finished = false
  try {
    for await (const events of client.events(
      '/v1/model/load',
      body,
      AbortSignal.any([signal, stalled.signal]),
    )) {
      clearTimeout(timer)
      timer = setTimeout(() => stalled.abort(), wait)
      finished ||= events.some(({ status }) => status === 'finished')
    }
  } catch (error) {
    signal.throwIfAborted()
    if (stalled.signal.aborted) {
      const words = `loaded no module of ${name} for ${Math.round(spec.stallTimeoutMs)} ms`
      throw new DroverError('load_stalled', `${title} stalled: it ${words}`)
    }
    if (error instanceof OpenAiError) throw loadError(error, spec.modelName, title)
    throw error
  } finally {
    clearTimeout(timer)
  }
  if (!finished) throw new DroverError('load_failed', `${title} broke off while it loaded ${name}`)
}
