import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineEvent,
  EngineInstance,
  EngineName,
  InstanceExit,
  InstanceSpec,
  OnCacheShrunk,
  ServerLoad,
} from '../contract.ts'
import { crashed } from '../crashed.ts'
import { type KvCacheWatch, watchKvCache } from '../kv-events/index.ts'
import { decodeEmbedding } from '../llamacpp/embedding.ts'
import type { Vocabularies } from '../ollama/vocabulary.ts'
import { createSlotQueue } from '../slots.ts'
import { chatBody, chatPath, chatReader } from './chat.ts'
import { OpenAiError, wordsOf } from './client.ts'
import type { CompletionRoute, Piece } from './dialect.ts'
import { type Asked, contextExceeded, requestError } from './errors.ts'
import type { ServerEvent } from './events.ts'
import { loadFrom } from './metrics.ts'
import type { OpenAiServer, ReadyModel } from './server.ts'
import { createTokens } from './tokens.ts'
import { translate } from './translate.ts'

const terminateGraceMs = 10_000
const hurriedGraceMs = 500
const putAwayTimeoutMs = 10_000
/** Of a token, in most languages and vocabularies no less. */
const usualTokenBytes = 3

export interface InstanceContext {
  engine: EngineName
  spec: InstanceSpec
  server: OpenAiServer
  model: ReadyModel
  vocabularies: Vocabularies
  log(message: string): void
}

