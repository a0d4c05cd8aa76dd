import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import { isSameModel } from '../../models/index.ts'
import { watchAttached } from '../attached-watch.ts'
import type { InstanceExit, InstanceSpec } from '../contract.ts'
import { loadedLength, loadInTabby } from '../exllama/load.ts'
import { wakeUp } from '../vllm/sleep.ts'
import { createClient, type OpenAiClient, wordsOf } from './client.ts'
import { hasCompletions, type Identified, identify, type ModelCard, notThere } from './identify.ts'
import type { OpenAiServer, ReadyModel } from './server.ts'
import { type OpenAiTarget, shownUrl } from './target.ts'

/** How long the answer to a look may take when a connection has broken. */
const endNoticeMs = 1_000
const lookAgainMs = 20

export interface Attached {
  server: OpenAiServer
  model: ReadyModel
}

/**
 * Joins a server that runs already, with the model of the spec in it: one that can load models is made to, one that
 * sleeps is woken. While it is held it is looked after every second. Throws `engine_unavailable` where it does not
 * answer, `load_failed` or `insufficient_memory` where it has not the model.
 */
export async function attach(
  target: OpenAiTarget,
  spec: InstanceSpec,
  signal: AbortSignal,
): Promise<Attached> {
  const client = clientOf(target)
  try {
    const server = await join(target, client, signal)
    return { server, model: await modelIn(server, target, spec, signal) }
  } catch (error) {
    await client.close()
    signal.throwIfAborted()
    throw error
  }
}

export function clientOf({ url, keyVariable, adminKeyVariable }: OpenAiTarget): OpenAiClient {
  const apiKey = variable(keyVariable)
  const adminKey = variable(adminKeyVariable)
  return createClient({
    url,
    ...(apiKey !== undefined && { apiKey }),
    ...(adminKey !== undefined && { adminKey }),
  })
}

function variable(name: string | undefined): string | undefined {
  if (name === undefined) return undefined
  const value = process.env[name]
  if (value) return value
  throw new DroverError(
    'engine_unavailable',
    `the variable ${name}, which is to have a server's key, is not set`,
  )
}

type JoinedServer = OpenAiServer & { identified: Identified }

async function join(target: OpenAiTarget, client: OpenAiClient, signal: AbortSignal): Promise<JoinedServer> {
  const where = shownUrl(target.url)
  let identified: Identified
  try {
    identified = await identify(client, target.kind)
    signal.throwIfAborted()
  } catch (error) {
    signal.throwIfAborted()
    throw notThere(`the server at ${where}`, error)
  }
  const { dialect } = identified
  const title = `${dialect.title} at ${where}`
  const left = new AbortController()
  let end: (exit: InstanceExit) => void = () => undefined
  const gone = new Promise<InstanceExit>((resolve) => {
    end = (exit) => {
      left.abort()
      client.close().finally(() => resolve(exit))
    }
  })
  const look = (limit: AbortSignal) => client.ping(dialect.healthPath, limit)
  watchAttached(look, left.signal).then((exit) => {
    if (exit) end({ ...exit, reason: `${title} ${exit.reason}` })
  })
  return {
    identified,
    title,
    client,
    dialect,
    ...(target.kvEvents !== undefined && { kvEvents: target.kvEvents }),
    pid: 0,
    gone,
    async endedNow() {
      const words = await refusal(look)
      if (words === undefined) return undefined
      end({ kind: 'crashed', reason: `${title} has ended: ${words}` })
      return gone
    },
    kill: (reason) => end({ kind: 'hung', reason }),
    async stop() {
      end({ kind: 'closed', reason: 'let go' })
      await gone
    },
  }
}

/**
 * Looks until it is known whether anybody listens, for at most a second: the words of the refusal where nobody does.
 * Silence says nothing; it may be work.
 */