/** One model in one server, whoever has started that. */
export function createInstance(context: InstanceContext): EngineInstance {
  const { engine, spec, server, model, vocabularies, log } = context
  const { client, dialect } = server
  const queue = createSlotQueue(model.slots)
  const tokens = createTokens(client, dialect, model.name, spec, vocabularies)
  const kvCache = watchedCache(server, log)
  /** Those that run, to be ended by a close. */
  const running = new Set<AbortController>()
  const hurry = new AbortController()
  let closing: Promise<void> | undefined
  let tokensMissed = false
  let serverLoad: ServerLoad | undefined

  let end: (exit: InstanceExit) => void = () => undefined
  const exited = new Promise<InstanceExit>((resolve) => {
    end = (exit) => {
      queue.close(() => crashed(exit))
      tokens.release()
      kvCache?.close()
      resolve(exit)
    }
  })
  server.gone.then((exit) => {
    if (closing) return
    log(`instance ${spec.id} of ${spec.modelName} ended: ${exit.reason}`)
    end(exit)
  })

  /** Tells a server that is gone, a refusal and a broken connection apart. */
  async function explain(error: unknown, asked: Asked): Promise<unknown> {
    if (error instanceof DroverError) return error
    if (error instanceof OpenAiError) return requestError(error, asked)
    const exit = await server.endedNow()
    if (exit) return crashed(exit)
    const message = `an error was encountered while running the model: ${wordsOf(error)}`
    return new DroverError('engine_failed', message, { cause: error })
  }

  /** Runs `work` in a slot, with a signal that the request and a close abort. */
  async function* inSlot<T>(
    signal: AbortSignal,
    asked: Asked,
    work: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    await queue.acquire(signal)
    const control = new AbortController()
    const onAbort = () => control.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    running.add(control)
    try {
      signal.throwIfAborted()
      for await (const item of work(control.signal)) {
        yield item
        // What was read together with the last event is not wanted any more.
        control.signal.throwIfAborted()
      }
    } catch (error) {
      throw control.signal.aborted ? control.signal.reason : await explain(error, asked)
    } finally {
      signal.removeEventListener('abort', onAbort)
      running.delete(control)
      queue.release()
    }
  }

  async function* generate(
    request: CompletionRequest,
    signal: AbortSignal,
    onCacheShrunk?: OnCacheShrunk,
  ): AsyncGenerator<EngineEvent> {
    const { completion, tellsTokens } = dialect
    if (completion && !model.chatOnly) {
      const body = completion.body(await fitted(request, completion), model)
      const events = client.events(completion.path, body, signal)
      const read = followed(completion.reader(request), onCacheShrunk)
      yield* translate(events, request, { read, tellsTokens, stopsItself: completion.stopsItself, tokensOf })
    } else {
      const body = chatBody(request, model, dialect, saidSince(request))
      const events = client.events(chatPath, body, signal)
      const read = chatReader(request)
      yield* translate(events, request, { read, tellsTokens: false, stopsItself: true, tokensOf })
    }
  }

  /** Watches a prompt in the server's cache as soon as it tells the prompt's tokens. */
  function followed(read: (event: ServerEvent) => Piece, onCacheShrunk?: OnCacheShrunk): typeof read {
    if (!kvCache || !onCacheShrunk) return read
    return (event) => {
      const piece = read(event)
      if (piece.promptTokens) kvCache.follow(piece.promptTokens, onCacheShrunk)
      return piece
    }
  }

  /** The prompt as the server takes it, with no more tokens to come than there is room for. */
  async function fitted(request: CompletionRequest, route: CompletionRoute): Promise<CompletionRequest> {
    const { contextLength } = model
    const prompt = await promptFor(request.prompt, route)
    if (!dialect.countsLimit) return { ...request, prompt }
    // No token is shorter than a byte; a BOS and a leading space may come before them.
    const most = typeof prompt === 'string' ? Buffer.byteLength(prompt) + 2 : prompt.length
    if (most + request.maxTokens <= contextLength) return { ...request, prompt }
    const counted = typeof prompt === 'string' ? await countable(prompt) : prompt
    // Nobody can count: by a usual length of tokens, so that what is asked for is refused by nobody.
    const count = counted?.length ?? Math.ceil(most / usualTokenBytes)
    const room = contextLength - count
    if (room < 1 && counted) throw contextExceeded('prompt')
    const maxTokens = Math.max(1, Math.min(request.maxTokens, room))
    return { ...request, maxTokens, prompt: route.tokenPrompts && counted ? counted : prompt }
  }

  /** Undefined where neither the server nor the model's file tells. */
  async function countable(text: string): Promise<number[] | undefined> {
    try {
      return await tokens.tokenize(text, true)
    } catch (error) {
      if (error instanceof DroverError && error.code === 'unsupported') return undefined
      throw error
    }
  }

  async function promptFor(prompt: string | number[], route: CompletionRoute): Promise<string | number[]> {
    if (typeof prompt === 'string') return tokens.withoutBos(prompt)
    return route.tokenPrompts ? prompt : tokens.withoutBos(await tokens.detokenize(prompt))
  }

  /** Of a server that tells no tokens the answer's are told at its end, where somebody knows them. */
  async function tokensOf(text: string): Promise<number[]> {
    if (text === '' || tokensMissed) return []
    try {
      return await tokens.tokenize(text, false)
    } catch (error) {
      tokensMissed = true
      log(`answers of ${spec.modelName} come without their tokens: ${wordsOf(error)}`)
      return []
    }
  }

  async function* embedded(
    inputs: readonly (string | number[])[],
    signal: AbortSignal,
  ): AsyncGenerator<EmbeddingAnswer> {
    const input = await inputsFor(inputs)
    const encoding_format = dialect.base64Vectors ? 'base64' : 'float'
    const body = { model: model.name, input, encoding_format }
    yield (await client.json('POST', '/v1/embeddings', body, signal)) as EmbeddingAnswer
  }

  /** All texts or all tokens: the API takes no mixture. An empty text is refused; what its tokenizer adds is not. */
  async function inputsFor(inputs: readonly (string | number[])[]): Promise<(string | number[])[]> {
    if (dialect.completion?.tokenPrompts && inputs.some((one) => typeof one !== 'string' || one === '')) {
      return Promise.all(inputs.map(async (one) => (typeof one === 'string' ? tokenized(one) : one)))
    }
    const textOf = async (one: string | number[]) => (typeof one === 'string' ? one : tokens.detokenize(one))
    return Promise.all(inputs.map(async (one) => (await textOf(one)) || ' '))
  }

  async function tokenized(text: string): Promise<number[]> {
    const found = await tokens.tokenize(text, true)
    return found.length > 0 ? found : tokens.tokenize(' ', true)
  }

  async function close(drainMs: number): Promise<void> {
    queue.close(() => new DroverError('shutting_down', `the instance of ${spec.modelName} is being closed`))
    if (drainMs > 0) {
      const drained = new AbortController()
      const limit = AbortSignal.any([hurry.signal, drained.signal])
      await Promise.race([queue.idle(), exited, waited(drainMs, limit)])
      drained.abort()
    }
    const exit: InstanceExit = { kind: 'closed', reason: 'it was unloaded' }
    const graceMs = running.size > 0 ? hurriedGraceMs : terminateGraceMs
    for (const control of running) control.abort(crashed(exit))
    kvCache?.close()
    await putAway()
    await server.stop(hurry.signal.aborted ? 0 : graceMs)
    end(exit)
  }

  async function putAway(): Promise<void> {
    try {
      await model.putAway?.(AbortSignal.any([hurry.signal, AbortSignal.timeout(putAwayTimeoutMs)]))
    } catch (error) {
      // The instance is closed all the same; a server that goes on has its memory still.
      log(`${server.title} did not let go of ${spec.modelName}: ${wordsOf(error)}`)
    }
  }

  /** Of the load only what the last of these told is known. */
  async function readLoad(signal: AbortSignal): Promise<void> {
    if (!dialect.metrics) return
    try {
      serverLoad = loadFrom(await client.text(dialect.metrics.path, signal), dialect.metrics.names)
    } catch {
      // Metrics may be switched off: then it tells nothing of its load.
      serverLoad = undefined
    }
  }

  return {
    id: spec.id,
    engine,
    pid: server.pid,
    slots: model.slots,
    contextLength: model.contextLength,
    memory: model.memory,
    ...(!dialect.tellsTokens && { tokensAtEnd: true as const }),
    ...(model.chatOnly && { chatOnly: true as const }),
    exited,

    generate: (request, signal, onCacheShrunk) =>
      inSlot(signal, 'prompt', (inner) => generate(request, inner, onCacheShrunk)),

    async embed(inputs, signal) {
      if (inputs.length === 0) return { embeddings: [], promptTokens: 0 }
      for await (const answer of inSlot(signal, 'input', (inner) => embedded(inputs, inner))) {
        const data = answer.data.toSorted((a, b) => (a.index ?? 0) - (b.index ?? 0))
        return {
          embeddings: data.map(({ embedding }) => decodeEmbedding(embedding)),
          promptTokens: answer.usage?.prompt_tokens ?? 0,
        }
      }
      throw new DroverError('engine_failed', `${server.title} gave no vectors`)
    },

    tokenize: (text, { addSpecial }) => explained(bosOnce(text, addSpecial)),
    detokenize: (list) => explained(tokens.detokenize(list)),
    load: () => ({ ...queue.load(), ...(serverLoad && { server: serverLoad }) }),

    async ping(signal) {
      await client.ping(dialect.healthPath, signal)
      await readLoad(signal)
    },

    kill: server.kill,

    close({ drainMs = 0 } = {}) {
      if (closing) hurry.abort()
      closing ??= close(drainMs)
      return closing
    },
  }

  async function bosOnce(text: string, addSpecial: boolean): Promise<number[]> {
    return tokens.tokenize(addSpecial ? await tokens.withoutBos(text) : text, addSpecial)
  }

  async function explained<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw await explain(error, 'prompt')
    }
  }
}

/** Where the server publishes its cache's events, and tells the tokens of prompts, by which these can be understood. */
function watchedCache(
  { kvEvents, title, dialect }: OpenAiServer,
  log: (message: string) => void,
): KvCacheWatch | undefined {
  if (kvEvents === undefined) return undefined
  if (dialect.kind === 'vllm') return watchKvCache({ endpoint: kvEvents, title, log })
  log(
    `${title} does not tell the tokens of prompts, so its KV cache events are not read: kv-events= is for vLLM`,
  )
  return undefined
}

interface EmbeddingAnswer {
  data: { index?: number; embedding: string | number[] }[]
  usage?: { prompt_tokens?: number }
}

/** What was answered elsewhere stands behind the prompt that the conversation was rendered to. */
function saidSince({ prompt, chat }: CompletionRequest): string {
  if (!chat || typeof prompt !== 'string') return ''
  return prompt.startsWith(chat.prompt) ? prompt.slice(chat.prompt.length) : ''
}

async function waited(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(Math.min(ms, 2_147_483_647), undefined, { signal })
  } catch {
    // It is over, or there is a hurry.
  }
}