async function refusal(look: (limit: AbortSignal) => Promise<void>): Promise<string | undefined> {
  const limit = AbortSignal.timeout(endNoticeMs)
  while (!limit.aborted) {
    try {
      await look(limit)
      return undefined
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ECONNREFUSED') return wordsOf(error)
    }
    // A process that is about to end breaks new connections too.
    await sleep(lookAgainMs)
  }
  return undefined
}

async function modelIn(
  server: JoinedServer,
  target: OpenAiTarget,
  spec: InstanceSpec,
  signal: AbortSignal,
): Promise<ReadyModel> {
  try {
    return await readyModel(server, target, spec, signal)
  } catch (error) {
    await server.stop(0)
    signal.throwIfAborted()
    if (error instanceof DroverError) throw error
    const message = `${server.title} broke off while it made ${spec.modelName} ready: ${wordsOf(error)}`
    throw new DroverError('load_failed', message, { cause: error })
  }
}

async function readyModel(
  server: JoinedServer,
  target: OpenAiTarget,
  spec: InstanceSpec,
  signal: AbortSignal,
): Promise<ReadyModel> {
  const { client, dialect, identified } = server
  const loads = dialect.kind === 'exllama'
  const name = nameIn(server, target, spec, loads)
  const unload = loads ? await loadInTabby(server, name, spec, signal) : undefined
  const putAway = target.sleeps ? await wakeUp(server, signal) : unload
  const card = identified.models.find(({ id }) => id === name)
  const props = dialect.kind === 'llama-server' ? await llamaProps(client, signal) : {}
  const length = loads ? await loadedLength(client, signal) : (props.contextLength ?? lengthOf(card))
  const chatOnly = target.chatOnly ?? (dialect.kind === 'plain' && !(await completes(server)))
  return {
    name,
    contextLength: target.contextLength ?? length ?? spec.contextLength,
    slots: target.slots ?? props.slots ?? spec.slots,
    // Only its own host knows what it takes.
    memory: { vramBytes: 0, hostBytes: 0 },
    chatOnly: chatOnly || dialect.completion === undefined,
    ...(putAway && { putAway }),
  }
}

const lengthOf = (card: ModelCard | undefined) => card?.max_model_len ?? card?.meta?.n_ctx

async function completes({ client, dialect }: OpenAiServer): Promise<boolean> {
  return dialect.completion !== undefined && hasCompletions(client, dialect.completion.path)
}

/** Slots and their context, as llama-server really has them. */
async function llamaProps(
  client: OpenAiClient,
  signal: AbortSignal,
): Promise<{ slots?: number; contextLength?: number }> {
  const props = (await client.json('GET', '/props', undefined, signal)) as {
    total_slots?: number
    default_generation_settings?: { n_ctx?: number }
  }
  const contextLength = props.default_generation_settings?.n_ctx
  return {
    ...(props.total_slots !== undefined && { slots: props.total_slots }),
    ...(contextLength !== undefined && { contextLength }),
  }
}

/** The server's own name of the spec's model. Throws `load_failed` where it serves another. */
function nameIn(
  { title, identified: { models } }: JoinedServer,
  { model, servedAs }: OpenAiTarget,
  { modelName }: InstanceSpec,
  loads: boolean,
): string {
  const listed = models.map(({ id }) => id)
  const has = listed.length > 0 ? `it has ${listed.join(', ')}` : 'it lists no model'
  if (model !== undefined && !isSameModel(model, modelName)) {
    throw new DroverError('load_failed', `${title} is there for ${model}, not for ${modelName}`)
  }
  if (servedAs !== undefined) {
    if (loads || listed.includes(servedAs)) return servedAs
    throw new DroverError('load_failed', `${title} serves no ${servedAs}: ${has}`)
  }
  const same = listed.find((id) => isSameModel(id, modelName))
  if (same !== undefined) return same
  const [only] = listed
  if (model !== undefined && only !== undefined && listed.length === 1) return only
  throw new DroverError(
    'load_failed',
    `${title} serves no ${modelName}: ${has}. Say which of them it is (model=${modelName} as=ITS-NAME)`,
  )
}
